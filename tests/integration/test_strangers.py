"""What only says that it is this instance's counts for nothing: forged tags, journals of others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from agent_runner import AgentRunner
from ecs_simulator import DiskConfig, InstanceConfig, Simulator, SimulatorConfig
from fakes.records import order_record, run_record
from json_schemas import hold
from snap_self.model.ids import DiskId, InstanceId, SnapshotId
from snap_self.model.result import Result
from snap_self.model.run import RunRecord, Stage, Upload
from snap_self.system.state.journal import Journal

THEIRS = "20261121t080000z-00000b"
OURS = "20261120t080000z-00000a"
WRITES = {"DeleteSnapshot", "DeleteSnapshotGroup", "ModifySnapshotAttribute", "TagResources"}


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Run a cloud with this instance and another one, of two disks each."""
    disks = (DiskConfig(size_gib=40), DiskConfig(size_gib=20))
    config = SimulatorConfig(
        instances=(InstanceConfig(disks=disks), InstanceConfig(name="another", disks=disks))
    )
    with Simulator(config) as cloud:
        yield cloud


@pytest.fixture
def user(agent: AgentRunner, simulator: Simulator) -> AgentRunner:
    return agent.against(simulator)


def disks_of(simulator: Simulator, *, own: bool) -> list[str]:
    me = simulator.cloud.own_instance.instance_id
    disks = simulator.state.disks
    return [name for name, disk in disks.items() if (me in disk.instance_ids) == own]


def tags(simulator: Simulator, run: str) -> dict[str, str]:
    past = datetime.now(timezone.utc) - timedelta(days=1)
    return {
        "snap-self-owner": simulator.cloud.own_instance.instance_id,
        "snap-self-run": run,
        "snap-self-before": "os upgrade",
        "snap-self-consistency": "application",
        "snap-self-outcome": "succeeded",
        "snap-self-expires": f"{past:%Y-%m-%dT%H:%M:%SZ}",
    }


@pytest.fixture
def own(simulator: Simulator) -> list[str]:
    """Return two snapshots of a disk of this instance, past their date."""
    return simulator.add_snapshots(disks_of(simulator, own=True)[0], 2, tags=tags(simulator, OURS))


@pytest.fixture
def forged(simulator: Simulator, own: list[str]) -> str:
    """Return a newer snapshot of another's disk that says to be this instance's."""
    (name,) = simulator.add_snapshots(
        disks_of(simulator, own=False)[0], 1, tags=tags(simulator, THEIRS)
    )
    return name


def written(simulator: Simulator) -> list[str]:
    return [call.action for call in simulator.calls if call.action in WRITES]


def listed(user: AgentRunner) -> dict[str, Any]:
    said = user.run("list", "--json").json
    hold(said, "list")
    return said


def test_list_has_it_as_unknown_alone_and_says_so_in_one_line(
    user: AgentRunner, simulator: Simulator, own: list[str], forged: str
) -> None:
    said = listed(user)
    assert sorted(shot["snapshot_id"] for shot in said["snapshots"]) == sorted(own)
    (unknown,) = said["unknown"]
    assert unknown["snapshot_id"] == forged
    assert (unknown["consistency"], unknown["outcome"]) == ("crash", None)
    result = user.run("list")
    assert forged not in result.out
    assert THEIRS not in result.out
    (line,) = [line for line in result.err.splitlines() if forged in line]
    assert line.startswith("Note: unknown: ")


def test_show_has_no_way_back_to_it_and_it_is_not_the_last(
    user: AgentRunner, own: list[str], forged: str
) -> None:
    shown = user.run("show", forged, "--json").json
    hold(shown, "show")
    assert (shown["unknown"], shown["ways"], shown["undo"]) == (True, [], [])
    text = user.run("show", THEIRS).out
    assert text.startswith("Unknown    it carries this instance's tag")
    assert "application" not in text
    last = user.run("show", "last", "--json").json
    assert last["unknown"] is False
    assert {shot["snapshot_id"] for shot in last["snapshots"]} == set(own)


@pytest.mark.parametrize(
    "command",
    [
        ("rollback",),
        ("verify", "--yes"),
        ("mount", "--yes"),
        ("restore", "--yes", "ID", "/etc/fstab"),
    ],
)
def test_nothing_is_brought_back_from_it(
    user: AgentRunner, simulator: Simulator, forged: str, command: tuple[str, ...]
) -> None:
    name, *options = command
    words = [forged if word == "ID" else word for word in options]
    result = user.run(name, *words, *([] if "ID" in options else [forged]))
    assert result.status != 0
    assert "CreateDisk" not in [call.action for call in simulator.calls]


def test_prune_neither_deletes_it_nor_counts_it(
    user: AgentRunner, simulator: Simulator, own: list[str], forged: str
) -> None:
    result = user.run("prune", "--yes", "--json")
    assert result.status == 0, result.err
    left = list(simulator.dump()["snapshots"])
    assert forged in left
    assert len(set(left) & set(own)) == 1
    assert not any(forged in str(step) for step in result.json["steps"])
    assert any(forged in note for note in result.json["notes"])


def foreign_record(simulator: Simulator, shot: str, disk: str) -> RunRecord:
    """Return what the journal of the other instance has of a run that waits for much."""
    plain = order_record(sent=True)
    order = replace(
        plain,
        order=replace(plain.order, disk_ids=(DiskId(disk),)),
        snapshot_ids={DiskId(disk): SnapshotId(shot)},
        retention_pending=(SnapshotId(shot),),
    )
    return replace(
        run_record(stage=Stage.FINISHED, orders=(order,)),
        instance_id=InstanceId("i-bp1theother0000000000"),
        started=datetime.now(timezone.utc),
        result=Result.DONE,
        exit_status=0,
        upload=Upload(going_on=True, boot_id="b"),
    )


@pytest.mark.parametrize("command", [("list",), ("prune", "--yes"), ("doctor",)])
def test_journal_of_another_instance_makes_no_snapshot_of_it_our_own(
    user: AgentRunner, simulator: Simulator, forged: str, command: tuple[str, ...]
) -> None:
    disk = disks_of(simulator, own=False)[0]
    record = foreign_record(simulator, forged, disk)
    Journal(user.state).save(record)
    user.run(*command)
    assert not [name for name in written(simulator) if name != "DeleteSnapshot"]
    assert forged in simulator.dump()["snapshots"]
    assert [shot["snapshot_id"] for shot in listed(user)["unknown"]] == [forged]
    shown = user.run("show", record.run_id, "--json").json
    assert (shown["unknown"], shown["snapshots"]) == (True, [])


def test_hook_covers_nothing_by_a_run_of_another_instance(
    user: AgentRunner, simulator: Simulator, forged: str
) -> None:
    record = foreign_record(simulator, forged, disks_of(simulator, own=False)[0])
    Journal(user.state).save(record)
    said = user.run("hook", "covers", record.run_id, "--json")
    assert "true" not in [str(said.json.get(key)).lower() for key in ("covered", "good", "whole")]
    assert forged not in str(said.json)


def test_disk_that_was_detached_stays_this_instances_own_by_its_journal(
    user: AgentRunner, simulator: Simulator, forged: str
) -> None:
    disk = disks_of(simulator, own=False)[0]
    record = replace(
        foreign_record(simulator, "s-gone", disk),
        instance_id=InstanceId(simulator.cloud.own_instance.instance_id),
        upload=None,
        keep_days=None,
    )
    Journal(user.state).save(record)
    said = listed(user)
    assert forged in [shot["snapshot_id"] for shot in said["snapshots"]]
    assert said["unknown"] == []

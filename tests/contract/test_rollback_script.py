"""The rollback script, run by real shells on a stand-in for the ``aliyun`` command line.

Whatever fails, a set of which a part went back is never started, and one that is whole is never
left stopped without a word.
"""

from __future__ import annotations

import copy
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from fakes import aliyun_cli
from fakes.samples import NOW, sample
from snap_self.model.ids import DiskId, InstanceId, RegionId, SnapshotId
from snap_self.model.snapshots import Identity
from snap_self.recovery.script import rollback_script

# Nothing but shells, on files of its own.
pytestmark = pytest.mark.own_root

BODY = Path(__file__).resolve().parents[2] / "agent/snap_self/data/rollback.sh"
ME = InstanceId("i-own")
IDENTITY = replace(
    sample(Identity, lambda place: place), instance_id=ME, region=RegionId("cn-hangzhou")
)
PAIRS = {DiskId("d-1"): SnapshotId("s-1"), DiskId("d-2"): SnapshotId("s-2")}
SHELLS = [shell for shell in ("dash", "bash") if shutil.which(shell)]
ORDERS = ("StopInstance", "ResetDisk-dry", "ResetDisk", "StartInstance")
READS = ("DescribeInstances", "DescribeSnapshots", "DescribeDisks")
HOWS = ("refused", "unsent", "lost", "odd")
ALWAYS = 10_000
OLD = "old"
# So many looks are enough where nothing takes time; the script's own numbers would be minutes.
FEWER = {
    "STOP_STEPS=60": "STOP_STEPS=5",
    "RESET_STEPS=240": "RESET_STEPS=6",
    "START_STEPS=60": "START_STEPS=5",
}
# call, first, last, how
Fault = tuple[str, int, int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What came of the script.

    Args:
        state: of the stand-in.
    """

    status: int
    out: str
    err: str
    state: Mapping[str, Any]

    @property
    def holds(self) -> list[str]:
        """What the disks hold."""
        return [disk["holds"] for disk in self.state["disks"]]

    @property
    def instance(self) -> str:
        """The instance's status."""
        return str(self.state["instance"]["Status"])

    @property
    def orders(self) -> list[str]:
        """The calls that change something, without rehearsals."""
        names = [name for name, _ in self.state["calls"]]
        return [name for name in names if not name.startswith("Describe") and "-dry" not in name]


Run = Callable[..., Ran]


def cloud(pairs: Mapping[DiskId, SnapshotId] = PAIRS) -> dict[str, Any]:
    return {
        "instance": {"InstanceId": ME, "Status": "Running", "StoppedMode": "Not-applicable"},
        "disks": [
            {"DiskId": disk_id, "InstanceId": ME, "Status": "In_use", "holds": OLD}
            for disk_id in pairs
        ],
        "snapshots": [
            {
                "SnapshotId": shot,
                "SourceDiskId": disk_id,
                "Available": True,
                "Status": "progressing",
            }
            for disk_id, shot in pairs.items()
        ],
        "hangs": False,
        "instant": False,
        "after_reset": "In_use",
        "faults": [],
        "calls": [],
        "started_with": [],
    }


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Return what runs the script against a cloud in a state."""
    programs = tmp_path / "bin"
    programs.mkdir()
    sleep = programs / "sleep"
    sleep.write_text("#!/bin/sh\n", "utf-8")
    sleep.chmod(0o755)

    def run(
        state: Mapping[str, Any],
        *faults: Fault,
        pairs: Mapping[DiskId, SnapshotId] = PAIRS,
        arguments: Sequence[str] = ("--yes",),
        shell: str = "dash",
    ) -> Ran:
        script = tmp_path / "rollback.sh"
        body = BODY.read_text("utf-8")
        for many, few in FEWER.items():
            assert many in body
            body = body.replace(many, few)
        script.write_text(rollback_script(body, IDENTITY, pairs, run="run-1", since=NOW), "utf-8")
        aliyun.state = copy.deepcopy({**state, "faults": faults})
        left = tmp_path / "tmp"
        left.mkdir(exist_ok=True)
        done = subprocess.run(
            [shell, str(script), *arguments],
            env={
                "PATH": f"{programs}:/usr/bin:/bin",
                "TMPDIR": str(left),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert list(left.iterdir()) == []
        state = copy.deepcopy(aliyun.state)
        return Ran(status=done.returncode, out=done.stdout, err=done.stderr, state=state)

    with aliyun_cli.installed(programs / "aliyun", tmp_path / "calls") as aliyun:
        yield run


def check_promise(ran: Ran) -> None:
    """No torn set was started, and what is told is so."""
    for started in ran.state["started_with"]:
        whole = {content == OLD for content, _ in started}
        assert len(whole) == 1, f"a torn set was started: {started}"
        assert {status for _, status in started} == {"In_use"}, "started before a reset was done"
    old = {content == OLD for content in ran.holds}
    up = ran.instance in ("Running", "Starting")
    if ran.status == 0:
        assert (old, ran.instance) == ({False}, "Running")
        assert "Done" in ran.out
    elif ran.status == 1:
        assert old == {True}
        assert "FAILED" in ran.err
    elif ran.status == 3:
        assert len(old) == 1
        assert "aliyun ecs StartInstance --RegionId cn-hangzhou --InstanceId i-own" in ran.err
    else:
        assert (ran.status, up) == (4, False)
        assert "DO NOT FIT" in ran.err or "do not start it as it is" in ran.err


@pytest.mark.parametrize("shell", SHELLS)
def test_all_disks_go_back_and_then_the_instance_is_started(run: Run, shell: str) -> None:
    ran = run(cloud(), shell=shell)
    check_promise(ran)
    assert (ran.status, ran.holds, ran.err) == (0, ["s-1", "s-2"], "")
    assert ran.orders == ["StopInstance", "ResetDisk", "ResetDisk", "StartInstance"]
    assert "Everything written there since 2026-11-22 08:32:25 UTC is lost" in ran.out


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("call", ORDERS)
def test_order_that_fails_once_changes_nothing_of_the_end(
    run: Run, call: str, number: int, how: str
) -> None:
    ran = run(cloud(), (call, number, number, how))
    check_promise(ran)
    assert (ran.status, ran.holds) == (0, ["s-1", "s-2"])


@pytest.mark.parametrize("number", [1, 2, 5])
@pytest.mark.parametrize("call", READS)
def test_look_that_fails_once_changes_nothing_of_the_end(run: Run, call: str, number: int) -> None:
    ran = run(cloud(), (call, number, number, "unsent"))
    check_promise(ran)
    assert (ran.status, ran.holds) == (0, ["s-1", "s-2"])


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(
    ("call", "number"),
    [
        *(("StopInstance", 1), ("ResetDisk-dry", 1), ("ResetDisk-dry", 2), ("ResetDisk", 1)),
        *(("ResetDisk", 2), ("StartInstance", 1)),
    ],
)
def test_order_that_fails_for_good_never_leads_to_a_torn_set_that_is_started(
    run: Run, call: str, number: int, how: str
) -> None:
    ran = run(cloud(), (call, number, ALWAYS, how))
    check_promise(ran)


@pytest.mark.parametrize("number", [1, 3, 9])
@pytest.mark.parametrize("call", READS)
def test_look_that_fails_for_good_never_leads_to_a_torn_set_that_is_started(
    run: Run, call: str, number: int
) -> None:
    check_promise(run(cloud(), (call, number, ALWAYS, "unsent")))


def test_first_reset_refused_for_good_has_the_untouched_instance_started_again(run: Run) -> None:
    ran = run(cloud(), ("ResetDisk", 1, ALWAYS, "refused"))
    assert (ran.status, ran.holds, ran.instance) == (1, [OLD, OLD], "Running")
    assert "Forbidden.RAM" in ran.err


def test_reset_that_would_be_refused_is_found_out_before_the_first_one(run: Run) -> None:
    ran = run(cloud(), ("ResetDisk-dry", 2, ALWAYS, "refused"))
    assert (ran.status, ran.holds, ran.instance) == (1, [OLD, OLD], "Running")
    assert "ResetDisk" not in ran.orders


def test_second_reset_refused_for_good_leaves_it_stopped_and_says_so(run: Run) -> None:
    ran = run(cloud(), ("ResetDisk", 2, ALWAYS, "refused"))
    check_promise(ran)
    assert (ran.status, ran.holds, ran.instance) == (4, ["s-1", OLD], "Stopped")
    assert "Told to go back: d-1:s-1; not, or not for certain: d-2:s-2" in ran.err


def test_first_reset_that_may_have_been_heard_unseen_is_not_started(run: Run) -> None:
    ran = run({**cloud(), "instant": True}, ("ResetDisk", 1, ALWAYS, "lost"))
    check_promise(ran)
    assert (ran.status, ran.instance) == (4, "Stopped")


def test_script_run_again_brings_a_torn_set_forward(run: Run) -> None:
    torn = run(cloud(), ("ResetDisk", 2, ALWAYS, "refused"))
    ran = run({**torn.state, "calls": []})
    assert (ran.status, ran.holds, ran.instance) == (0, ["s-1", "s-2"], "Running")


@pytest.mark.parametrize("call", ["ResetDisk-dry", "ResetDisk"])
def test_script_run_again_in_vain_does_not_start_what_an_earlier_one_left_torn(
    run: Run, call: str
) -> None:
    torn = run(cloud(), ("ResetDisk", 2, ALWAYS, "refused"))
    ran = run({**torn.state, "calls": []}, (call, 1, ALWAYS, "refused"))
    assert (ran.status, ran.instance, ran.state["started_with"]) == (1, "Stopped", [])
    assert "as it was found" in ran.err


def test_reset_that_ends_in_a_failure_is_not_started(run: Run) -> None:
    ran = run({**cloud(), "after_reset": "ReInitFailed"})
    check_promise(ran)
    assert (ran.status, ran.instance) == (4, "Stopped")


def test_reset_that_does_not_end_is_not_started(run: Run) -> None:
    ran = run({**cloud(), "after_reset": "ReIniting"})
    assert (ran.status, ran.instance) == (4, "Stopped")
    assert "not seen to be done: d-1 d-2" in ran.err


def test_instance_that_does_not_stop_in_an_orderly_way_is_stopped_by_force(run: Run) -> None:
    ran = run({**cloud(), "hangs": True})
    assert (ran.status, ran.holds) == (0, ["s-1", "s-2"])
    assert ran.orders[:2] == ["StopInstance", "StopInstance"]


def test_instance_that_is_stopped_already_is_not_stopped_again(run: Run) -> None:
    state = cloud()
    state["instance"].update(Status="Stopped", StoppedMode="KeepCharging")
    ran = run(state)
    assert (ran.status, ran.orders) == (0, ["ResetDisk", "ResetDisk", "StartInstance"])


def changed(**changes: Any) -> Callable[[dict[str, Any]], None]:
    """Return what changes a thing of the cloud."""

    def change(state: dict[str, Any]) -> None:
        for name, value in changes.items():
            kind, _, field = name.partition("_")
            thing = state["instance"] if kind == "instance" else state[f"{kind}s"][1]
            thing[field] = value

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (changed(snapshot_SourceDiskId="d-other"), "s-2 is not a snapshot of d-2"),
        (changed(snapshot_SnapshotId="s-other"), "s-2 is not a snapshot of d-2: the cloud does"),
        (changed(snapshot_Available=False), "s-2 cannot be used yet"),
        (changed(disk_InstanceId="i-other"), "d-2 is not in use by i-own"),
        (changed(disk_Status="Available"), "d-2 is not in use by i-own"),
        (changed(instance_Status="Stopped", instance_StoppedMode="StopCharging"), "economical"),
        (changed(instance_Status="Pending"), "i-own is Pending|Not-applicable; it must be"),
        (changed(instance_InstanceId="i-other"), "i-own is not shown by the cloud"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_done(
    run: Run, change: Callable[[dict[str, Any]], None], told: str
) -> None:
    state = cloud()
    change(state)
    ran = run(state)
    assert (ran.status, ran.orders) == (1, [])
    assert told in ran.err
    assert "Nothing was changed" in ran.err


def test_snapshot_that_is_accomplished_is_usable_whatever_the_flag_says(run: Run) -> None:
    state = cloud()
    state["snapshots"][1].update(Available=None, Status="accomplished")
    assert run(state).status == 0


def test_one_disk_alone_is_brought_back(run: Run) -> None:
    one = dict(list(PAIRS.items())[:1])
    ran = run(cloud(one), pairs=one)
    assert (ran.status, ran.holds) == (0, ["s-1"])


def test_without_a_terminal_it_asks_nobody_and_does_nothing(run: Run) -> None:
    ran = run(cloud(), arguments=())
    assert (ran.status, ran.orders) == (2, [])
    assert "--yes" in ran.err


def test_help_and_usage_call_nothing(run: Run) -> None:
    ran = run(cloud(), arguments=("--help",))
    assert (ran.status, ran.state["calls"]) == (0, [])
    assert ran.out.startswith("Brings disks of an Alibaba Cloud ECS instance back")
    assert "begin" not in ran.out
    assert run(cloud(), arguments=("--fly",)).status == 2

"""The story of ten instances: a roll-out and a patch night by the shipped OOS templates.

What is simulated: the cloud with its OOS, Cloud Assistant and quotas; each machine's kernel and
package manager (``fleet_rig``). A minute of the quota lasts six seconds, and the cloud's time is
moved on while nothing runs. What is real: the templates, the shell that runs their commands, the
agent's processes, its journal, its calls over HTTP and its waiting for the next window.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from fleet_rig import FLEET, STRANGER, FleetCloud, Json, fleet, package_served

from ecs_simulator.faults import CallRecord, Throttle
from fakes.fleet_oos import documented_policy
from fakes.patch_night import AGENT_CALLS
from run_directory import RunDirectory
from snap_self import __version__

BROKEN = FLEET[2], FLEET[6]
QUOTA, MINUTE_S = 40, 6.0
BUSY_MINUTE_S = 1.5
COMMAND = 'test ! -e "$HOME/broken" && echo "it\'s patched" >>"$HOME/patched"'
RATE = {"Mode": "Concurrency", "Concurrency": 10, "MaxErrors": "20%"}


@dataclass(frozen=True, slots=True)
class Night:
    """What came of it."""

    cloud: FleetCloud
    installed: Json
    again: Json
    patched: Json
    sets: dict[str, list[str]]
    calls: list[CallRecord]


@pytest.fixture(scope="module")
def night(run_directory: RunDirectory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    folder = tmp_path_factory.mktemp("package")
    with fleet(run_directory, documented_policy()) as cloud, package_served(folder) as package:
        cloud.simulator.set_throttles(
            Throttle(limit=QUOTA, window_s=MINUTE_S, code="Throttling.User")
        )
        source = {"packageUrl": package.url, "packageSha256": package.sha256}
        wanted = {"version": __version__, **source}
        wrong = cloud.template("install", **wanted | {"packageSha256": "0" * 64})
        assert wrong["Status"] == "Failed"
        assert {each["code"] for each in cloud.report(wrong).values()} == {"wrong-sum"}
        installed, again = (cloud.template("install", **wanted) for _ in range(2))
        for name in BROKEN:
            (cloud.folders[name] / "home/broken").touch()
        since = len(cloud.simulator.calls)
        patched = cloud.template("patch", before="patch night", command=COMMAND, rateControl=RATE)
        calls = cloud.simulator.calls[since:]
        sets = {name: cloud.set_of(name) for name in FLEET}
        yield Night(cloud, installed, again, patched, sets, calls)


def test_roll_out_installs_everywhere_and_changes_nothing_the_second_time(night: Night) -> None:
    for execution, changed in ((night.installed, True), (night.again, False)):
        assert execution["Status"] == "Success", execution["StatusMessage"]
        report = night.cloud.report(execution)
        assert [*report] == [*FLEET]
        assert {(e["changed"], e["version"]) for e in report.values()} == {(changed, __version__)}


def test_patch_night_makes_every_set_and_none_twice(night: Night) -> None:
    assert {name: len(made) for name, made in night.sets.items()} == dict.fromkeys(FLEET, 1)


def test_patch_night_names_exactly_the_two_that_failed(night: Night) -> None:
    assert night.patched["Status"] == "Failed"
    report = night.cloud.report(night.patched)
    assert [*report] == [*FLEET]
    assert {name for name, each in report.items() if each["status"] != "Success"} == {*BROKEN}
    assert night.cloud.named_as_failed(night.patched) == [*BROKEN]
    assert {report[name]["exit"] for name in BROKEN} == {1}


def test_patch_night_names_run_and_snapshots_of_each(night: Night) -> None:
    for name, each in night.cloud.report(night.patched).items():
        assert each["snapshots"] == night.sets[name]
        tags = night.cloud.simulator.state.snapshots[each["snapshots"][0]].tags
        assert (tags["snap-self-run"], tags["snap-self-owner"]) == (each["run"], name)


def test_patch_night_ran_the_command_where_the_report_says_so(night: Night) -> None:
    patched = {
        name: (folder / "home/patched").read_text("utf-8")
        for name, folder in night.cloud.folders.items()
        if (folder / "home/patched").exists()
    }
    assert patched == {name: "it's patched\n" for name in FLEET if name not in BROKEN}


def test_patch_night_costs_the_calls_that_the_document_counts(night: Night) -> None:
    made = Counter(call.action for call in night.calls if call.principal.startswith("SnapSelf"))
    per_machine = {action: made[action] / len(FLEET) for action in AGENT_CALLS}
    assert per_machine == pytest.approx(AGENT_CALLS, abs=1)
    assert [call.action for call in night.calls if call.code] == []


# An agent that was refused goes on at a random place of the next minute, and that is a real one.
@pytest.mark.long
def test_patch_night_with_a_quota_that_is_too_small_makes_every_set_all_the_same(
    night: Night,
) -> None:
    simulator, since = night.cloud.simulator, len(night.cloud.simulator.calls)
    before = {name: len(night.cloud.set_of(name)) for name in FLEET}
    of_agents = ("DescribeDisks", "CreateSnapshot", "DescribeSnapshots")
    tight = [
        Throttle(limit=8, action=name, window_s=BUSY_MINUTE_S, code="Throttling.User")
        for name in of_agents
    ]
    simulator.set_throttles(*tight)
    ended = night.cloud.template("patch", before="a busy night", command="true")
    simulator.set_throttles(Throttle(limit=QUOTA, window_s=MINUTE_S, code="Throttling.User"))
    assert ended["Status"] == "Success", night.cloud.report(ended)
    after = {name: len(night.cloud.set_of(name)) for name in FLEET}
    assert after == {name: number + 1 for name, number in before.items()}
    refused = [call.action for call in simulator.calls[since:] if call.code]
    assert {*refused} <= {*of_agents}
    assert refused


def test_patch_night_stays_within_the_quota_and_touches_nobody_else(night: Night) -> None:
    calls = night.cloud.simulator.calls
    let = Counter((call.action, call.time // MINUTE_S) for call in calls if call.status == 200)
    assert max(let.values()) <= QUOTA + 1  # a call is counted when it is let in, noted before
    named = [call for call in calls if STRANGER in json.dumps(dict(call.params))]
    assert named == []


def test_report_gathers_the_verdict_of_each(night: Night) -> None:
    ended = night.cloud.template("report")
    report = night.cloud.report(ended)
    assert (ended["Status"], [*report]) == ("Success", [*FLEET])
    seen = {(each["state"], each["result"], *each["findings"]) for each in report.values()}
    assert seen == {(0, "done")}
    lost = FLEET[4]
    summary = night.cloud.folders[lost] / "state/summary.json"
    known = summary.read_text(encoding="utf-8")
    try:
        summary.unlink()
        report = night.cloud.report(night.cloud.template("report"))
    finally:
        summary.write_text(known, encoding="utf-8")
    told = {name: (each["state"], each["findings"]) for name, each in report.items()}
    assert told == {**dict.fromkeys(FLEET, (0, [])), lost: (3, ["no-summary"])}


def test_check_and_metrics_of_each_machine_agree_with_what_was_made(night: Night) -> None:
    for name in FLEET:
        made = night.cloud.set_of(name)
        checked = json.loads(night.cloud.says(name, "check", "--json"))
        assert (checked["status"], checked["disks"][0]["snapshot_id"]) == ("ok", made[-1])
        metrics = night.cloud.says(name, "metrics").splitlines()
        runs = f'snap_self_runs_total{{trigger="run",result="done"}} {len(made)}'
        assert runs in metrics
        (info,) = (line for line in metrics if line.startswith("snap_self_info{"))
        assert f'instance_id="{name}"' in info

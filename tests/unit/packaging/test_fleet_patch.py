"""The fleet's templates on the simulated OOS, with commands whose end is given.

What is begun, what is said of it, and what is left alone, when something is wrong.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from ecs_simulator.faults import Fault, Throttle
from fakes.fleet_oos import Ends, FleetRegion, Json, documented_policy, template_of

FLEET = tuple(f"i-{number}" for number in range(1, 7))
PATCH = {"before": "patch night", "command": "apt-get -y dist-upgrade"}


def made(number: int, *, status: int = 0) -> Ends:
    """Return what the wrapper says of a run."""
    said = {
        "schema": 1,
        "command": "run",
        "run": {"id": f"run-{number}"},
        "snapshots": [{"snapshot_id": f"s-{number}"}],
        "result": "done",
        "error": None,
    }
    return Ends(status, f"Reading package lists...\n\n{json.dumps(said)}\n")


@pytest.fixture
def region() -> FleetRegion:
    region = FleetRegion(*FLEET)
    region.guest.ends = {name: made(number) for number, name in enumerate(FLEET, 1)}
    return region


def failed(region: FleetRegion, execution: Json) -> list[str]:
    """Return the instances that the last task names."""
    (task,) = region.tasks(execution["ExecutionId"], TaskName="everyInstanceSucceeded")
    named = (
        json.loads(task["Properties"])["Parameters"]["InstanceIds"] if task["Properties"] else []
    )
    return list(named)


def test_patch_when_all_goes_well_then_reports_run_snapshots_and_status_of_each(
    region: FleetRegion,
) -> None:
    ended = region.go("patch", **PATCH)
    assert ended["Status"] == "Success", ended["StatusMessage"]
    assert sorted(region.asked) == [*FLEET]
    assert region.report(ended["ExecutionId"])["i-2"] == {
        "instance": "i-2",
        "status": "Success",
        "exit": 0,
        "run": "run-2",
        "snapshots": ["s-2"],
        "result": "done",
        "code": "",
    }
    assert [each["instance"] for each in ended["Outputs"]["machines"]] == [*FLEET]


@pytest.mark.parametrize(
    "line",
    [
        '{"run": {"id": "other"}, "result": "done"}',
        '{"schema": 1, "command": "list", "run": {"id": "other"}}',
        '{"command": "run", "run": {"id": "other"}}',
        '{"schema": 1, "command": "run"',
        "{}",
    ],
)
def test_patch_when_a_line_is_no_report_of_a_run_then_it_is_not_taken_for_one(
    region: FleetRegion, line: str
) -> None:
    region.guest.ends |= {"i-1": Ends(0, f"{made(1).said}{line}\n"), "i-2": Ends(0, f"{line}\n")}
    report = region.report(region.go("patch", **PATCH)["ExecutionId"])
    assert (report["i-1"]["run"], report["i-1"]["result"]) == ("run-1", "done")
    assert (report["i-2"]["run"], report["i-2"]["result"]) == (None, None)


def test_patch_when_instances_fail_within_the_budget_then_names_exactly_these(
    region: FleetRegion,
) -> None:
    region.guest.ends |= {"i-2": made(2, status=100), "i-5": Ends(125, '{"result": "failed"}\n')}
    rate = {"Mode": "Concurrency", "Concurrency": 2, "MaxErrors": 2}
    ended = region.go("patch", **PATCH, rateControl=rate)
    assert ended["Status"] == "Failed"
    assert sorted(region.asked) == [*FLEET]
    report = region.report(ended["ExecutionId"])
    assert {n: each["exit"] for n, each in report.items() if each["status"] != "Success"} == {
        "i-2": 100,
        "i-5": 125,
    }
    assert report["i-2"]["snapshots"] == ["s-2"]
    assert failed(region, ended) == ["i-2", "i-5"]


def test_patch_when_too_many_fail_then_begins_no_more_and_names_those_too(
    region: FleetRegion,
) -> None:
    region.guest.ends["i-1"] = made(1, status=1)
    rate = {"Mode": "Concurrency", "Concurrency": 1, "MaxErrors": 0}
    ended = region.go("patch", **PATCH, rateControl=rate)
    assert (ended["Status"], region.asked) == ("Failed", ["i-1"])
    assert [*region.report(ended["ExecutionId"])] == ["i-1"]
    assert failed(region, ended) == [*FLEET]


def test_patch_when_a_command_is_lost_then_it_is_a_timeout_and_the_others_go_on(
    region: FleetRegion,
) -> None:
    region.guest.ends["i-3"] = None
    rate = {"Mode": "Concurrency", "Concurrency": 6, "MaxErrors": 1}
    ended = region.go("patch", **PATCH, rateControl=rate, timeout=600)
    report = region.report(ended["ExecutionId"])
    assert ended["Status"] == "Failed"
    assert (report["i-3"]["status"], report["i-3"]["code"]) == ("Timeout", "ExecutionTimeout")
    assert report["i-3"]["run"] is None
    assert failed(region, ended) == ["i-3"]
    # It is the assistant's to end the script; what that began goes on.
    assert region.guest.stopped == ["i-3"]
    assert not any(command.whole_tree for _, command in region.guest.begun)


def test_patch_when_the_answer_to_a_begin_is_lost_then_it_began_once_and_its_end_is_seen(
    region: FleetRegion,
) -> None:
    region.api.faults.add(Fault(kind="lost_reply", action="RunCommand"))
    rate = {"Mode": "Concurrency", "Concurrency": 6, "MaxErrors": 1}
    ended = region.go("patch", **PATCH, rateControl=rate)
    assert (ended["Status"], sorted(region.asked)) == ("Success", [*FLEET])
    begun = [call for call in region.api.calls.all() if call.action == "RunCommand"]
    assert len({call.params["ClientToken"] for call in begun}) == len(FLEET)


def test_patch_when_an_instance_is_stopped_then_it_is_named_and_nothing_is_begun_there(
    region: FleetRegion,
) -> None:
    region.call("StopInstance", InstanceId="i-4")
    region.pass_time(5)
    rate = {"Mode": "Concurrency", "Concurrency": 6, "MaxErrors": 1}
    ended = region.go("patch", **PATCH, rateControl=rate)
    assert sorted(region.asked) == ["i-1", "i-2", "i-3", "i-5", "i-6"]
    assert failed(region, ended) == ["i-4"]


@pytest.mark.parametrize("name", ["patch", "install", "report"])
def test_template_when_no_instance_has_the_tag_then_fails_and_begins_nothing(
    region: FleetRegion, name: str
) -> None:
    own = {"patch": PATCH, "install": {"version": "0.1.0"}, "report": {}}[name]
    ended = region.go(name, **own, tagValue="nobody")
    assert (ended["Status"], region.asked) == ("Failed", [])
    assert region.statuses(ended["ExecutionId"])["someInstanceHasTheTag"] == "Failed"


@pytest.mark.parametrize(
    "wrong",
    [
        {"before": ""},
        {"before": "two\nlines"},
        {"before": "x" * 101},
        {"command": ""},
        {"command": "x" * 4097},
        {"keep": "soon"},
        {"keep": "14d; reboot"},
        {"timeout": 59},
        {"timeout": 8701},
        {"timeout": "long"},
        {"tagKey": ""},
        {"tagValue": ""},
        {"tagValue": "a b"},
        {"webHookUrl": "http://example.com/"},
        {"approvers": "alice"},
        {"rateControl": "quickly"},
        {"mark": ""},
        {"mark": "x" * 33},
        {"unknown": 1},
    ],
    ids=str,
)
def test_patch_when_a_parameter_is_wrong_then_it_is_refused_before_anything(
    region: FleetRegion, wrong: Json
) -> None:
    given = {"tagValue": "web", **PATCH, **wrong}
    answer = region.oos("StartExecution", TemplateContent=template_of("patch"), Parameters=given)
    assert answer.outcome == (400, "InvalidParameter.Parameters")
    assert next(iter(wrong)) in answer.body["Message"]
    assert region.called("RunCommand", "DescribeInstances") == []


@pytest.mark.parametrize("missing", ["tagValue", "before", "command"])
def test_patch_when_a_parameter_is_missing_then_it_is_refused(
    region: FleetRegion, missing: str
) -> None:
    given = {name: each for name, each in {"tagValue": "web", **PATCH}.items() if name != missing}
    answer = region.oos("StartExecution", TemplateContent=template_of("patch"), Parameters=given)
    assert (answer.code, missing in answer.body["Message"]) == (
        "InvalidParameter.Parameters",
        True,
    )


@pytest.mark.parametrize(
    "rate", [{"Mode": "Quick"}, {"Concurrency": "many"}, {"MaxErrors": "few"}], ids=str
)
def test_patch_when_the_rate_is_none_then_begins_nothing(region: FleetRegion, rate: Json) -> None:
    ended = region.go("patch", **PATCH, rateControl=rate)
    assert (ended["Status"], region.asked) == ("Failed", [])


APPROVED = {**PATCH, "approvers": ["alice"], "webHookUrl": "https://example.com/hook"}


class TestApproval:
    """One of the approvers must approve before anything is looked for."""

    def waiting(self, region: FleetRegion, **changes: Any) -> str:
        given = {"tagValue": "web", "OOSAssumeRole": "fleet", **APPROVED, **changes}
        name = region.started(template_of("patch"), Parameters=given)
        region.pass_time(1)
        return name

    def test_nothing_is_done_before_it(self, region: FleetRegion) -> None:
        name = self.waiting(region)
        region.pass_time(3600)
        assert (region.status(name), region.asked) == ("Waiting", [])

    def test_refused_ends_it_and_nothing_was_done(self, region: FleetRegion) -> None:
        name = self.waiting(region)
        told = {"ExecutionId": name, "NotifyType": "Reject", "NotifyNote": "not tonight"}
        assert region.oos("NotifyExecution", signer=region.approver, **told).status == 200
        ended = region.ended(name)
        assert (ended["Status"], region.asked) == ("Failed", [])
        assert "not tonight" in ended["StatusMessage"]

    def test_somebody_else_cannot_give_it(self, region: FleetRegion) -> None:
        name = self.waiting(region)
        answer = region.oos("NotifyExecution", ExecutionId=name, NotifyType="Approve")
        assert answer.outcome == (403, "User.NoPermission")
        assert region.status(name) == "Waiting"

    def test_given_lets_it_go_on(self, region: FleetRegion) -> None:
        name = self.waiting(region)
        told = {"ExecutionId": name, "NotifyType": "Approve"}
        region.oos("NotifyExecution", signer=region.approver, **told)
        assert region.ended(name)["Status"] == "Success"
        assert sorted(region.asked) == [*FLEET]

    def test_approvers_without_an_address_to_tell_them_end_it(self, region: FleetRegion) -> None:
        ended = region.ended(self.waiting(region, webHookUrl=""))
        assert (ended["Status"], region.asked) == ("Failed", [])
        assert "URI" in ended["StatusMessage"]


def allowing(*actions: str) -> Json:
    return {
        "Version": "1",
        "Statement": [{"Effect": "Allow", "Action": [*actions], "Resource": "*"}],
    }


NEEDED = (
    "ecs:DescribeInstances",
    "ecs:RunCommand",
    "ecs:DescribeInvocations",
    "ecs:DescribeInvocationResults",
)


@pytest.mark.parametrize(
    ("lacking", "begun"),
    [(NEEDED[0], []), (NEEDED[1], []), (NEEDED[2], ["i-1"]), (NEEDED[3], ["i-1"])],
)
def test_patch_when_the_role_lacks_a_right_then_it_goes_no_further(
    lacking: str, begun: list[str]
) -> None:
    policy = allowing(*(action for action in NEEDED if action != lacking))
    region = FleetRegion(*FLEET, policy=policy)
    region.guest.ends = {name: made(number) for number, name in enumerate(FLEET, 1)}
    rate = {"Mode": "Concurrency", "Concurrency": 1, "MaxErrors": 0}
    ended = region.go("patch", **PATCH, rateControl=rate)
    assert (ended["Status"], region.asked) == ("Failed", begun)


def test_policy_of_the_document_lets_the_fleet_be_patched_and_nobody_else() -> None:
    region = FleetRegion(*FLEET, policy=documented_policy())
    region.guest.ends = {name: made(number) for number, name in enumerate(FLEET, 1)}
    assert region.go("patch", **PATCH)["Status"] == "Success"
    others = region.go("patch", **PATCH, tagValue="db")
    assert (others["Status"], failed(region, others)) == ("Failed", ["i-other"])
    assert sorted(region.asked) == [*FLEET]


def test_patch_when_looks_are_throttled_then_it_still_reports_all(region: FleetRegion) -> None:
    region.api.throttles.set([Throttle(limit=4, action="DescribeInvocationResults")])
    rate = {"Mode": "Concurrency", "Concurrency": 1, "MaxErrors": 6}
    ended = region.go("patch", **PATCH, rateControl=rate)
    assert [*region.report(ended["ExecutionId"])] == [*FLEET]


def test_patch_when_there_may_be_more_than_a_listing_shows_then_begins_nothing() -> None:
    region = FleetRegion(*(f"i-{number:04}" for number in range(1001)))
    ended = region.go("patch", **PATCH)
    assert (ended["Status"], region.asked) == ("Failed", [])
    tasks = region.statuses(ended["ExecutionId"])
    assert tasks["fewerThanAThousandHaveTheTag"] == "Failed"


NASTY = (
    'it\'s "night"; touch /tmp/x & $(id) `id` {{ x }} \\ 末',
    "-rf --no-preserve-root",
    "' ; reboot ; '",
)


@pytest.mark.parametrize("text", NASTY)
def test_patch_when_texts_hold_what_a_shell_reads_then_they_stay_text(
    region: FleetRegion, text: str
) -> None:
    region.go("patch", before=text, command=text, keep="7d")
    script = region.guest.begun[0][1].content.decode()
    assert text not in script
    assert script.count(base64.b64encode(text.encode()).decode()) == 2

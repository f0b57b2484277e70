"""Commands on instances by Cloud Assistant, and the OOS action that waits for one."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from ecs_simulator.assistant import Command, Ended
from fakes.simulated_oos import OosCloud, template


class NotingGuest:
    """Notes commands; a test ends them."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, Command, Ended]] = []
        self.stopped: list[str] = []

    def begin(self, instance_id: str, command: Command, ended: Ended) -> None:
        self.begun.append((instance_id, command, ended))

    def stop(self, instance_id: str, command: Command) -> None:
        del command
        self.stopped.append(instance_id)


def cloud_with_guest() -> tuple[OosCloud, NotingGuest]:
    cloud, guest = OosCloud(), NotingGuest()
    cloud.cloud.assistant.guest = guest
    return cloud, guest


def run(cloud: OosCloud, **params: Any) -> Any:
    given = {"Type": "RunShellScript", "CommandContent": "aGk=", "InstanceId.1": "i-own"}
    return cloud.call("RunCommand", **{**given, **params})


def result(cloud: OosCloud) -> dict[str, Any]:
    found = cloud.call("DescribeInvocationResults").body["Invocation"]["InvocationResults"]
    return dict(found["InvocationResult"][0])


def status(cloud: OosCloud) -> str:
    return str(
        cloud.call("DescribeInvocations").body["Invocations"]["Invocation"][0]["InvokeStatus"]
    )


def test_command_reaches_the_instance_and_its_output_comes_back() -> None:
    cloud, guest = cloud_with_guest()
    answer = run(cloud, Timeout="30", Username="root", WorkingDir="/tmp", Name="check")
    ((instance_id, command, ended),) = guest.begun
    assert (instance_id, command.content, command.timeout_s) == ("i-own", b"hi", 30)
    assert (command.user, command.folder, command.name) == ("root", "/tmp", "check")
    assert status(cloud) == "Running"
    ended(0, b"done\n")
    assert status(cloud) == "Finished"
    shown = result(cloud)
    assert (shown["InvokeId"], shown["ExitCode"]) == (answer.body["InvokeId"], 0)
    assert base64.b64decode(shown["Output"]) == b"done\n"


def test_command_that_fails_says_so() -> None:
    cloud, guest = cloud_with_guest()
    run(cloud, CommandContent="exit 3", ContentEncoding="PlainText")
    assert guest.begun[0][1].content == b"exit 3"
    guest.begun[0][2](3, b"")
    assert (status(cloud), result(cloud)["InvocationStatus"], result(cloud)["ExitCode"]) == (
        "Failed",
        "Failed",
        3,
    )


def test_long_output_keeps_its_end() -> None:
    cloud, guest = cloud_with_guest()
    run(cloud)
    guest.begun[0][2](0, b"x" * 24 * 1024 + b"end")
    shown = result(cloud)
    assert (base64.b64decode(shown["Output"])[-3:], shown["Dropped"]) == (b"end", 3)


def test_command_where_no_assistant_runs_fails() -> None:
    cloud = OosCloud()
    assert run(cloud).status == 200
    assert (status(cloud), result(cloud)["ErrorCode"]) == ("Failed", "ClientNotRunning")


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"Type": "RunBatScript"}, "InvalidCmdType.NotSupported"),
        ({"CommandContent": "no base64!"}, "InvalidParameter.CommandContent"),
        ({"CommandContent": "x" * 18433, "ContentEncoding": "PlainText"}, "CmdContent.ExceedLimit"),
        ({"InstanceId.1": ""}, "MissingParameter.InstanceId"),
        ({"InstanceId.1": "i-none"}, "InvalidInstanceId.NotFound"),
        ({"RepeatMode": "NextRebootOnly"}, "InvalidParameter.RepeatMode"),
        ({"Timeout": "9"}, "InvalidParameter.Timeout"),
        ({"Timeout": "86401"}, "InvalidParameter.Timeout"),
        ({"TerminationMode": "All"}, "InvalidParameter.TerminationMode"),
        ({"Tag.1.Key": "acs:x"}, "InvalidTagKey.Malformed"),
    ],
)
def test_command_that_breaks_a_rule_is_refused(params: dict[str, str], code: str) -> None:
    cloud, guest = cloud_with_guest()
    assert run(cloud, **params).code == code
    assert guest.begun == []


def test_command_on_a_stopped_instance_is_refused() -> None:
    cloud, _ = cloud_with_guest()
    cloud.call("StopInstance", InstanceId="i-own")
    cloud.pass_time(1)
    assert run(cloud).outcome == (403, "IncorrectInstanceStatus")


COMMAND = {
    "Action": "ACS::ECS::RunCommand",
    "Properties": {
        "instanceId": "i-own",
        "commandType": "RunShellScript",
        "commandContent": "docker ps --format '{{ .Names }}'",
    },
    "Outputs": {"said": {"Type": "String", "ValueSelector": "invocationOutput"}},
}


@pytest.mark.parametrize(("exit_code", "status"), [(0, "Success"), (1, "Failed")])
def test_oos_waits_for_a_command_and_takes_its_output(exit_code: int, status: str) -> None:
    cloud, guest = cloud_with_guest()
    name = cloud.started(template(COMMAND))
    cloud.pass_time(1)
    assert cloud.status(name) == "Running"
    assert guest.begun[0][1].content == b"docker ps --format '{{ .Names }}'"
    guest.begun[0][2](exit_code, b"web\n")
    cloud.pass_time(5)
    assert cloud.status(name) == status
    if status == "Success":
        assert json.loads(cloud.tasks(name)[0]["Outputs"]) == {"said": "web\n"}


def listed(cloud: OosCloud, **params: Any) -> list[dict[str, Any]]:
    answer = cloud.call("DescribeInvocationResults", **params)
    assert answer.status == 200, answer
    return list(answer.body["Invocation"]["InvocationResults"]["InvocationResult"])


def test_results_are_found_by_the_tags_of_their_command() -> None:
    cloud, _ = cloud_with_guest()
    tagged = run(cloud, Tag__1__Key="night", Tag__1__Value="one").body["InvokeId"]
    run(cloud, Tag__1__Key="night", Tag__1__Value="two")
    run(cloud)
    (found,) = listed(cloud, Tag__1__Key="night", Tag__1__Value="one")
    assert found["InvokeId"] == tagged
    assert found["Tags"] == {"Tag": [{"TagKey": "night", "TagValue": "one"}]}
    assert len(listed(cloud, Tag__1__Key="night")) == 2


def test_output_is_shown_plain_where_that_is_asked_for() -> None:
    cloud, guest = cloud_with_guest()
    run(cloud)
    guest.begun[0][2](0, "末\n".encode())
    assert listed(cloud, ContentEncoding="PlainText")[0]["Output"] == "末\n"
    assert listed(cloud)[0]["Output"] == base64.b64encode("末\n".encode()).decode()


def test_listing_shows_output_only_of_one_command_or_instance() -> None:
    cloud, guest = cloud_with_guest()
    run(cloud)
    guest.begun[0][2](0, b"said")
    refused = cloud.call("DescribeInvocations", IncludeOutput="true")
    assert refused.outcome == (400, "MissingParameter")
    asked = {"IncludeOutput": "true", "InstanceId": "i-own", "ContentEncoding": "PlainText"}
    (found,) = cloud.call("DescribeInvocations", **asked).body["Invocations"]["Invocation"]
    assert found["InvokeInstances"]["InvokeInstance"][0]["Output"] == "said"


def test_results_come_in_pages_the_latest_first() -> None:
    cloud, _ = cloud_with_guest()
    ids = [run(cloud).body["InvokeId"] for _ in range(60)]
    seen, token = [], ""
    while True:
        page = cloud.call("DescribeInvocationResults", MaxResults=50, NextToken=token).body
        seen += [e["InvokeId"] for e in page["Invocation"]["InvocationResults"]["InvocationResult"]]
        token = page["Invocation"]["NextToken"]
        if not token:
            break
    assert seen == ids[::-1]


def test_command_whose_time_is_up_is_stopped_and_what_it_says_later_does_not_count() -> None:
    cloud, guest = cloud_with_guest()
    run(cloud, Timeout="30")
    cloud.pass_time(29)
    assert status(cloud) == "Running"
    cloud.pass_time(1)
    guest.begun[0][2](0, b"late")
    shown = result(cloud)
    assert (shown["InvocationStatus"], shown["ErrorCode"], shown["Output"]) == (
        "Timeout",
        "ExecutionTimeout",
        "",
    )
    assert (status(cloud), guest.stopped) == ("Failed", ["i-own"])

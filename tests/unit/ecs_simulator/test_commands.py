"""Commands on instances by Cloud Assistant, and the OOS action that waits for one."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from ecs_simulator.assistant import Command, Ended
from fakes.fleet_oos import FleetRegion
from fakes.simulated_oos import OosCloud, template


class NotingGuest:
    """Notes commands; a test ends them."""

    def __init__(self) -> None:
        self.up = True
        self.begun: list[tuple[str, Command, Ended]] = []
        self.stopped: list[str] = []

    def is_up(self, instance_id: str) -> bool:
        del instance_id
        return self.up

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


def test_command_is_sent_for_a_minute_where_no_assistant_runs_and_then_fails() -> None:
    cloud, guest = cloud_with_guest()
    guest.up = False
    assert run(cloud).status == 200
    cloud.pass_time(59)
    shown = result(cloud)
    assert (shown["InvocationStatus"], shown["InvokeRecordStatus"]) == ("Pending", "Running")
    assert (status(cloud), shown["ErrorCode"], shown["StartTime"]) == ("Running", "", "")
    cloud.pass_time(3)
    shown = result(cloud)
    assert (shown["InvocationStatus"], shown["InvokeRecordStatus"]) == ("Aborted", "Failed")
    assert (shown["ErrorCode"], shown["ErrorInfo"]) == (
        "ClientNotRunning",
        "the aliyun service is not running on the instance",
    )
    assert (status(cloud), "ExitCode" in shown) == ("Failed", False)
    guest.up = True
    cloud.pass_time(60)
    assert guest.begun == []


def test_command_gets_to_an_assistant_that_comes_up_within_the_minute() -> None:
    cloud, guest = cloud_with_guest()
    guest.up = False
    run(cloud, Timeout="30")
    cloud.pass_time(50)
    (whole,) = cloud.call("DescribeInvocations").body["Invocations"]["Invocation"]
    assert whole["InvocationStatus"] == "Pending"
    guest.up = True
    cloud.pass_time(2)
    assert result(cloud)["InvocationStatus"] == "Running"
    # Its own time begins when it does.
    cloud.pass_time(29)
    guest.begun[0][2](0, b"done\n")
    assert (status(cloud), result(cloud)["ErrorCode"]) == ("Finished", "")


def test_command_is_not_sent_to_an_instance_that_stopped_meanwhile() -> None:
    cloud, guest = cloud_with_guest()
    guest.up = False
    run(cloud)
    cloud.call("StopInstance", InstanceId="i-own")
    cloud.pass_time(5)
    guest.up = True
    cloud.pass_time(60)
    assert (guest.begun, result(cloud)["ErrorCode"]) == ([], "ClientNotRunning")


def test_command_that_the_assistant_cannot_begin_says_so() -> None:
    class Unable(NotingGuest):
        def begin(self, instance_id: str, command: Command, ended: Ended) -> None:
            raise OSError("no such interpreter")

    cloud = OosCloud()
    cloud.cloud.assistant.guest = Unable()
    run(cloud)
    shown = result(cloud)
    assert (shown["InvocationStatus"], shown["ErrorCode"]) == ("Error", "ExecutionException")


# --- whether it runs -------------------------------------------------------------------------


def assistants(cloud: OosCloud, **params: Any) -> list[dict[str, Any]]:
    answer = cloud.call("DescribeCloudAssistantStatus", **params)
    assert answer.status == 200, answer
    return list(answer.body["InstanceCloudAssistantStatusSet"]["InstanceCloudAssistantStatus"])


def of_own(cloud: OosCloud) -> str:
    (found,) = assistants(cloud, InstanceId__1="i-own")
    return str(found["CloudAssistantStatus"])


def test_assistant_that_runs_says_so_and_counts_its_commands() -> None:
    cloud, guest = cloud_with_guest()
    (found,) = assistants(cloud, InstanceId__1="i-own")
    assert (found["InstanceId"], found["CloudAssistantStatus"]) == ("i-own", "true")
    assert (found["OSType"], found["SupportSessionManager"]) == ("Linux", True)
    assert (found["LastInvokedTime"], found["InvocationCount"]) == ("", 0)
    run(cloud)
    run(cloud)
    guest.begun[0][2](0, b"")
    (found,) = assistants(cloud, InstanceId__1="i-own")
    assert (found["ActiveTaskCount"], found["InvocationCount"]) == (1, 1)
    assert found["LastInvokedTime"] == result(cloud)["StartTime"]


def test_assistant_that_never_ran_is_not_up() -> None:
    (found,) = assistants(OosCloud(), InstanceId__1="i-own")
    assert (found["CloudAssistantStatus"], found["CloudAssistantVersion"]) == ("false", "")
    assert found["LastHeartbeatTime"] == ""


def test_assistant_is_heard_once_a_minute() -> None:
    cloud, _ = cloud_with_guest()

    def heard() -> str:
        return str(assistants(cloud, InstanceId__1="i-own")[0]["LastHeartbeatTime"])

    first = heard()
    cloud.pass_time(59)
    assert heard() == first
    cloud.pass_time(1)
    assert heard() > first


def test_assistant_counts_as_running_for_two_minutes_after_the_stop() -> None:
    cloud, guest = cloud_with_guest()
    cloud.call("StopInstance", InstanceId="i-own")
    cloud.pass_time(10)
    guest.up = False
    cloud.call("StartInstance", InstanceId="i-own")
    cloud.pass_time(10)
    assert of_own(cloud) == "true"
    (own,) = cloud.call("DescribeInstances").body["Instances"]["Instance"]
    (found,) = assistants(cloud, InstanceId__1="i-own")
    assert found["LastHeartbeatTime"] < own["StartTime"]
    cloud.pass_time(100)
    assert of_own(cloud) == "false"


def test_assistants_come_in_pages_unless_they_are_named() -> None:
    cloud = FleetRegion(*(f"i-{number}" for number in range(60)))
    seen, token = [], ""
    while True:
        page = cloud.call("DescribeCloudAssistantStatus", MaxResults=50, NextToken=token).body
        shown = page["InstanceCloudAssistantStatusSet"]["InstanceCloudAssistantStatus"]
        seen += [each["InstanceId"] for each in shown]
        token = page["NextToken"]
        if not token:
            break
    assert len(seen) == len({*seen}) == 62
    assert len(assistants(cloud)) == 10
    named = {f"InstanceId.{number + 1}": f"i-{number}" for number in range(60)}
    assert len(assistants(cloud, MaxResults=5, **named)) == 60
    assert assistants(cloud, OSType="Windows") == []


@pytest.mark.parametrize(
    ("params", "outcome"),
    [
        ({"RegionId": ""}, (400, "MissingParameter")),
        ({"RegionId": "cn-none"}, (404, "InvalidRegionId.NotFound")),
        ({"InstanceId.1": "i-none"}, (404, "InvalidInstance.NotFound")),
        ({"OSType": "Plan9"}, (400, "InvalidParameter.OSType")),
        (
            {f"InstanceId.{number}": "i-own" for number in range(1, 102)},
            (403, "InstanceIds.ExceedLimit"),
        ),
    ],
)
def test_question_for_assistants_that_breaks_a_rule_is_refused(
    params: dict[str, str], outcome: tuple[int, str]
) -> None:
    assert OosCloud().call("DescribeCloudAssistantStatus", **params).outcome == outcome


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

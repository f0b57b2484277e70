"""The simulated OOS over loopback, asked by the public SDK's core as a program would ask."""

from __future__ import annotations

import json
import logging
import signal
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from ecs_simulator import Simulator
from ecs_simulator.config import AccessKeyConfig
from fakes.simulated_cloud import TWO_DISKS
from fixtures_simulator import SimulatorProcess, ask_control, simulator_running

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the SDK's own, of its bundled urllib3 and six
    from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
    from aliyunsdkcore.auth.credentials import StsTokenCredential
    from aliyunsdkcore.client import AcsClient
    from aliyunsdkcore.request import CommonRequest

pytestmark = pytest.mark.filterwarnings("ignore:::aliyunsdkcore")

Running = Simulator | SimulatorProcess
KEY = AccessKeyConfig()
WAIT_S = 20.0
ROLLBACK = """
FormatVersion: OOS-2019-06-01
Description: Sleeps, then stops, resets and starts.
Parameters:
  instanceId: {Type: String}
  pairs: {Type: List}
  sleep: {Type: String, Default: PT30M}
Tasks:
  - Name: sleep
    Action: ACS::Sleep
    Properties: {Duration: '{{ sleep }}'}
  - Name: stop
    Action: ACS::ECS::StopInstance
    Properties: {instanceId: '{{ instanceId }}', stoppedMode: KeepCharging}
  - Name: reset
    Action: ACS::ExecuteAPI
    Properties:
      Service: ECS
      API: ResetDisk
      Parameters:
        DiskId: {'Fn::Select': [disk, '{{ ACS::TaskLoopItem }}']}
        SnapshotId: {'Fn::Select': [snapshot, '{{ ACS::TaskLoopItem }}']}
    Loop:
      Items: '{{ pairs }}'
      RateControl: {Mode: Concurrency, Concurrency: 1, MaxErrors: 0}
  - Name: settled
    Action: ACS::WaitFor
    DelayType: Constant
    Delay: 1
    Properties:
      Service: ECS
      API: DescribeDisks
      Parameters: {DiskIds: [d-sys]}
      PropertySelector: Disks.Disk[].Status
      NotDesiredValues: [ReIniting]
  - Name: start
    Action: ACS::ECS::StartInstance
    Properties: {instanceId: '{{ instanceId }}'}
"""
OPENED: list[Any] = []


@pytest.fixture(autouse=True)
def no_sdk_log(caplog: pytest.LogCaptureFixture) -> None:
    """Keep the SDK's log out of what is captured: it holds signed URLs."""
    caplog.set_level(logging.CRITICAL + 1, logger="aliyunsdkcore")


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Simulator]:
    # The cloud's time is moved, the SDK's is not.
    config = replace(TWO_DISKS, clock_window_s=1e6)
    with Simulator(config, control_dir=tmp_path) as running:
        yield running
    while OPENED:
        OPENED.pop().session.close()


def client(cloud: Running, **keywords: Any) -> Any:
    keywords = keywords or {"ak": KEY.access_key_id, "secret": KEY.access_key_secret}
    acs = AcsClient(
        region_id="cn-hangzhou",
        port=urlsplit(cloud.ecs_url).port,
        auto_retry=False,
        timeout=5,
        proxy={"http": None, "https": None},
        **keywords,
    )
    OPENED.append(acs)
    return acs


def ask(cloud: Running, action: str, acs: Any = None, **params: Any) -> dict[str, Any]:
    """Send one POST whose parameters are in the query, as the SDKs of OOS do."""
    request = CommonRequest(
        domain=urlsplit(cloud.ecs_url).hostname, version="2019-06-01", action_name=action
    )
    request.set_accept_format("json")
    request.set_protocol_type("http")
    request.set_method("POST")
    for name, value in params.items():
        request.add_query_param(name, value if isinstance(value, str) else json.dumps(value))
    answer = json.loads((acs or client(cloud)).do_action_with_exception(request))
    assert isinstance(answer, dict)
    return answer


def control(cloud: Simulator, method: str, path: str, body: Any) -> Any:
    assert cloud.control_socket is not None
    status, answer = ask_control(cloud.control_socket, method, path, body)
    assert status == 200, answer
    return answer


def execution(cloud: Running, name: str) -> dict[str, Any]:
    (found,) = ask(cloud, "ListExecutions", ExecutionId=name)["Executions"]
    return dict(found)


def ended(cloud: Simulator, name: str) -> dict[str, Any]:
    """Return an execution when it has ended; the cloud's time goes twenty times as fast."""
    begun = time.monotonic()
    while time.monotonic() < begun + WAIT_S:
        shown = execution(cloud, name)
        if shown["Status"] not in ("Started", "Running"):
            return shown
        cloud.set_clock_offset(cloud.clock.offset_s + 1)
        time.sleep(0.05)
    raise AssertionError(f"never ended: {execution(cloud, name)}")


def armed(cloud: Simulator, **params: Any) -> str:
    """Start the rollback of the system disk to a snapshot and return its id once it sleeps."""
    (snapshot,) = cloud.add_snapshots("d-sys", 1, tags={})
    pairs = [{"disk": "d-sys", "snapshot": snapshot}]
    return begun(cloud, Parameters={"instanceId": "i-own", "pairs": pairs}, **params)


def begun(cloud: Running, **params: Any) -> str:
    """Start the rollback and return its id once it sleeps."""
    answer = ask(
        cloud,
        "StartExecution",
        TemplateContent=ROLLBACK,
        SafetyCheck="Skip",
        Tags={"owner": "i-own"},
        **params,
    )
    name = str(answer["Execution"]["ExecutionId"])
    until = time.monotonic() + WAIT_S
    while not execution(cloud, name)["CurrentTasks"]:
        assert time.monotonic() < until
        time.sleep(0.01)
    return name


def test_armed_rollback_carries_itself_out_when_its_time_has_come(cloud: Simulator) -> None:
    name = armed(cloud)
    cloud.set_clock_offset(1700)
    (found,) = ask(cloud, "ListExecutions", Tags={"owner": "i-own"}, Status="Running")["Executions"]
    assert [task["TaskName"] for task in found["CurrentTasks"]] == ["sleep"]
    control(cloud, "PUT", "clock", {"offset_s": 1810})
    assert ended(cloud, name)["Status"] == "Success"
    tasks = ask(cloud, "ListTaskExecutions", ExecutionId=name, SortOrder="Ascending")
    assert [(task["TaskName"], task["Status"]) for task in tasks["TaskExecutions"]] == [
        (each, "Success") for each in ("sleep", "stop", "reset", "settled", "start")
    ]
    called = [call.action for call in cloud.calls if call.action in _CHANGES]
    assert called == ["StopInstance", "ResetDisk", "StartInstance"]


_CHANGES = ("StopInstance", "ResetDisk", "StartInstance")


def test_armed_rollback_that_is_called_off_never_happens(cloud: Simulator) -> None:
    name = armed(cloud)
    ask(cloud, "CancelExecution", ExecutionId=name)
    cloud.set_clock_offset(7200)
    time.sleep(0.1)
    assert execution(cloud, name)["Status"] == "Cancelled"
    assert not [call for call in cloud.calls if call.action in _CHANGES]


def test_start_whose_answer_is_lost_is_repeated_with_its_token(cloud: Simulator) -> None:
    control(cloud, "POST", "faults", {"kind": "lost_reply", "action": "StartExecution"})
    with pytest.raises(ClientException):
        ask(cloud, "StartExecution", TemplateContent=ROLLBACK, ClientToken="once", **_GIVEN)
    again = ask(cloud, "StartExecution", TemplateContent=ROLLBACK, ClientToken="once", **_GIVEN)
    (found,) = ask(cloud, "ListExecutions")["Executions"]
    assert found["ExecutionId"] == again["Execution"]["ExecutionId"]


_GIVEN: dict[str, Any] = {"Parameters": {"instanceId": "i-own", "pairs": []}}


def test_role_session_of_an_instance_is_taken(cloud: Simulator) -> None:
    key = cloud.cloud.keys.mint(role="SnapSelfRole", session="i-own", lifetime_s=900)
    credential = StsTokenCredential(key.access_key_id, key.secret, key.token)
    acs = client(cloud, credential=credential)
    started = ask(cloud, "StartExecution", acs, TemplateContent=ROLLBACK, **_GIVEN)["Execution"]
    assert started["ExecutedBy"] == "SnapSelfRole:i-own(1234567890123456)"
    cloud.expire("sts")
    with pytest.raises(ServerException) as caught:
        ask(cloud, "ListExecutions", acs)
    assert caught.value.get_error_code() == "InvalidSecurityToken.Expired"


@pytest.mark.parametrize(
    ("action", "params", "code", "status"),
    [
        ("GetTemplate", {"TemplateName": "gone"}, "EntityNotExists.Template", 404),
        ("StartExecution", {"TemplateContent": "x"}, "InvalidTemplate", 400),
        ("NoSuchAction", {}, "InvalidAction.NotFound", 400),
    ],
)
def test_refusal_reaches_the_sdk_with_its_code(
    cloud: Simulator, action: str, params: dict[str, str], code: str, status: int
) -> None:
    with pytest.raises(ServerException) as caught:
        ask(cloud, action, **params)
    assert (caught.value.get_error_code(), caught.value.get_http_status()) == (code, status)


def test_denial_reaches_the_sdk_with_its_code(cloud: Simulator) -> None:
    cloud.set_policies(KEY.user)
    with pytest.raises(ServerException) as caught:
        ask(cloud, "ListExecutions")
    assert (caught.value.get_error_code(), caught.value.get_http_status()) == (
        "User.NoPermission",
        401,
    )


def test_clock_that_is_wrong_moves_no_armed_rollback(cloud: Simulator) -> None:
    name = armed(cloud)
    begun = execution(cloud, name)["CreateDate"]
    cloud.set_clock_skew(7200)
    shown = cloud.cloud.oos.records.executions[name]
    assert (shown.status, execution(cloud, name)["CreateDate"] > begun) == ("Running", True)


def test_state_that_the_control_service_shows_has_executions(cloud: Simulator) -> None:
    name = armed(cloud)
    shown = control(cloud, "GET", "state", None)
    assert shown["executions"][name]["status"] == "Running"
    (task,) = shown["task_executions"].values()
    assert (task["execution_id"], task["task"]["action"]) == (name, "ACS::Sleep")


def test_execution_outlives_a_simulator_that_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "cloud.json"
    disks = [{"disk_id": "d-sys", "size_gib": 1}]
    file.write_text(json.dumps({"instances": [{"instance_id": "i-own", "disks": disks}]}))
    kept = ("--executions", str(tmp_path / "executions"))
    arguments = ("--config", str(file), "--storage", "none", "--no-https", *kept)
    with simulator_running(*arguments) as first:
        given = {**_GIVEN["Parameters"], "sleep": "PT2S"}
        name = begun(first, Parameters=given)
        first.end(signal.SIGKILL)
    time.sleep(2)
    with simulator_running(*arguments) as second:
        until = time.monotonic() + WAIT_S
        while (seen := execution(second, name))["Status"] in ("Started", "Running"):
            assert time.monotonic() < until
            time.sleep(0.05)
        calls = second.control("GET", "calls")["calls"]
    assert seen["Status"] == "Success", seen["StatusMessage"]
    assert [call["action"] for call in calls if call["action"] in _CHANGES] == [
        "StopInstance",
        "StartInstance",
    ]

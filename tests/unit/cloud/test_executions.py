"""The calls of OOS: what is sent, and what is read of the answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fakes.clock import FakeClock
from fakes.rpc import KEYS, FakeRpc
from snap_self.cloud.caller import Caller
from snap_self.cloud.executions import OosExecutions
from snap_self.cloud.hosts import NO_DETOUR
from snap_self.errors import CloudAnswerUnclear, CloudRefused, PermissionRefused
from snap_self.model.executions import ExecutionOrder
from snap_self.model.ids import RegionId
from snap_self.ports import RpcFailed

ORDER = ExecutionOrder(
    content="FormatVersion: x",
    parameters={"count": 2, "others": ["d-2:s-2"], "snapshotFirst": False},
    description="back",
    tags={"snap-self-owner": "i-own"},
    client_token="rollback-1",
)


def calling(answer: Any) -> tuple[OosExecutions, FakeRpc]:
    rpc = FakeRpc(answering=lambda _action, _params: answer)
    caller = Caller(
        rpc,
        region=RegionId("cn-hangzhou"),
        credentials=lambda _: KEYS,
        clock=FakeClock(),
        random=lambda: 0.5,
        on_retry=lambda _: None,
        elsewhere=lambda _failure, _window: NO_DETOUR,
    )
    return OosExecutions(caller), rpc


STARTED = {"Execution": {"ExecutionId": "exec-1", "Status": "Started"}}


def test_template_is_sent_with_maps_as_json_and_no_safety_check() -> None:
    calls, rpc = calling(STARTED)
    assert calls.start(ORDER).execution_id == "exec-1"
    ((action, params),) = [(call.action, call.params) for call in rpc.calls]
    assert action == "StartExecution"
    assert json.loads(params["Parameters"]) == dict(ORDER.parameters)
    assert params["Tags"] == '{"snap-self-owner": "i-own"}'
    assert (params["SafetyCheck"], params["ClientToken"]) == ("Skip", "rollback-1")
    assert (params["TemplateContent"], "TemplateName" in params) == (ORDER.content, False)


def test_stored_template_is_named_where_no_content_is_given() -> None:
    calls, rpc = calling(STARTED)
    calls.start(
        ExecutionOrder(content="", parameters={}, description="", tags={}, client_token="t")
    )
    assert rpc.calls[0].params["TemplateName"] == "snap-self-rollback"
    assert "TemplateContent" not in rpc.calls[0].params


def refusing(code: str, status: int) -> OosExecutions:
    failure = RpcFailed(code=code, http_status=status, message="no")
    return calling(failure)[0]


def test_right_that_lacks_is_named_with_what_prints_the_policy() -> None:
    with pytest.raises(PermissionRefused) as caught:
        refusing("User.NoPermission", 401).start(ORDER)
    assert caught.value.action == "oos:StartExecution"
    assert "must allow oos:StartExecution on acs:oos:" in caught.value.hint
    assert "snap-self policy --rollback" in caught.value.hint


def test_template_that_the_account_does_not_keep_is_told() -> None:
    with pytest.raises(CloudRefused, match="keeps no OOS template snap-self-rollback") as caught:
        refusing("EntityNotExists.Template", 404).start(ORDER)
    assert "rollback.stored_template" in caught.value.hint


def test_executions_that_have_ended_do_not_go_on() -> None:
    statuses = ("Running", "Success", "Waiting", "Failed", "Started", "Cancelled", "Queued")
    listed = [{"ExecutionId": f"exec-{each}", "Status": each} for each in statuses]
    calls, rpc = calling({"Executions": listed})
    found = [each.status for each in calls.going_on({"snap-self-owner": "i-own"})]
    assert found == ["Running", "Waiting", "Started", "Queued"]
    assert json.loads(rpc.calls[0].params["Tags"]) == {"snap-self-owner": "i-own"}


def test_ended_ones_are_read_with_who_when_and_why() -> None:
    told = {
        "ExecutionId": "exec-1",
        "Status": "Failed",
        "StatusMessage": "no right",
        "ExecutedBy": "root(1)",
        "StartDate": "2026-11-22T08:32:25Z",
        "EndDate": "2026-11-22T08:40:00Z",
        "Tags": {"snap-self-run": "r-1", "odd": 7},
    }
    calls, _ = calling({"Executions": [told]})
    (one,) = calls.newest({})
    assert (one.said, one.by, one.tags) == ("no right", "root(1)", {"snap-self-run": "r-1"})
    assert one.began is not None
    assert one.finished is not None
    assert (one.finished - one.began).total_seconds() == 455


@pytest.mark.parametrize("name", ["StatusMessage", "ExecutedBy", "StartDate", "EndDate", "Tags"])
def test_what_cannot_be_read_of_one_hides_no_execution(name: str) -> None:
    calls, _ = calling({"Executions": [{"ExecutionId": "exec-1", "Status": "Running", name: [7]}]})
    (one,) = calls.newest({})
    assert (one.execution_id, one.began, one.finished, one.tags) == ("exec-1", None, None, {})


@pytest.mark.parametrize("answer", [{}, {"Executions": {}}, {"Executions": [7]}])
def test_list_that_is_not_as_documented_is_no_empty_one(answer: Any) -> None:
    calls, _ = calling(answer)
    with pytest.raises(CloudAnswerUnclear):
        calls.going_on({})


def test_answer_without_an_id_is_unclear() -> None:
    calls, _ = calling({"Execution": {}})
    with pytest.raises(CloudAnswerUnclear):
        calls.start(ORDER)


def test_start_whose_good_answer_names_nothing_may_be_done() -> None:
    calls, _ = calling({"Execution": {"Status": "Started"}})
    with pytest.raises(CloudAnswerUnclear) as caught:
        calls.start(ORDER)
    assert caught.value.maybe_done

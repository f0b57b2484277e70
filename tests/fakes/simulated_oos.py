"""Executions on the simulated cloud without sockets: templates written short, and what became."""

from __future__ import annotations

import json
from typing import Any

from ecs_simulator.config import SimulatorConfig
from fakes.simulated_cloud import TWO_DISKS, Answer, Signer, SocketlessCloud

Json = dict[str, Any]
PASS: Json = {"Action": "ACS::Notify", "Properties": {"NotifyType": "WebHook"}}


def api(call: str, **parameters: Any) -> Json:
    """Return the action and properties of a task that calls ECS."""
    properties = {"Service": "ECS", "API": call, "Parameters": parameters}
    return {"Action": "ACS::ExecuteAPI", "Properties": properties}


# Refused by ECS: there is no such disk.
FAIL = api("ResetDisk", DiskId="d-none", SnapshotId="s-none")


def picks(**selectors: str) -> Json:
    """Return a task's Outputs: ``name="String .Selector"``."""
    split = {name: text.partition(" ") for name, text in selectors.items()}
    outputs = {name: {"Type": kind, "ValueSelector": s} for name, (kind, _, s) in split.items()}
    return {"Outputs": outputs}


def waits(selector: str, *wanted: str, **parameters: Any) -> Json:
    """Return the action and properties of a task that waits for disks to be so."""
    task = api("DescribeDisks", **parameters)
    task["Properties"] |= {"PropertySelector": selector, "DesiredValues": [*wanted]}
    return {**task, "Action": "ACS::WaitFor"}


def template(*tasks: Json, **parts: Any) -> str:
    """Return a template's text; a task without a Name is called t1, t2 ..."""
    named = [{"Name": f"t{number}", **task} for number, task in enumerate(tasks, 1)]
    return json.dumps({"FormatVersion": "OOS-2019-06-01", "Tasks": named, **parts})


class OosCloud(SocketlessCloud):
    """A simulated cloud whose OOS is called by function."""

    def __init__(self, config: SimulatorConfig = TWO_DISKS) -> None:
        super().__init__(config)

    def oos(self, action: str, *, signer: Signer | None = None, **params: Any) -> Answer:
        """Send one signed call; what is no text goes as JSON."""
        texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in params.items()}
        return self.call(action, signer=signer, Version="2019-06-01", **texts)

    def started(self, content: str, **params: Any) -> str:
        """Return the id of a new execution of a template's text; nothing of it has run yet.

        Raises:
            AssertionError: the call was refused.
        """
        given = {"TemplateContent": content, "SafetyCheck": "Skip", **params}
        answer = self.oos("StartExecution", **given)
        assert answer.status == 200, answer
        return str(answer.body["Execution"]["ExecutionId"])

    def run(self, content: str, **params: Any) -> Json:
        """Start an execution, pass ten minutes and return it."""
        execution_id = self.started(content, **params)
        for _ in range(200):
            self.pass_time(3)
        return self.execution(execution_id)

    def execution(self, execution_id: str) -> Json:
        """Return one execution as listed; its Outputs are read."""
        (found,) = self.oos("ListExecutions", ExecutionId=execution_id).body["Executions"]
        return {**found, "Outputs": json.loads(found["Outputs"])}

    def status(self, execution_id: str) -> str:
        """Return one execution's status."""
        return str(self.execution(execution_id)["Status"])

    def tasks(self, execution_id: str, **params: Any) -> list[Json]:
        """Return an execution's tasks in their order."""
        wanted = {"ExecutionId": execution_id, "SortOrder": "Ascending", **params}
        return list(self.oos("ListTaskExecutions", **wanted).body["TaskExecutions"])

    def statuses(self, execution_id: str) -> dict[str, str]:
        """Return the status of each task of an execution."""
        return {task["TaskName"]: task["Status"] for task in self.tasks(execution_id)}

    def called(self, *actions: str) -> list[str]:
        """Return the ECS calls of these names, in their order."""
        return [call.action for call in self.api.calls.all() if call.action in actions]

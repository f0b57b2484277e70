"""The calls of OOS: start an execution of our template, see how far it is, and cancel it.

Source: OOS API 2019-06-01, StartExecution, ListExecutions, ListTaskExecutions, CancelExecution.
Tags go as one JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from snap_self.cloud import answers
from snap_self.cloud.caller import Caller
from snap_self.errors import CloudAnswerUnclear
from snap_self.model.actions import ROLLBACK_NAME
from snap_self.model.executions import Execution, ExecutionOrder, ExecutionTask

NEWEST = "50"
# More than our template has, whatever leads back to what.
MOST_TASKS = "100"


class OosExecutions:
    """Implement ``ports.Executions``; safe to use from several threads.

    Args:
        caller: of the region's OOS.
    """

    def __init__(self, caller: Caller) -> None:
        self._call = caller.call

    def start(self, order: ExecutionOrder, *, deadline_s: float | None = None) -> Execution:
        """Start an execution; the same order always names the same one."""
        template = (
            {"TemplateContent": order.content} if order.content else {"TemplateName": ROLLBACK_NAME}
        )
        params = {
            **template,
            "Mode": "Automatic",
            # Nobody is asked again outside: whoever starts it has agreed.
            "SafetyCheck": "Skip",
            "Parameters": json.dumps(dict(order.parameters)),
            "Description": order.description,
            "Tags": json.dumps(dict(order.tags)),
            "ClientToken": order.client_token,
        }
        answer = self._call("StartExecution", params, deadline_s=deadline_s)
        try:
            return answers.started_execution(answer)
        except CloudAnswerUnclear as error:
            error.maybe_done = True  # a good answer, so it was heard
            raise

    def going_on(
        self, tags: Mapping[str, str], *, deadline_s: float | None = None
    ) -> tuple[Execution, ...]:
        """Return the executions with these tags that have not ended, newest first."""
        every = self.newest(tags, deadline_s=deadline_s)
        return tuple(each for each in every if not each.ended)

    def newest(
        self, tags: Mapping[str, str], *, deadline_s: float | None = None
    ) -> tuple[Execution, ...]:
        """Return the executions with these tags, ended ones too, newest first."""
        params = {"Tags": json.dumps(dict(tags)), "MaxResults": NEWEST}
        answer = self._call("ListExecutions", params, deadline_s=deadline_s)
        return answers.executions(answer)

    def look(self, execution_id: str, *, deadline_s: float | None = None) -> Execution | None:
        """Return one execution; None where there is none of that id."""
        params = {"ExecutionId": execution_id}
        answer = self._call("ListExecutions", params, deadline_s=deadline_s)
        found = (each for each in answers.executions(answer) if each.execution_id == execution_id)
        return next(found, None)

    def tasks(
        self, execution_id: str, *, deadline_s: float | None = None
    ) -> tuple[ExecutionTask, ...]:
        """Return the tasks of one that were begun or left out, the latest first."""
        params = {"ExecutionId": execution_id, "MaxResults": MOST_TASKS}
        answer = self._call("ListTaskExecutions", params, deadline_s=deadline_s)
        return answers.execution_tasks(answer)

    def cancel(self, execution_id: str, *, deadline_s: float | None = None) -> None:
        """Have one end where it is; what it was before must be looked at."""
        self._call("CancelExecution", {"ExecutionId": execution_id}, deadline_s=deadline_s)

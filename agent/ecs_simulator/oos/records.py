"""What OOS keeps: templates, executions, their tasks and logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ecs_simulator.config import PolicyDocument
from ecs_simulator.oos.templates import Task, Template

# Source: the states of ListExecutions; Skipped is one of tasks alone.
STARTED, QUEUED, RUNNING, WAITING = "Started", "Queued", "Running", "Waiting"
SUCCESS, FAILED, CANCELLED, SKIPPED = "Success", "Failed", "Cancelled", "Skipped"
ENDED = frozenset((SUCCESS, FAILED, CANCELLED, SKIPPED))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTemplate:
    """One version of a template of the account."""

    template_id: str
    name: str
    version: int
    version_name: str
    template: Template
    created_by: str
    created_at: float
    updated_by: str
    updated_at: float
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Starter:
    """Who started an execution: the rights of one without a RAM role are the starter's."""

    kind: str
    name: str
    session_policy: PolicyDocument | None = field(default=None, repr=False)


@dataclass(slots=True, kw_only=True)
class Execution:
    """One execution.

    Args:
        parameters: of the template, with defaults.
        outputs_of: the outputs of its tasks that ended.
        task_id: the task of another execution that waits for this one.
        loop_item: what ``ACS::TaskLoopItem`` stands for in all of its tasks.
        steps: how many tasks it has entered.
        due_at: when its next step is due; None where it waits for something else, or has ended.
        next_task: which task it enters then; empty where it begins then.
    """

    execution_id: str
    number: int
    template: Template
    template_name: str
    template_id: str
    template_version: str
    parameters: dict[str, Any]
    ram_role: str
    starter: Starter
    safety_check: str
    created_at: float
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    status: str = STARTED
    status_message: str = ""
    started_at: float | None = None
    ended_at: float | None = None
    updated_at: float = 0.0
    outputs: dict[str, Any] = field(default_factory=dict)
    outputs_of: dict[str, dict[str, Any]] = field(default_factory=dict)
    parent_execution_id: str = ""
    task_id: str = ""
    loop_item: Any = None
    in_loop: bool = False
    is_parent: bool = False
    steps: int = 0
    due_at: float | None = None
    next_task: str = ""


@dataclass(slots=True, kw_only=True)
class TaskExecution:
    """One task of an execution, or one item of a looped one.

    Args:
        tries: how often a WaitFor has looked.
        approved: somebody let a high-risk call, or an Approve, pass.
        items: of a loop; ``begun`` of them have been begun.
        due_at: when its next turn is due; None where it waits for something else, or has ended.
    """

    task_id: str
    number: int
    execution_id: str
    task: Task
    created_at: float
    status: str = STARTED
    status_message: str = ""
    started_at: float | None = None
    ended_at: float | None = None
    updated_at: float = 0.0
    properties: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    parent_task_id: str = ""
    loop_item: Any = None
    tries: int = 0
    approved: bool = False
    items: list[Any] | None = None
    rate: dict[str, Any] = field(default_factory=dict)
    begun: int = 0
    child_execution_id: str = ""
    due_at: float | None = None


@dataclass(slots=True, kw_only=True)
class LogLine:
    """One line of an execution's log."""

    execution_id: str
    task_id: str
    written_at: float
    message: str


class Records:
    """Everything OOS keeps."""

    def __init__(self) -> None:
        self.templates: dict[str, list[StoredTemplate]] = {}
        self.executions: dict[str, Execution] = {}
        self.tasks: dict[str, TaskExecution] = {}
        self.logs: list[LogLine] = []
        self._number = 0

    def next_number(self) -> int:
        """Return the next number in order of creation."""
        self._number += 1
        return self._number

    def add(self, each: Execution | TaskExecution) -> None:
        """Take in one of an earlier simulator, with its number."""
        if isinstance(each, Execution):
            self.executions[each.execution_id] = each
        else:
            self.tasks[each.task_id] = each
        self._number = max(self._number, each.number)

    def everything(self) -> list[Execution | TaskExecution]:
        """Return executions and tasks in order of creation."""
        every: list[Execution | TaskExecution] = [*self.executions.values()]
        every += self.tasks.values()
        return sorted(every, key=lambda each: each.number)

    def tasks_of(self, execution_id: str) -> list[TaskExecution]:
        """Return an execution's tasks, loop items among them, in order of creation."""
        return [task for task in self.tasks.values() if task.execution_id == execution_id]

    def items_of(self, task_id: str) -> list[TaskExecution]:
        """Return the items of a looped task that have been begun."""
        return [task for task in self.tasks.values() if task.parent_task_id == task_id]

    def children_of(self, execution_id: str) -> list[Execution]:
        """Return the executions that an execution's tasks have begun."""
        return [e for e in self.executions.values() if e.parent_execution_id == execution_id]

    def running(self) -> int:
        """Return how many executions run, those that others began not counted."""
        own = (each for each in self.executions.values() if not each.parent_execution_id)
        return sum(each.status in (RUNNING, WAITING) for each in own)

    def queued(self) -> list[Execution]:
        """Return the executions that may not begin yet, in order of creation."""
        return [each for each in self.executions.values() if each.status == QUEUED]

    def shift(self, seconds: float) -> None:
        """Move every instant of every execution."""
        everything: list[Execution | TaskExecution | LogLine] = [*self.executions.values()]
        for record in (*everything, *self.tasks.values(), *self.logs):
            for each in fields(record):
                value = getattr(record, each.name)
                if each.name.endswith("_at") and value is not None:
                    setattr(record, each.name, value + seconds)

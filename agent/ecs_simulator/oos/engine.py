"""The engine: takes executions from state to state, one task at a time, in the simulator's time.

Nothing waits in it. Each step is an entry of the agenda, and all that a step needs is in the
records, also when it is due: another simulator that reads them goes on with it::

    Started -> [Queued ->] Running <-> Waiting -> Success | Failed | Cancelled

An execution waits for what comes from outside: for an approval. While it sleeps, or looks for a
value again and again, it is Running.

Source: "Status transition diagram" of the user guide.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from ecs_simulator.clock import Clock
from ecs_simulator.config import RoleConfig, SimulatorConfig
from ecs_simulator.errors import ApiError
from ecs_simulator.keys import KeyStore, Principal
from ecs_simulator.life import Agenda
from ecs_simulator.oos.actions import (
    Again,
    CallRefused,
    Child,
    Done,
    Held,
    Outcome,
    Turn,
    act,
)
from ecs_simulator.oos.expressions import Scope, evaluate, holds
from ecs_simulator.oos.faults import TaskFault, TemplateFault
from ecs_simulator.oos.functions import apply
from ecs_simulator.oos.loops import Rate, items_of
from ecs_simulator.oos.parameters import values_of
from ecs_simulator.oos.records import (
    CANCELLED,
    ENDED,
    FAILED,
    QUEUED,
    RUNNING,
    SKIPPED,
    STARTED,
    SUCCESS,
    WAITING,
    Execution,
    LogLine,
    Records,
    Starter,
    StoredTemplate,
    TaskExecution,
)
from ecs_simulator.oos.requests import flat
from ecs_simulator.oos.selecting import converted, select, typed
from ecs_simulator.oos.templates import END, LOOP, NEXT, Template, is_action
from ecs_simulator.state import Ids

SERVICE = "oos.aliyuncs.com"
# A template whose tasks lead back to each other would never end.
MAX_STEPS = 1000
SKIP_CHECK, CONFIRM = "Skip", "ConfirmEveryHighRiskAction"


class Calls(Protocol):
    """The cloud's other services, as the engine calls them."""

    def call_for(self, caller: Principal, action: str, params: Mapping[str, str]) -> dict[str, Any]:
        """Return the answer of an ECS operation.

        Raises:
            ApiError: it is refused.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """An execution that is to be started.

    Args:
        given: the values of the template's parameters.
        parent: the task that waits for it, and its execution.
    """

    template: Template
    stored: StoredTemplate | None = None
    given: Mapping[str, Any] = field(default_factory=dict)
    starter: Starter
    safety_check: str = CONFIRM
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    parent: tuple[Execution, TaskExecution] | None = None


class Engine:
    """Runs executions; hold ``lock`` while reading its records, and change them in ``changing``.

    The state's lock may be taken while this one is held, never the other way round.
    """

    def __init__(
        self, *, agenda: Agenda, clock: Clock, ids: Ids, keys: KeyStore, config: SimulatorConfig
    ) -> None:
        self.lock = threading.RLock()
        self.records = Records()
        self._keep: Callable[[Records], None] = lambda _records: None
        self._changes = 0
        self.calls: Calls | None = None
        self._agenda = agenda
        self._clock = clock
        self._ids = ids
        self._keys = keys
        self._config = config

    def start(self, wish: Wish) -> Execution:
        """Begin an execution of a template that was checked; its tasks follow.

        Raises:
            TemplateFault: a parameter's value is wrong.
            TaskFault: the template's RAM role, or a default, cannot be evaluated.
        """
        with self.changing():
            execution = self._execution(wish)
            self.records.executions[execution.execution_id] = execution
            self._log(execution, "", "The execution is started.")
            self._later(execution)
            return execution

    def _execution(self, wish: Wish) -> Execution:
        now, execution_id = self._clock.now(), self._new_id()
        own = self._own_names(execution_id)
        parameters = values_of(wish.template.parameters, wish.given, Scope(names=own))
        role = evaluate(wish.template.ram_role, Scope(names={**own, **parameters}))
        stored = wish.stored
        execution = Execution(
            execution_id=execution_id,
            number=self.records.next_number(),
            template=wish.template,
            template_name=stored.name if stored else "",
            template_id=stored.template_id if stored else self._ids.hexadecimal("t"),
            template_version=f"v{stored.version}" if stored else "v1",
            parameters=parameters,
            ram_role=str(role or ""),
            starter=wish.starter,
            safety_check=wish.safety_check,
            created_at=now,
            updated_at=now,
            description=wish.description,
            tags=dict(wish.tags),
        )
        if wish.parent is not None:
            parent, task = wish.parent
            execution.parent_execution_id = parent.execution_id
            execution.task_id = task.task_id
            execution.ram_role = execution.ram_role or parent.ram_role
            parent.is_parent = True
        return execution

    def _new_id(self) -> str:
        """Return an id that no record has: an earlier simulator may have had the same seed."""
        while True:
            name = self._ids.hexadecimal("exec")
            if name not in self.records.executions:
                return name

    def cancel(self, execution: Execution) -> None:
        """End an execution and all that it has begun, wherever it is."""
        self._stop(execution, CANCELLED, "The execution is cancelled.")
        for task in self.records.tasks_of(execution.execution_id):
            if task.status not in ENDED:
                self._settle(task, CANCELLED, "")
        for child in self.records.children_of(execution.execution_id):
            if child.status not in ENDED:
                self.cancel(child)

    def held(self, execution: Execution) -> list[TaskExecution]:
        """Return the tasks that wait for an approval, in an execution and all it has begun."""
        own = self.records.tasks_of(execution.execution_id)
        children = self.records.children_of(execution.execution_id)
        return [
            *(task for task in own if task.status == WAITING),
            *(task for child in children for task in self.held(child)),
        ]

    def _show_waiting(self, execution: Execution) -> None:
        """Have an execution, and those above it, wait as long as anything in them does."""
        execution.status = WAITING if self.held(execution) else RUNNING
        parent = self.records.executions.get(execution.parent_execution_id)
        if parent is not None:
            self._show_waiting(parent)

    def notify(self, tasks: list[TaskExecution], *, approved: bool, note: str) -> None:
        """Let tasks that wait for an approval go on, or fail."""
        for task in tasks:
            task.status = RUNNING
            self._show_waiting(self.records.executions[task.execution_id])
            if approved:
                task.approved = True
                self._later(task)
            else:
                self._end_task(task, FAILED, f"The task is rejected. {note}".strip())

    def _own_names(self, execution_id: str) -> dict[str, Any]:
        return {
            "ACS::RegionId": self._config.region_id,
            "ACS::AccountId": self._config.account_id,
            "ACS::ExecutionId": execution_id,
        }

    def _scope(self, execution: Execution, task: TaskExecution | None = None) -> Scope:
        names = {**self._own_names(execution.execution_id), **execution.parameters}
        if execution.in_loop:
            names["ACS::TaskLoopItem"] = execution.loop_item
        if task is not None and task.parent_task_id:
            names["ACS::TaskLoopItem"] = task.loop_item
        return Scope(
            names=names,
            outputs=execution.outputs_of,
            conditions=execution.template.conditions,
        )

    def _later(self, subject: Execution | TaskExecution, after_s: float = 0.0) -> None:
        """Have the next step of an execution or task done; which it is, its record tells."""
        subject.due_at = self._clock.now() + after_s
        self._agenda.after(after_s, partial(self._step, subject))

    def _step(self, subject: Execution | TaskExecution) -> None:
        with self.changing():
            if subject.status in ENDED or subject.due_at is None:
                return
            subject.due_at = None
            if isinstance(subject, TaskExecution):
                self._turn(subject)
            elif subject.next_task:
                self._enter(subject, subject.next_task)
            else:
                self._begin(subject)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the lock and change records, which are kept when the outermost change is done."""
        with self.lock:
            self._changes += 1
            try:
                yield
            finally:
                self._changes -= 1
                if not self._changes:
                    self._keep(self.records)

    def go_on_with(self, records: Records, keep: Callable[[Records], None]) -> None:
        """Take over the records of an earlier simulator; what fell due meanwhile is done now.

        A step that the earlier one was at when it was killed is done again.

        Args:
            keep: is given the records after each change.
        """
        with self.changing():
            self.records, self._keep = records, keep
            now = self._clock.now()
            for each in records.everything():
                if each.due_at is not None and each.status not in ENDED:
                    self._agenda.after(each.due_at - now, partial(self._step, each))

    def _log(self, execution: Execution, task_id: str, message: str) -> None:
        now = self._clock.now()
        self.records.logs.append(
            LogLine(
                execution_id=execution.execution_id,
                task_id=task_id,
                written_at=now,
                message=message,
            )
        )

    # Executions.

    def _begin(self, execution: Execution) -> None:
        if execution.status not in (STARTED, QUEUED):
            return  # several that ended have made room for it
        limit = self._config.executions_at_once
        if not execution.parent_execution_id and self.records.running() >= limit:
            execution.status = QUEUED
            return
        execution.status = RUNNING
        execution.started_at = execution.updated_at = self._clock.now()
        self._enter(execution, execution.template.tasks[0].name)

    def _go_to(self, execution: Execution, name: str, after: str) -> None:
        """Go on with a task, or with what ``ACS::NEXT`` or ``ACS::END`` mean after one."""
        target = execution.template.after(after) if name == NEXT else name
        if target == END:
            self._succeed(execution)
        else:
            execution.next_task = target
            self._later(execution)

    def _succeed(self, execution: Execution) -> None:
        scope = self._scope(execution)
        try:
            execution.outputs = {
                name: converted(evaluate(each.get("Value"), scope), each.get("Type", "String"))
                for name, each in execution.template.outputs.items()
            }
        except TaskFault as fault:
            self._stop(execution, FAILED, str(fault))
        else:
            self._stop(execution, *self._end_of(execution))

    def _end_of(self, execution: Execution) -> tuple[str, str]:
        """Return the status and message of an execution that came to its end."""
        tasks = self.records.tasks_of(execution.execution_id)
        failed = [each for each in tasks if each.status == FAILED and not each.parent_task_id]
        if failed and self._config.handled_errors_fail:
            return FAILED, failed[0].status_message
        return SUCCESS, ""

    def _stop(self, execution: Execution, status: str, message: str) -> None:
        execution.status, execution.status_message = status, message
        execution.ended_at = execution.updated_at = self._clock.now()
        self._log(execution, "", f"The execution ended: {status}. {message}".strip())
        for queued in self.records.queued():
            self._later(queued)
        parent = self.records.tasks.get(execution.task_id)
        if parent is None or parent.status in ENDED:
            return
        if status == SUCCESS:
            self._end_task(parent, SUCCESS, "", self._result(execution, parent))
        else:
            self._end_task(parent, FAILED, message)

    def _result(self, execution: Execution, parent: TaskExecution) -> Any:
        """Return what a child execution gives the task that waited for it."""
        if not is_action(parent.task.action, LOOP):
            return execution.outputs
        own = execution.template.tasks
        return {
            f"{task.name}.{name}": value
            for task in own
            for name, value in execution.outputs_of.get(task.name, {}).items()
        }

    # Tasks.

    def _enter(self, execution: Execution, name: str) -> None:
        execution.steps += 1
        if execution.steps > MAX_STEPS:
            self._stop(execution, FAILED, f"More than {MAX_STEPS} tasks were run.")
            return
        task = self._task(execution, name)
        self._log(execution, task.task_id, f"The task {name} started.")
        try:
            if task.task.when is not None and not holds(task.task.when, self._scope(execution)):
                self._settle(task, SKIPPED, "")
                self._go_to(execution, NEXT, name)
            elif task.task.loop is not None or is_action(task.task.action, LOOP):
                self._begin_loop(execution, task)
            else:
                self._turn(task)
        except TaskFault as fault:
            self._end_task(task, FAILED, str(fault))

    def _task(self, execution: Execution, name: str) -> TaskExecution:
        begun = [t for t in self.records.tasks_of(execution.execution_id) if not t.parent_task_id]
        return self._add_task(
            TaskExecution(
                task_id=f"{execution.execution_id}.t{len(begun) + 1:04d}",
                number=self.records.next_number(),
                execution_id=execution.execution_id,
                task=execution.template.task(name),
                created_at=self._clock.now(),
            )
        )

    def _add_task(self, task: TaskExecution) -> TaskExecution:
        task.status = RUNNING
        task.started_at = task.updated_at = task.created_at
        self.records.tasks[task.task_id] = task
        return task

    def _turn(self, task: TaskExecution) -> None:
        execution = self.records.executions[task.execution_id]
        try:
            outcome = act(self._turn_of(execution, task))
            self._take(execution, task, outcome)
        except (TaskFault, TemplateFault) as fault:
            self._end_task(task, FAILED, str(fault))

    def _turn_of(self, execution: Execution, task: TaskExecution) -> Turn:
        scope = self._scope(execution, task)
        task.properties = {
            # The tasks of a loop are evaluated when they are run.
            name: value if name == "LoopTasks" else evaluate(value, scope)
            for name, value in task.task.properties.items()
        }
        return Turn(
            task=task,
            scope=scope,
            properties=task.properties,
            now=self._clock.now(),
            call=partial(self._call, execution),
            confirms=execution.safety_check == CONFIRM,
            stored=lambda name, version: self.stored(name, version).template,
        )

    def _take(self, execution: Execution, task: TaskExecution, outcome: Outcome) -> None:
        if isinstance(outcome, Done):
            self._end_task(task, SUCCESS, "", outcome.result, outcome.next_task)
        elif isinstance(outcome, Again):
            self._later(task, outcome.after_s)
        elif isinstance(outcome, Held):
            task.status = WAITING
            self._show_waiting(execution)
        else:
            self._begin_child(execution, task, outcome)

    def _begin_child(self, execution: Execution, task: TaskExecution, child: Child) -> None:
        begun = self.start(
            Wish(
                template=child.template,
                given=child.given or {},
                starter=execution.starter,
                safety_check=execution.safety_check,
                parent=(execution, task),
            )
        )
        begun.template_name = child.name
        begun.in_loop = execution.in_loop
        begun.loop_item = execution.loop_item
        if child.given is None:
            begun.parameters = dict(execution.parameters)
            begun.outputs_of = dict(execution.outputs_of)
            begun.in_loop, begun.loop_item = True, task.loop_item
        task.child_execution_id = begun.execution_id

    def _end_task(
        self,
        task: TaskExecution,
        status: str,
        message: str,
        result: Any = None,
        next_task: str = "",
    ) -> None:
        execution = self.records.executions[task.execution_id]
        if status == SUCCESS:
            try:
                self._pick_outputs(task, result)
            except TaskFault as fault:
                status, message = FAILED, str(fault)
        self._settle(task, status, message)
        if task.parent_task_id:
            self._go_on_with_loop(execution, self.records.tasks[task.parent_task_id])
            return
        name = task.task.name
        execution.outputs_of[name] = task.outputs
        if status == SUCCESS:
            self._go_to(execution, next_task or task.task.on_success, name)
        elif task.task.on_error == END:
            self._stop(execution, FAILED, message)
        else:
            self._go_to(execution, task.task.on_error, name)

    def _pick_outputs(self, task: TaskExecution, result: Any) -> None:
        if is_action(task.task.action, LOOP) or task.items is not None:
            task.outputs = dict(result or {})
            return
        now = self._clock.now()
        task.outputs = {
            each.name: typed(select(each.selector, result, now=now), each.kind)
            for each in task.task.outputs
        }

    def _settle(self, task: TaskExecution, status: str, message: str) -> None:
        task.status, task.status_message = status, message
        task.ended_at = task.updated_at = self._clock.now()
        execution = self.records.executions[task.execution_id]
        execution.updated_at = task.ended_at
        said = "completed" if status == SUCCESS else f"ended: {status}"
        text = f"The task {task.task.name} {said}. {message}".strip()
        self._log(execution, task.task_id, text)

    # Loops.

    def _begin_loop(self, execution: Execution, task: TaskExecution) -> None:
        properties, loop = task.task.properties, task.task.loop
        if loop is None:
            items, rate = properties.get("LoopItems"), properties.get("LoopRateControl")
        else:
            items, rate = loop["Items"], loop.get("RateControl")
        scope = self._scope(execution)
        task.items = items_of(evaluate(items, scope))
        task.rate = converted(evaluate(rate or {}, scope), "Json")
        if not isinstance(task.rate, dict):
            raise TaskFault("RateControl is a map.")
        Rate.of(task.rate, len(task.items))
        self._go_on_with_loop(execution, task)

    def _go_on_with_loop(self, execution: Execution, loop: TaskExecution) -> None:
        if loop.status in ENDED or execution.status in ENDED:
            return
        items = loop.items or []
        rate = Rate.of(loop.rate, len(items))
        begun = self.records.items_of(loop.task_id)
        running = sum(item.status not in ENDED for item in begun)
        failed = [item for item in begun if item.status == FAILED]
        if len(failed) > rate.max_errors:
            if not running:
                message = f"{len(failed)} of {len(items)} items failed: {failed[0].status_message}"
                self._end_task(loop, FAILED, message)
            return
        room = rate.room(begun=loop.begun, running=running)
        for _ in range(room):
            self._begin_item(execution, loop, items[loop.begun])
        if not room and not running:
            self._end_loop(loop, [item for item in begun if item.status == SUCCESS])

    def _begin_item(self, execution: Execution, loop: TaskExecution, item: Any) -> None:
        loop.begun += 1
        task = self._add_task(
            TaskExecution(
                task_id=f"{loop.task_id}.{loop.begun:04d}",
                number=self.records.next_number(),
                execution_id=execution.execution_id,
                task=loop.task,
                created_at=self._clock.now(),
                parent_task_id=loop.task_id,
                loop_item=item,
            )
        )
        self._later(task)

    def _end_loop(self, loop: TaskExecution, done: list[TaskExecution]) -> None:
        try:
            outputs = {
                each.name: apply(each.function, [item.outputs.get(each.member) for item in done])
                for each in loop.task.aggregates
            }
        except TaskFault as fault:
            self._end_task(loop, FAILED, str(fault))
        else:
            self._end_task(loop, SUCCESS, "", outputs)

    # Rights and other services.

    def stored(self, name: str, version: str = "") -> StoredTemplate:
        """Return a template of the account; without a version its latest.

        Raises:
            TemplateFault: there is none.
        """
        versions = self.records.templates.get(name, [])
        for each in reversed(versions):
            if version in ("", f"v{each.version}", each.version_name):
                return each
        raise TemplateFault(f"There is no template {name} {version}".strip() + ".")

    def _call(
        self, execution: Execution, service: str, api: str, parameters: Mapping[str, Any]
    ) -> dict[str, Any]:
        if service.lower() != "ecs" or self.calls is None:
            raise TaskFault(f"The service {service} is not simulated.")
        params = {"RegionId": self._config.region_id, **flat(api, parameters)}
        try:
            return self.calls.call_for(self.caller_of(execution), api, params)
        except ApiError as error:
            status = error.status_for(api)
            passing = status >= 500 or error.code.startswith("Throttling")
            text = f"The call of {api} failed. Code: {error.code}, Message: {error.text()}"
            raise CallRefused(text, passing=passing) from None

    def caller_of(self, execution: Execution) -> Principal:
        """Return with whose rights an execution acts.

        Raises:
            TaskFault: the service cannot assume its role.
        """
        starter = execution.starter
        assumed = execution.ram_role or self._config.default_oos_role
        if not assumed:
            age_s = self._clock.now() - execution.created_at
            if starter.kind == "AssumedRoleUser" and age_s > self._config.starter_rights_s:
                raise TaskFault("Code: InvalidSecurityToken.Expired, Message: of the starter")
            return self._keys.principal(
                starter.kind, starter.name, session_policy=starter.session_policy
            )
        role = self.role(assumed)
        return self._keys.principal("AssumedRoleUser", f"{role.name}:{execution.execution_id}")

    def role(self, name: str) -> RoleConfig:
        """Return a role that trusts the service.

        Raises:
            TaskFault: there is none of that name, or it does not trust it.
        """
        short = name.rpartition("/")[2]
        role = next((role for role in self._config.roles if role.name == short), None)
        if role is None:
            raise TaskFault(f"Assumes role failed. Code: EntityNotExist.Role, Message: {name}")
        if not {"*", SERVICE} & {*role.trusted}:
            raise TaskFault(f"Assumes role failed. Code: NoPermission, Message: {name}")
        return role

"""What OOS keeps, in a file: executions outlive the simulator that began them, as they outlive
whatever they act on.

A template is kept as its text. One without a text is that of a child, and follows from the task
that began it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from ecs_simulator.oos.actions import loop_tasks
from ecs_simulator.oos.products import product_template
from ecs_simulator.oos.records import (
    Execution,
    LogLine,
    Records,
    Starter,
    StoredTemplate,
    TaskExecution,
)
from ecs_simulator.oos.templates import Template, read_template
from ecs_simulator.storage import own
from ecs_simulator.storage.kernel import StorageError

Json = dict[str, Any]
_APART = frozenset(("template", "task", "starter"))


def load(path: Path) -> Records:
    """Return what was kept in a file; nothing where there is none yet.

    Raises:
        StorageError: it is not such a file, or others can replace it.
    """
    own.check_way(path.parent)
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return _records(kept)
    except FileNotFoundError:
        return Records()
    except (ValueError, LookupError, TypeError, StopIteration) as error:
        raise StorageError(f"{path} has no executions of this version: {error!r}") from error


def save(path: Path, records: Records) -> None:
    """Put the records into a file, in place of those before.

    Raises:
        OSError: it cannot be written.
    """
    beside = path.with_name(f"{path.name}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(beside, flags, 0o600), "w", encoding="utf-8") as file:
        json.dump(_plain(records), file)
    beside.replace(path)


def _plain(records: Records) -> Json:
    stored = [each for versions in records.templates.values() for each in versions]
    everything = records.everything()
    executions = [each for each in everything if isinstance(each, Execution)]
    return {
        "templates": [{**_values(each), "template": each.template.content} for each in stored],
        "executions": [
            {**_values(each), "template": each.template.content, "starter": asdict(each.starter)}
            for each in executions
        ],
        "tasks": [
            {**_values(each), "task": each.task.name}
            for each in everything
            if isinstance(each, TaskExecution)
        ],
        "logs": [_values(line) for line in records.logs],
    }


def _values(record: StoredTemplate | Execution | TaskExecution | LogLine) -> Json:
    values = {each.name: getattr(record, each.name) for each in fields(record)}
    kept = {name: value for name, value in values.items() if name not in _APART}
    return {name: dict(v) if isinstance(v, Mapping) else v for name, v in kept.items()}


def _records(kept: Json) -> Records:
    records = Records()
    for each in kept["templates"]:
        stored = StoredTemplate(**{**each, "template": read_template(each["template"])})
        records.templates.setdefault(stored.name, []).append(stored)
    # A task is younger than its execution, and a child than the task that began it.
    for each in sorted([*kept["executions"], *kept["tasks"]], key=lambda one: int(one["number"])):
        records.add(_task(each, records) if "task" in each else _execution(each, records))
    records.logs = [LogLine(**each) for each in kept["logs"]]
    return records


def _execution(kept: Json, records: Records) -> Execution:
    text, parent = kept["template"], records.tasks.get(kept["task_id"])
    template = read_template(text) if text else _child_template(parent)
    return Execution(**{**kept, "template": template, "starter": Starter(**kept["starter"])})


def _child_template(parent: TaskExecution | None) -> Template:
    if parent is None:
        raise LookupError("an execution without a template")
    product = product_template(parent.task.action)
    return product or Template(content="", tasks=loop_tasks(parent.task))


def _task(kept: Json, records: Records) -> TaskExecution:
    template = records.executions[kept["execution_id"]].template
    return TaskExecution(**{**kept, "task": template.task(kept["task"])})

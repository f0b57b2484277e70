"""What a package manager's hook works with, in memory."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from snap_self.changes.conversation import Conversation
from snap_self.model.hook_facts import Ancestor, Facts, JobEnd, Kept
from snap_self.model.hook_settings import HookSettings
from snap_self.model.packages import Transaction
from snap_self.usecases.before_change import BeforeChange

RUN_ID = "20261122t220000z-abc123"


def made_report(**changes: Any) -> bytes:
    """Return what the main job says of a snapshot that it made."""
    report = {
        "result": "done",
        "error": None,
        "run": {"id": RUN_ID},
        "snapshots": [{"snapshot_id": "s-1"}],
        "consistency": {"asked": "flush", "reached": "flush", "why": ""},
        "not_covered": [],
    }
    return json.dumps({**report, **changes}).encode()


class FakeConversation(Conversation):
    """Announces what it is given and keeps what it is told."""

    def __init__(self, announced: Transaction | ValueError | None) -> None:
        super().__init__(io.BytesIO(), io.BytesIO(), io.StringIO(), {}, cast(Any, None))
        self._announced = announced
        self.told: list[str] = []
        self.answers: list[str] = []
        self.kept_alive = 0

    def transaction(self) -> Transaction | None:
        """Return or raise what was given."""
        if isinstance(self._announced, ValueError):
            raise self._announced
        return self._announced

    def say(self, text: str) -> None:
        """Keep the line."""
        self.told.append(text)

    def keep_alive(self) -> None:
        """Count."""
        self.kept_alive += 1

    def proceed(self) -> int:
        """Keep the answer."""
        self.answers.append("proceed")
        return super().proceed()

    def stop(self, reason: str) -> int:
        """Keep the answer."""
        self.answers.append(f"stop: {reason}")
        return super().stop(reason)


@dataclass(slots=True, kw_only=True)
class FakeHookState:
    """The state between calls."""

    calls: list[Kept] = field(default_factory=list)
    until: float = 0.0
    useless: dict[str, str] = field(default_factory=dict)
    logged: list[tuple[str, str, Transaction]] = field(default_factory=list)

    def kept(self) -> Sequence[Kept]:
        """Return the calls."""
        return tuple(self.calls)

    def keep(self, one: Kept) -> None:
        """Keep a call."""
        self.calls.append(one)

    def spoiled(self, folder: str, run_id: str) -> str:
        """Return what was put there."""
        return self.useless.get(run_id, "")

    def skip_until(self) -> float:
        """Return the moment."""
        return self.until

    def log(self, folder: str, run_id: str, transaction: Transaction) -> None:
        """Keep the entry."""
        self.logged.append((folder, run_id, transaction))


@dataclass(slots=True, kw_only=True)
class FakeHookMachine:
    """An ECS instance on which somebody typed one command."""

    container: str = ""
    stopping: bool = False
    action: str = "apt"
    up_s: float = 1000.0
    read: int = 0

    def facts(self, transaction: Transaction, *, skip_until: float, metadata_named: bool) -> Facts:
        """Return the facts."""
        self.read += 1
        return Facts(
            told=transaction.skip,
            root=transaction.root,
            skip_until=skip_until,
            now=1.0,
            container=self.container,
            product="Alibaba Cloud ECS\n",
            metadata_named=metadata_named,
            stopping=self.stopping,
        )

    def ancestors(self) -> Sequence[Ancestor]:
        """Return the command and what it was typed into."""
        command = Ancestor(50, 1, self.action, (self.action,))
        return (command, Ancestor(40, 1, "bash", ("-bash",)), Ancestor(1, 0, "systemd"))

    def uptime_s(self) -> float:
        """Return the seconds."""
        return self.up_s


@dataclass(slots=True, kw_only=True)
class FakeJob:
    """Ends as it is told to, and keeps what it was asked."""

    ended: JobEnd = field(default_factory=lambda: JobEnd(0, out=made_report(), took_s=2.0))
    asked: list[dict[str, str]] = field(default_factory=list)
    limits: list[float] = field(default_factory=list)

    def __call__(
        self, options: Sequence[str], *, limit_s: float, tick: Callable[[], None]
    ) -> JobEnd:
        """Note the options that have a value, tick once, and end."""
        pairs = zip(options[:-2:2], options[1:-2:2], strict=True)
        self.asked.append(dict(pairs) | dict.fromkeys(options[-2:], ""))
        self.limits.append(limit_s)
        tick()
        return self.ended


@dataclass(slots=True, kw_only=True)
class HookCall:
    """One call of a hook after the other, on one machine."""

    settings: HookSettings = field(default_factory=HookSettings)
    state: FakeHookState = field(default_factory=FakeHookState)
    machine: FakeHookMachine = field(default_factory=FakeHookMachine)
    job: FakeJob = field(default_factory=FakeJob)
    env: Mapping[str, str] = field(default_factory=dict)

    def answer(self, announced: Transaction | ValueError | None) -> tuple[int, FakeConversation]:
        """Make a call and return its exit status and what was said."""
        conversation = FakeConversation(announced)
        call = BeforeChange(
            conversation,
            self.settings,
            manager=announced.manager if isinstance(announced, Transaction) else "apt",
            state=self.state,
            machine=lambda: self.machine,
            job=self.job,
            env=self.env,
        )
        return call.answer(), conversation

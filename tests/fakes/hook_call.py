"""What a package manager's hook works with, in memory."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from snap_self.changes.conversation import Conversation
from snap_self.model.job_end import Ending, JobEnd, Longer
from snap_self.model.manager_facts import Ancestor, Asked, Facts, Kept, Mounted
from snap_self.model.manager_settings import ManagerSettings
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
        "disks": [{"mounts": [{"path": "/", "fstype": "ext4"}]}],
        "not_covered": [],
    }
    return json.dumps({**report, **changes}).encode()


def found_cover(*, serves: bool = True, gone: Sequence[str] = ()) -> JobEnd:
    """Return how the process ends that asked the cloud for an earlier snapshot."""
    said = {"schema": 1, "run": RUN_ID, "serves": serves, "gone": list(gone), "failed": []}
    return JobEnd(Ending.EXITED, status=0, out=json.dumps(said).encode(), took_s=1.0)


class FakeConversation(Conversation):
    """Announces what it is given and keeps what it is told."""

    def __init__(self, announced: Transaction | ValueError | None) -> None:
        super().__init__(io.BytesIO(), io.BytesIO(), io.StringIO(), {}, cast(Any, None))
        self.announced = announced
        self.told: list[str] = []
        self.answers: list[str] = []
        self.kept_alive = 0

    def transaction(self) -> Transaction | None:
        """Return or raise what was given."""
        if isinstance(self.announced, ValueError):
            raise self.announced
        return self.announced

    def tell(self, line: str) -> None:
        """Keep the line."""
        self.told.append(line)

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
class FakeManagerState:
    """The state between calls."""

    calls: list[Kept] = field(default_factory=list)
    until: float = 0.0
    rehearses: str = ""
    rehearsed: list[tuple[str, str, bool]] = field(default_factory=list)
    logged: list[tuple[str, str, Transaction]] = field(default_factory=list)
    journal: dict[int, Asked] = field(default_factory=dict)
    searched: list[tuple[str, int]] = field(default_factory=list)

    def kept(self) -> Sequence[Kept]:
        """Return the calls."""
        return tuple(self.calls)

    def keep(self, one: Kept) -> None:
        """Keep a call."""
        self.calls.append(one)

    def rehearsal_of(self, keys: Sequence[str]) -> str:
        """Return the folder, if its process is among these."""
        return "/stage" if self.rehearses and self.rehearses in keys else ""

    def note_rehearsal(self, place: str, skipped: str, *, whole: bool) -> None:
        """Keep the note."""
        self.rehearsed.append((place, skipped, whole))

    def skip_until(self) -> float:
        """Return the moment."""
        return self.until

    def asked_by(self, folder: str, pid: int) -> Asked | None:
        """Return what the journal knows of that process."""
        self.searched.append((folder, pid))
        return self.journal.get(pid)

    def log(self, folder: str, run_id: str, transaction: Transaction) -> None:
        """Keep the entry."""
        self.logged.append((folder, run_id, transaction))


@dataclass(slots=True, kw_only=True)
class FakeManagerMachine:
    """An ECS instance on which somebody typed one command."""

    container: str = ""
    sure: bool = False
    stopping: bool = False
    action: str = "apt"
    above: int = 50
    mounted: Sequence[tuple[str, str]] = (("/", "ext4"), ("/proc", "proc"), ("/mnt/nas", "nfs4"))
    up_s: float = 1000.0
    read: int = 0
    terminal: bool = True

    def facts(self, transaction: Transaction, *, skip_until: float, metadata_named: bool) -> Facts:
        """Return the facts."""
        self.read += 1
        return Facts(
            told=transaction.skip,
            root=transaction.root,
            skip_until=skip_until,
            now=1.0,
            container=self.container,
            container_sure=self.sure,
            product="Alibaba Cloud ECS\n",
            metadata_named=metadata_named,
            stopping=self.stopping,
        )

    def ancestors(self) -> Sequence[Ancestor]:
        """Return the command and what it was typed into."""
        command = Ancestor(self.above, 1, self.action, (self.action,), terminal=self.terminal)
        return (command, Ancestor(40, 1, "bash", ("-bash",)), Ancestor(1, 0, "systemd"))

    def mounts(self) -> Sequence[Mounted]:
        """Return the mounts."""
        return [Mounted(path, fstype) for path, fstype in self.mounted]

    def uptime_s(self) -> float:
        """Return the seconds."""
        return self.up_s


@dataclass(slots=True, kw_only=True)
class FakeJob:
    """Ends as it is told to, and keeps what it was asked.

    Args:
        orphans: the machine on which whoever started the hook is killed meanwhile.
        cover: how it ends when it is asked for an earlier snapshot.
        notices: what it tells before it ends.
    """

    ended: JobEnd = field(
        default_factory=lambda: JobEnd(Ending.EXITED, status=0, out=made_report(), took_s=2.0)
    )
    asked: list[dict[str, str]] = field(default_factory=list)
    limits: list[float] = field(default_factory=list)
    longer: list[Longer | None] = field(default_factory=list)
    notices: Sequence[tuple[str, float]] = ()
    orphans: FakeManagerMachine | None = None
    cover: JobEnd = field(default_factory=lambda: found_cover())
    looked: list[tuple[tuple[str, ...], float]] = field(default_factory=list)

    def __call__(
        self,
        options: Sequence[str],
        *,
        limit_s: float,
        tick: Callable[[], None],
        longer: Longer | None = None,
    ) -> JobEnd:
        """Note the options that have a value, tick once, and end."""
        if options[0] == "hook":
            self.looked.append((tuple(options), limit_s))
            return self.cover
        pairs = zip(options[:-3:2], options[1:-3:2], strict=True)
        self.asked.append(dict(pairs) | dict.fromkeys(options[-3:], ""))
        self.limits.append(limit_s)
        self.longer.append(longer)
        if longer is not None:
            for word, seconds in self.notices:
                longer.told(word, seconds)
        tick()
        if self.orphans is not None:
            self.orphans.above = 1
        return self.ended


@dataclass(slots=True, kw_only=True)
class ManagerCall:
    """One call of a hook after the other, on one machine."""

    settings: ManagerSettings = field(default_factory=ManagerSettings)
    state: FakeManagerState = field(default_factory=FakeManagerState)
    machine: FakeManagerMachine = field(default_factory=FakeManagerMachine)
    job: FakeJob = field(default_factory=FakeJob)
    env: Mapping[str, str] = field(default_factory=dict)
    bare: list[tuple[str, str, str]] = field(default_factory=list)
    broken_off: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)

    def told_broken_off(self, manager: str, *, run_id: str, snapshots: Sequence[str]) -> None:
        """Note that an interrupted hook's change may have been made."""
        self.broken_off.append((manager, run_id, tuple(snapshots)))

    def told_bare(self, manager: str, *, code: str, text: str, run_id: str) -> None:
        """Note that a change went on without a snapshot to rely on."""
        assert text
        self.bare.append((manager, code, run_id))

    def answer(self, announced: Transaction | ValueError | None) -> tuple[int, FakeConversation]:
        """Make a call and return its exit status and what was said."""
        conversation = FakeConversation(announced)
        return self.answer_in(conversation), conversation

    def answer_in(self, conversation: FakeConversation) -> int:
        """Make a call in this conversation and return its exit status."""
        announced = conversation.announced
        conversation.env = self.env
        return BeforeChange(
            conversation,
            self.settings,
            manager=announced.manager if isinstance(announced, Transaction) else "apt",
            state=self.state,
            machine=lambda: self.machine,
            job=self.job,
            env=self.env,
            bare=self.told_bare,
            broken_off=self.told_broken_off,
        ).answer()

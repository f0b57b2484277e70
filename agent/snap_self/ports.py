"""Protocols for every effect outside the process; adapters in ``system/``, twins in tests."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:  # whoever has such a value has loaded its module; the others need not
    from pathlib import Path

    from snap_self.model.command import Ended, NotStartable
    from snap_self.model.endpoint import Endpoint, NetFault, NoWay
    from snap_self.model.executions import Execution, ExecutionOrder, ExecutionTask
    from snap_self.model.flushed import Synced
    from snap_self.model.flushing import FlushTarget, MountWay
    from snap_self.model.guardian import Source
    from snap_self.model.hooks import HookCommand, ProcessView
    from snap_self.model.identity import AccountRules, Peer, ProcessIdentity
    from snap_self.model.ids import RunId
    from snap_self.model.kept_state import KeptState
    from snap_self.model.machine import MachineText, PathFact
    from snap_self.model.notifying import Pace
    from snap_self.model.report import UploadWatch
    from snap_self.model.run import RunRecord
    from snap_self.model.servers import ProcessFact
    from snap_self.model.snapshots import Credentials
    from snap_self.model.trust import PathHop


class Clock(Protocol):
    """The time, and waiting for it."""

    def now(self) -> datetime:
        """Return the wall clock, UTC-aware."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back and go on during suspend (CLOCK_BOOTTIME)."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait that long."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One request to an unsigned HTTP service (metadata, credentials URI, STS).

    Args:
        timeout_s: for connecting and for each read.
        max_bytes: a longer body is an error.
        total_s: for the whole exchange, name lookup included.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    timeout_s: float = 2.0
    max_bytes: int = 65536
    total_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """What came back; redirects are not followed, so they are answers too."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class HttpFailed(Exception):
    """No usable answer: refused, reset, timed out, body too long. The text holds no secret.

    Args:
        hint: what mends it, where that is known.
        lasting: trying again cannot mend it.
        reason: the same without any part of the URL, whose path may be a secret.
    """

    def __init__(
        self, message: str, *, hint: str = "", lasting: bool = False, reason: str = ""
    ) -> None:
        super().__init__(message)
        self.hint = hint
        self.lasting = lasting
        self.reason = reason or message


class HttpTransport(Protocol):
    """Sends one request: no proxy, no redirect, no cookie, body capped."""

    def send(self, request: HttpRequest) -> HttpResponse:
        """Return the answer.

        Raises:
            HttpFailed: there was none.
        """
        ...


class RpcFailed(Exception):
    """An ECS call without a good answer.

    Args:
        code: the API's ``Code``; empty when no answer came, or none that could be read.
        http_status: 0 when no answer came.
        maybe_done: the request may have taken effect although no good answer came.
        message: the API's message with URLs, tokens and signatures removed.
        lasting: trying again cannot mend it although no answer came (certificate not trusted).
        host: which host was asked.
        way: what is in the way of an answer; None when the API itself answered.
        limited_s: how long a limit that refused the call goes on refusing; None if that is not
            told.
    """

    def __init__(
        self,
        *,
        code: str,
        http_status: int,
        message: str,
        request_id: str = "",
        maybe_done: bool = False,
        lasting: bool = False,
        host: str = "",
        way: NoWay | None = None,
        limited_s: float | None = None,
    ) -> None:
        super().__init__(f"{code or 'no answer'} ({http_status}): {message}")
        self.code = code
        self.http_status = http_status
        self.message = message
        self.request_id = request_id
        self.maybe_done = maybe_done
        self.lasting = lasting
        self.host = host
        self.way = way
        self.limited_s = limited_s


class Rpc(Protocol):
    """One signed call to the ECS API, sent once: no retry, HTTPS unless on loopback."""

    def call(
        self, action: str, params: Mapping[str, str], *, timeout_s: float, credentials: Credentials
    ) -> Mapping[str, Any]:
        """Return the answer's JSON object.

        Raises:
            RpcFailed: there was none, or it is an error.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What trying hosts has shown.

    Args:
        found: None if no host took a connection in the window.
        faults: why those that took none did not, as far as that is known.
    """

    found: Endpoint | None
    faults: Mapping[Endpoint, NetFault] = field(default_factory=dict)


class HostProbe(Protocol):
    """Finds out which host of the ECS API can be reached."""

    def first(self, hosts: Sequence[Endpoint], *, window_s: float) -> Probed:
        """Return the earliest in the list that takes a connection, with TLS where it is secure.

        All are tried at once. An earlier one is waited for to the end of the window, a later one
        only until an earlier one has answered.
        """
        ...


class MachineReader(Protocol):
    """Reads what the kernel says about disks and mounts."""

    def read(self) -> MachineText:
        """Return all of it, read once."""
        ...

    def locate(self, path: str) -> PathFact:
        """Return where a path lies.

        Raises:
            UsageError: it does not exist or may not be looked at.
        """
        ...


class Filesystems(Protocol):
    """System calls on mounted filesystems."""

    def sync(self, target: FlushTarget, *, limit_s: float | None = None) -> Synced:
        """Write all dirty data of a filesystem to its disk (``syncfs``); tell what became of it.

        Args:
            limit_s: a longer one counts as failed; None for the usual limit.
        """
        ...


class Commands(Protocol):
    """Runs other programs."""

    def run(self, argv: Sequence[str], *, timeout_s: float) -> tuple[int, str, str]:
        """Return exit status, standard output and standard error.

        Raises:
            OSError: it could not be started.
            TimeoutError: it was killed at its time limit.
        """
        ...


class NoticeProgram(Protocol):
    """Runs the command that is told of what happened."""

    def __call__(
        self,
        argv: Sequence[str],
        *,
        variables: Mapping[str, str],
        stdin: bytes,
        timeout_s: float,
    ) -> int:
        """Return its exit status; negative: ended by that signal.

        Raises:
            OSError: it could not be started, or others could change it.
            TimeoutError: it and its group were killed at the time limit.
        """
        ...


class NoticePace(Protocol):
    """Remembers when a robot was last given a message, over all processes of this machine."""

    def change(self, change: Callable[[Pace], Pace]) -> Pace:
        """Replace what is remembered by what the function makes of it, and return that.

        Raises:
            OSError: nothing can be remembered.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FileText:
    """A small text file as it was read.

    Args:
        text: decoded as UTF-8 with ``surrogateescape``.
        mode: permission bits.
    """

    text: str = field(repr=False)
    mode: int


class ReadText(Protocol):
    """Reads a small regular file."""

    def __call__(self, path: str) -> FileText:
        """Return its text and permissions.

        Raises:
            OSError: it is not there, not readable, too large or no regular file.
        """
        ...


class FreezeCalls(Protocol):
    """The system calls of a freeze, on descriptors; the answer is an errno or 0."""

    def sync(self, fd: int) -> int:
        """Write all dirty data of the filesystem to its disk (``syncfs``)."""
        ...

    def freeze(self, fd: int) -> int:
        """Freeze the filesystem (``FIFREEZE``)."""
        ...

    def thaw(self, fd: int) -> int:
        """Undo one freeze of the filesystem (``FITHAW``); EINVAL when there is none."""
        ...

    def in_place(self, fd: int, *, mount_id: int, device: int) -> bool:
        """Tell whether the descriptor is of that mount and that ``st_dev``."""
        ...

    def listed(self, *, mount_id: int, listed_device: str) -> bool:
        """Tell whether the mount table has that mount with that ``major:minor``."""
        ...


class GuardianSeat(Protocol):
    """What one of the guardian's two processes sits on: its pipes, its timer, its clock."""

    def wait(self) -> tuple[Source, bytes]:
        """Return the next thing that came, and from where; no bytes from a pipe mean its end."""
        ...

    def tell_agent(self, data: bytes) -> None:
        """Send to the agent; lost without a word when nobody reads."""
        ...

    def tell_partner(self, data: bytes) -> None:
        """Send to the other of the two processes; lost without a word when it is gone."""
        ...

    def arm(self, seconds: float) -> None:
        """Let the timer end once, so many seconds from now, suspend included."""
        ...

    def now_ns(self) -> int:
        """Return CLOCK_BOOTTIME."""
        ...

    def forget_marker(self) -> None:
        """Remove the marker; it is no fault if there is none."""
        ...

    def end_partner(self) -> None:
        """Kill the other of the two processes."""
        ...

    def start_helpers(self, count: int, work: Callable[[bytes], bytes]) -> None:
        """Start threads; what ``work`` makes of an order comes from ``Source.HELPER``."""
        ...

    def order_helper(self, place: int, data: bytes) -> None:
        """Give one of them an order; it has finished its last one."""
        ...

    def pause(self, seconds: float) -> None:
        """Let the calling thread wait."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedMount:
    """A directory opened for a freeze, as the kernel describes it.

    Args:
        device: ``st_dev`` of the descriptor.
        listed_device: ``major:minor`` of the mount in mountinfo; empty if it is not listed.
        listed_path: mount point in mountinfo.
    """

    fd: int
    mount_id: int
    device: int
    listed_device: str
    listed_path: str


class MountOpener(Protocol):
    """Opens mount points and says what was really opened."""

    def open(self, way: MountWay) -> OpenedMount:
        """Return the mount's root, opened.

        Raises:
            OSError: ESTALE, the path leads to something else than the mount table showed; else as
                the kernel said.
        """
        ...

    def close(self, fd: int) -> None:
        """Give a descriptor back."""
        ...

    def listing(self) -> Sequence[tuple[int, str, str]]:
        """Return mount id, ``major:minor`` and mount point of every mount there is."""
        ...


class ScratchFilesystem(Protocol):
    """A small filesystem made for a try and taken away after it."""

    def __enter__(self) -> str:
        """Make and mount it; return its mount point.

        Raises:
            OSError: it could not be made.
        """
        ...

    def __exit__(self, *error: object) -> None:
        """Unmount and remove it."""
        ...


class GuardianLink(Protocol):
    """The agent's end of the pipes to a running guardian."""

    pid: int

    def send(self, data: bytes) -> bool:
        """Send one message; False when nobody reads any more."""
        ...

    def receive(self, timeout_s: float) -> bytes | None:
        """Return one message, no bytes when both processes are gone, None when time ran out."""
        ...

    def close(self) -> None:
        """Close the pipes, which ends the guardian, and collect its exit if it comes soon."""
        ...


class GuardianStarter(Protocol):
    """Starts a guardian."""

    def start(self, *, mounts: Sequence[str], fds: Sequence[int]) -> GuardianLink:
        """Return the link to a guardian that was given these mounts and descriptors.

        Raises:
            OSError: it could not be started.
        """
        ...


class MarkerStore(Protocol):
    """The one marker that says what is frozen."""

    def write(self, text: str) -> None:
        """Make the marker.

        Raises:
            FileExistsError: there is one already.
            OSError: it could not be written.
        """
        ...

    def read(self) -> str | None:
        """Return the marker's text, None if there is none.

        Raises:
            OSError: it is there and cannot be read.
        """
        ...

    def remove(self) -> None:
        """Remove the marker; it is no fault if there is none."""
        ...

    def device(self) -> int:
        """Return ``st_dev`` of the directory it is kept in.

        Raises:
            OSError: the directory cannot be made or looked at.
        """
        ...


class ProcessState(Enum):
    """What matters of a process to somebody who wants it to end."""

    GONE = "gone"
    RUNNING = "running"
    STOPPED = "stopped"
    IN_CALL = "in a call that does not return"
    """A thread of it cannot be interrupted; what the call does is done even after a SIGKILL."""


class BootFacts(Protocol):
    """What tells one boot and one process from another."""

    def boot_id(self) -> str:
        """Return the id of the running boot.

        Raises:
            OSError: the kernel does not show it here.
        """
        ...

    def started(self, pid: int) -> int | None:
        """Return when the process started, in clock ticks since boot; None if there is none."""
        ...

    def state(self, pid: int) -> ProcessState:
        """Return what the process is at."""
        ...

    def terminate(self, pid: int) -> None:
        """Send SIGTERM; it is no fault if there is no such process."""
        ...

    def resume(self, pid: int) -> None:
        """Send SIGCONT; it is no fault if there is no such process."""
        ...

    def kill(self, pid: int) -> None:
        """Send SIGKILL; it is no fault if there is no such process."""
        ...


class RunStore(Protocol):
    """Keeps the record of every run; a record saved is a record that survives a power cut."""

    def save(self, record: RunRecord) -> None:
        """Put the record safely on disk, in place of what was kept of the same run.

        Raises:
            StateUnusable: it could not be; what was kept before still is.
        """
        ...

    def load(self, run_id: RunId) -> RunRecord | None:
        """Return one record, or None if there is none that can be read."""
        ...

    def all(self) -> tuple[RunRecord, ...]:
        """Return every record that can be read, newest first."""
        ...

    def unfinished(self) -> tuple[RunRecord, ...]:
        """Return the records of runs that did not come to their end, newest first."""
        ...

    def uploading(self) -> tuple[RunRecord, ...]:
        """Return the records of runs whose uploads were not seen to end, newest first."""
        ...

    def brought_back(self) -> tuple[RunRecord, ...]:
        """Return the records of runs to which disks were, or were to be, brought back by OOS,
        newest first.
        """
        ...

    def armed(self) -> tuple[RunRecord, ...]:
        """Return the records of runs that are to be gone back to unless somebody confirms."""
        ...

    def damaged(self) -> tuple[str, ...]:
        """Return for each record that cannot be read its path and why."""
        ...


class StateFolder(Protocol):
    """All that lies in a state directory, whichever part of the agent has written it."""

    def look(self) -> KeptState:
        """Return what lies there; changes nothing.

        Raises:
            StateUnusable: it cannot be read, others could have written it, or it is not known to
                be a state directory at all.
        """
        ...

    def forget(self, kept: KeptState) -> Iterator[Path]:
        """Remove these files; yield each that is gone.

        Raises:
            StateUnusable: one cannot be removed; those before it are gone.
        """
        ...


class FactStore(Protocol):
    """Keeps small facts from one command to the next; losing one costs only time."""

    def remember(self, name: str, facts: Mapping[str, str]) -> None:
        """Keep them under that name, in place of those before; never a secret.

        Raises:
            StateUnusable: they could not be kept.
        """
        ...

    def recall(self, name: str) -> Mapping[str, str]:
        """Return what was kept, or an empty mapping if there is nothing that can be read."""
        ...


class Executions(Protocol):
    """Has OOS bring disks back from outside; the adapter is in ``cloud/``."""

    def start(self, order: ExecutionOrder, *, deadline_s: float | None = None) -> Execution:
        """Start an execution; the same order always names the same one.

        Raises:
            ApiFault, CloudUnreachable: it was refused, or there was no answer.
        """
        ...

    def going_on(
        self, tags: Mapping[str, str], *, deadline_s: float | None = None
    ) -> tuple[Execution, ...]:
        """Return the executions with these tags that have not ended, newest first.

        Raises:
            ApiFault, CloudUnreachable: as ``start``.
        """
        ...

    def newest(
        self, tags: Mapping[str, str], *, deadline_s: float | None = None
    ) -> tuple[Execution, ...]:
        """Return the executions with these tags, ended ones too, newest first.

        Raises:
            ApiFault, CloudUnreachable: as ``start``.
        """
        ...

    def look(self, execution_id: str, *, deadline_s: float | None = None) -> Execution | None:
        """Return one execution; None where there is none of that id.

        Raises:
            ApiFault, CloudUnreachable: as ``start``.
        """
        ...

    def tasks(
        self, execution_id: str, *, deadline_s: float | None = None
    ) -> tuple[ExecutionTask, ...]:
        """Return the tasks of one that were begun or left out, the latest first.

        Raises:
            ApiFault, CloudUnreachable: as ``start``.
        """
        ...

    def cancel(self, execution_id: str, *, deadline_s: float | None = None) -> None:
        """Have one end where it is.

        Raises:
            ApiFault, CloudUnreachable: as ``start``; one that has ended is refused.
        """
        ...


class RunLock(Protocol):
    """One run at a time; the lock ends with the process that holds it."""

    def hold(self, *, timeout_s: float, purpose: str) -> AbstractContextManager[None]:
        """Hold the lock inside the block, after waiting at most that long.

        Args:
            purpose: what others are told who find it held.

        Raises:
            LockHeld: another run still holds it.
            StateUnusable: the lock file cannot be opened.
        """
        ...

    def attempt(self, *, purpose: str) -> AbstractContextManager[bool]:
        """Hold the lock inside the block if it is free now; give whether it is held.

        Raises:
            StateUnusable: the lock file cannot be opened.
        """
        ...


class HookFiles(Protocol):
    """Looks at where hooks lie."""

    def walk(self, path: str) -> Sequence[PathHop]:
        """Return every directory, link and file that the way to a path leads over, from ``/`` on.

        Raises:
            OSError: it does not exist or may not be looked at.
        """
        ...

    def names(self, folder: str) -> Sequence[str]:
        """Return the names in a folder.

        Raises:
            OSError: it is not there or not readable.
        """
        ...

    def read(self, path: str) -> str:
        """Return a small text file.

        Raises:
            OSError: it is not there, not readable, too large or no regular file.
        """
        ...


class HookProcesses(Protocol):
    """Programs running side by side, each in a session of its own, their output in memory."""

    def start(self, command: HookCommand) -> int:
        """Start one; return its process id.

        Raises:
            OSError: it could not be started.
        """
        ...

    def look(self, pid: int) -> ProcessView:
        """Return what is known of it now."""
        ...

    def wait(self, seconds: float) -> None:
        """Take in what is printed until something happens, at most that long."""
        ...

    def close_input(self, pid: int) -> None:
        """Close its standard input."""
        ...

    def kill(self, pid: int) -> None:
        """End it and everything it started: ask first, then kill."""
        ...

    def forget(self, pid: int) -> None:
        """Close its pipes and collect its exit."""
        ...

    def kill_stranger(self, pid: int, *, proof: str) -> None:
        """End what another process started under that id, with that text in its environment."""
        ...

    def stop_watching(self) -> None:
        """Let nothing but hooks end a wait from now on."""
        ...


class HookKeeperLink(Protocol):
    """The agent's end of the pipes to the keeper of hooks."""

    pid: int

    def send(self, line: str) -> bool:
        """Send one line; False when nobody reads any more."""
        ...

    def receive(self, timeout_s: float) -> str | None:
        """Return one line, an empty text when the keeper is gone, None when time ran out."""
        ...

    def close(self) -> None:
        """Close the pipes and collect the keeper's exit if it comes soon."""
        ...

    def kill(self) -> None:
        """Kill a keeper that does not answer."""
        ...


class HookKeeperStarter(Protocol):
    """Starts a keeper of hooks."""

    def start(self) -> HookKeeperLink:
        """Return the link to a keeper.

        Raises:
            OSError: it could not be started.
        """
        ...


class HookKeeperSeat(Protocol):
    """What the keeper of hooks sits on: its two pipes."""

    def pending(self) -> bool:
        """Tell, without waiting, whether a line or the end of the agent is there to take."""
        ...

    def take(self) -> str:
        """Return the next line; an empty text when the agent is gone."""
        ...

    def tell(self, line: str) -> None:
        """Send one line; lost without a word when nobody reads."""
        ...


class ProcessReader(Protocol):
    """Looks at running programs."""

    def named(self, names: Collection[str]) -> Sequence[ProcessIdentity]:
        """Return every process with one of these names, by process id; opens nothing of theirs."""
        ...

    def look_at(self, process: ProcessIdentity) -> ProcessFact:
        """Return what a proved server works with; what may not be looked at stays empty."""
        ...

    def is_contained(self, process: ProcessIdentity) -> bool:
        """Tell whether it runs in a container; opens nothing of its."""
        ...

    def look_inside(self, process: ProcessIdentity) -> ProcessFact:
        """Return what a server in a container works with; opens nothing of its."""
        ...


class Accounts(Protocol):
    """What this machine knows of user ids."""

    def rules(self) -> AccountRules:
        """Return what tells system accounts from people's."""
        ...

    def uid_of(self, account: str) -> int | None:
        """Return an account's user id; None if there is no such account."""
        ...

    def name_of(self, uid: int) -> str:
        """Return the name of a user id; empty if it has none."""
        ...


class PinnedSocket(Protocol):
    """One listening local socket: what is reached through it can be no other."""

    @property
    def way(self) -> Sequence[PathHop]:
        """The way that led to it, from ``/`` on."""
        ...

    def connect(self, timeout_s: float) -> tuple[Any, Peer]:
        """Return a socket that is connected to it, and who listens; nothing was sent.

        Raises:
            OSError: nobody listens, or not in time.
        """
        ...

    def under(self, name: str) -> str:
        """Return a path with that file name that leads to it, for this process alone.

        Raises:
            OSError: there is no room for it.
        """
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class ServerSockets(Protocol):
    """Reaches servers of this machine so that it is known who answers before anything is sent."""

    @property
    def folder(self) -> str:
        """Where names for pinned sockets are made."""
        ...

    def pin(self, path: str, *, root: str) -> PinnedSocket:
        """Return the socket at an absolute path.

        Args:
            root: the root directory from which the path is seen, ``/proc/PID/root``; or empty.

        Raises:
            OSError: there is none.
        """
        ...

    def connect_loopback(self, pid: int, port: int, timeout_s: float) -> Any:
        """Return a socket connected to a port of loopback on which that process alone listens.

        Raises:
            OSError: nobody listens, or not in time, or somebody else.
        """
        ...

    def pin_inside(self, pid: int, path: str) -> PinnedSocket:
        """Return the socket at a path as a process in a container sees it.

        Args:
            path: a relative one begins at that process's working directory.

        Raises:
            OSError: there is none, or not in time, or the way leads where others answer for files.
        """
        ...

    def connect_inside(self, pid: int, port: int, timeout_s: float) -> tuple[Any, Peer]:
        """Return a socket connected to a port in a process's own network, and who serves it.

        Raises:
            OSError: nobody listens, or not in time, or somebody else.
        """
        ...

    def cut_off(self, descriptor: int, seconds: float) -> AbstractContextManager[None]:
        """End a connection if what is done with it inside the block takes longer."""
        ...

    def peer(self, descriptor: int) -> Peer:
        """Return who listens at the other end of a connected local socket."""
        ...

    def owner(self, path: str, *, root: str) -> int:
        """Return whom a directory belongs to.

        Raises:
            OSError: it is not there.
        """
        ...


class LinkProbe(Protocol):
    """Looks at a connection on which nothing is expected."""

    def __call__(self, descriptor: int) -> str:
        """Return an empty text while it stands and is silent, else what came; never waits."""
        ...


class Unlocker(Protocol):
    """A process that undoes something when the agent dies, once it is armed."""

    def arm(self) -> None:
        """Say that from here on there may be something to undo.

        Raises:
            OSError: it is gone.
        """
        ...

    def dismiss(self) -> str:
        """End it without its doing anything; return an empty text or what went wrong."""
        ...

    def act(self) -> str:
        """Have it unlock now; return an empty text or what went wrong."""
        ...


class UnlockerStarter(Protocol):
    """Starts an unlocker."""

    def start(self, module: str, *, orders: str, timeout_s: float) -> Unlocker:
        """Return one that said it is ready; armed, it acts when the agent's end of its pipe closes.

        Args:
            module: its ``main`` is called with standard input and output.
            orders: one line of text, handed over by pipe since it may hold a password.

        Raises:
            OSError: it could not be started.
            TimeoutError: it did not get ready in time.
        """
        ...


class ForegroundCommands(Protocol):
    """Runs the user's own command in the agent's place."""

    def fault(self, program: str) -> NotStartable | None:
        """Return why the program cannot be started, None if it seems it can."""
        ...

    def run(self, argv: Sequence[str]) -> Ended | NotStartable:
        """Run it to its end with the agent's terminal, streams, directory and environment.

        Keyboard signals reach it from the terminal; others that the agent gets are passed on, and
        from the call on none ends the agent.
        """
        ...


class Inhibitor(Protocol):
    """Has the machine refuse a shutdown or reboot; what it holds ends with this process."""

    def hold(self, why: str) -> str:
        """Hold it back from now on, instead of for what was said before.

        Returns:
            Why it is not held back; empty if it is.
        """
        ...

    def release(self) -> None:
        """Hold nothing back any more."""
        ...


class FollowerStarter(Protocol):
    """Starts the process that watches uploads on."""

    def __call__(self, run_id: RunId) -> UploadWatch:
        """Start it for this run and return at once; never raises."""
        ...

"""The agent's side of a freeze: prepare, freeze, thaw, and the result.

While frozen, the agent writes only messages to a pipe: no log, no file, no output. It does not
freeze or thaw either, with one exception: if both guardian and understudy are gone, the agent is
the last holder of the descriptors and thaws through them.

Other tools' incidents teach these safeguards, and this is where they are:

* no freeze by default, none of ``/`` without a test, none that is known to hang: ``preflight``;
* warm-up (credentials, names, TLS, imports, one cheap call): in the use case, before ``freeze``;
  here the guardian is started, every descriptor opened and everything synced before the first call;
* a separate process that freezes and thaws, in its own session, on ``/dev/null``, in ``/``, locked
  in memory, exempt from the out-of-memory killer if allowed: ``guardian`` and
  ``system/freeze/process``; signals are read there, not ignored, since they must thaw;
* descriptors open from before the freeze until after the thaw, verified just before the call;
* each filesystem is frozen and thawed once right before, so that none stays frozen while others
  wait for the kernel's grace periods; writers notice that too, so it is reported as ``warm_up_s``;
* a time limit on CLOCK_BOOTTIME, armed before the first call: ``guardian``; a call of the agent
  may take at most ``remaining_s``;
* the hold is verified by each thaw's result: ``account``;
* a marker in memory, and exactly one thaw per filesystem from it: ``marker``, ``stale``;
* a service manager that kills the whole control group kills all three processes: the units must
  say ``KillMode=process`` and end a stale freeze in ``ExecStopPost=``; the code cannot do that;
* ``sysrq j`` also thaws other tools' freezes, so it is for people and never called here;
* application hooks run before ``prepare`` and after ``thaw``, never between.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from errno import ESTALE
from types import TracebackType

from snap_self.errors import QuiesceFailed
from snap_self.ports import (
    BootFacts,
    Clock,
    FreezeCalls,
    GuardianLink,
    GuardianStarter,
    MarkerStore,
    MountOpener,
    OpenedMount,
)
from snap_self.quiesce.freeze.account import SEE_PROC_SYS, FreezeResult, Story, sum_up
from snap_self.quiesce.freeze.guardian import MAX_HOLD_S
from snap_self.quiesce.freeze.marker import MarkedFilesystem, MarkedProcess, Marker
from snap_self.quiesce.freeze.order import FreezeTarget
from snap_self.quiesce.freeze.wire import HeldMount, Kind, Message, WireError, decode

_START_LIMIT_S = 10.0
_TAKE_OVER_S = 0.8
"""The agent thaws this long after the deadline; the understudy's own limit is 0.5 s."""
_SETTLE_S = 1.0
# After an unmount the path belongs to its parent, in the worst case to /.
_MOVED = "is no longer the mount that the plan saw"


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezePorts:
    """Everything outside the process that a freeze needs."""

    opener: MountOpener
    starter: GuardianStarter
    markers: MarkerStore
    calls: FreezeCalls
    boot: BootFacts
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeLimits:
    """Time limits: ``hold_s`` from the first freeze call, at most 30; ``sync_s`` before it."""

    hold_s: float = 10.0
    sync_s: float = 60.0


class FreezeSession:
    """A freeze; enter it before its first effect, and it is thawed at the exit, whatever happens.

    Args:
        targets: in freeze order, from ``order.freeze_order``.
    """

    def __init__(
        self, targets: Sequence[FreezeTarget], ports: FreezePorts, limits: FreezeLimits
    ) -> None:
        if not 0 < limits.hold_s <= MAX_HOLD_S:
            raise ValueError(f"a freeze lasts at most {MAX_HOLD_S:g} s, not {limits.hold_s:g} s")
        self._targets = tuple(targets)
        self._ports = ports
        self._limits = limits
        self._opened: list[OpenedMount] = []
        self._link: GuardianLink | None = None
        self._story = Story(len(self._targets))
        self._marked = False
        self._asked = False
        self._took_over = False
        self._boot_id = ""
        self.result: FreezeResult | None = None

    def __enter__(self) -> FreezeSession:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Thaw if that is not done yet, end the guardian, close everything."""
        try:
            if self._asked and self.result is None:
                self.thaw()
        finally:
            self._close()

    def prepare(self) -> None:
        """Do everything that is slow: open and verify every target, and start the guardian.

        Raises:
            QuiesceFailed: a target is not what the plan saw, or the guardian did not start.
        """
        self._boot_id = self._known_boot()
        for target in self._targets:
            self._opened.append(self._open(target))
        here = self._marker_device()
        for target, opened in zip(self._targets, self._opened, strict=True):
            if opened.device == here:
                raise QuiesceFailed(
                    f"the marker's directory lies on {target.path}, which is to be frozen",
                    hint="keep /run on a tmpfs, or leave that disk out",
                )
        try:
            self._link = self._ports.starter.start(
                mounts=[
                    _held(opened, rank=target.rank).encode()
                    for target, opened in zip(self._targets, self._opened, strict=True)
                ],
                fds=[opened.fd for opened in self._opened],
            )
        except OSError as error:
            raise QuiesceFailed(f"the guardian cannot be started: {error.strerror}") from error
        limit_s = self._now() + _START_LIMIT_S
        self._listen(limit_s, until=lambda: self._story.ready is not None)
        if self._story.ready is None:
            raise QuiesceFailed("the guardian did not start", hint="see `snap-self doctor`")

    def freeze(self) -> None:
        """Freeze every target; return once all of them are.

        Raises:
            QuiesceFailed: one could not be frozen; all others are thawed again.
            ThawFailed: the same, and one may still be frozen.
        """
        self._mark()
        self._asked = True
        ask = Message(
            Kind.FREEZE,
            number=int(self._limits.hold_s * 1000),
            first=int(self._limits.sync_s * 1000),
        )
        self._send(ask)
        limit_s = self._now() + self._limits.sync_s + self._limits.hold_s + _SETTLE_S
        story = self._story
        self._listen(
            limit_s, until=lambda: story.held or story.stuck is not None or story.done is not None
        )
        if story.held and story.done is None:
            return
        result = self.thaw()
        fault = result.fault()
        if fault is not None:
            raise fault
        raise QuiesceFailed(result.why, hint="the snapshot can be taken at level flush")

    def still_held(self) -> bool:
        """Return whether everything is still frozen, as far as is known now."""
        self._listen(self._now(), until=lambda: False)
        return self._story.held and self._story.done is None and not self._story.ended

    def remaining_s(self) -> float:
        """Return how long the freeze may still last; no call in that time may take longer."""
        return max(0.0, self._deadline_s() - self._now())

    def thaw(self) -> FreezeResult:
        """End the freeze and return its result; a second call returns the same result."""
        if self.result is not None:
            return self.result
        story = self._story
        self._send(Message(Kind.THAW))
        limit_s = max(self._now(), self._deadline_s()) + _TAKE_OVER_S
        self._listen(limit_s, until=lambda: story.done is not None or story.stuck is not None)
        # Both processes end when nothing is frozen; until then they may send more messages.
        if story.done is not None or story.stuck is not None:
            self._listen(self._now() + _SETTLE_S, until=lambda: False)
        if story.done is None or story.ended:
            self._take_over()
        self.result = sum_up(story, self._targets, took_over=self._took_over)
        if not self.result.maybe_frozen:
            self._unmark()
        return self.result

    def _known_boot(self) -> str:
        try:
            return self._ports.boot.boot_id()
        except OSError as error:
            raise QuiesceFailed(
                f"nothing is frozen, since the kernel does not show its boot id here "
                f"({error.strerror}; a unit's ProcSubset=pid hides it), and without it no later "
                "run could tell a freeze that was left behind from one of an earlier boot",
                hint=SEE_PROC_SYS,
            ) from error

    def _open(self, target: FreezeTarget) -> OpenedMount:
        why = "it has no mount point"
        for way in target.ways:
            try:
                opened = self._ports.opener.open(way)
            except OSError as error:
                moved = error.errno == ESTALE
                why = f"{way.path} {_MOVED}" if moved else f"{way.path}: {error.strerror}"
                continue
            listed = (opened.mount_id, opened.listed_device, opened.listed_path)
            if listed == (way.mount_id, way.devno, way.path):
                return opened
            self._ports.opener.close(opened.fd)
            why = f"{way.path} {_MOVED}"
        raise QuiesceFailed(f"{target.fstype} cannot be opened for the freeze: {why}")

    def _marker_device(self) -> int:
        try:
            return self._ports.markers.device()
        except OSError as error:
            raise QuiesceFailed(
                f"the marker's directory cannot be used: {error.strerror}"
            ) from error

    def _mark(self) -> None:
        boot = self._ports.boot
        ready = self._story.ready
        if self._link is None or ready is None:
            raise ValueError("freeze() needs prepare() before it")
        pids = (self._link.pid, ready.first)
        marker = Marker(
            boot_id=self._boot_id,
            agent_pid=os.getpid(),
            processes=tuple(MarkedProcess(pid=p, started=boot.started(p) or 0) for p in pids),
            filesystems=tuple(
                MarkedFilesystem(
                    path=target.path, fstype=target.fstype, listed_device=opened.listed_device
                )
                for target, opened in zip(self._targets, self._opened, strict=True)
            ),
        )
        try:
            self._ports.markers.write(marker.encode())
        except FileExistsError:
            raise QuiesceFailed(
                "there is the marker of an earlier freeze", hint="run `snap-self thaw` first"
            ) from None
        except OSError as error:
            raise QuiesceFailed(f"the marker cannot be written: {error.strerror}") from error
        self._marked = True

    def _unmark(self) -> None:
        if self._marked:
            self._marked = False
            self._ports.markers.remove()

    def _now(self) -> float:
        return self._ports.clock.monotonic()

    def _deadline_s(self) -> float:
        """Return when the guardian thaws; counted from the end of the sync, so never too late."""
        synced = self._story.synced
        return synced.second / 1e9 + self._limits.hold_s if synced else 0.0

    def _send(self, message: Message) -> None:
        if self._link is not None:
            self._link.send(message.encode())

    def _listen(self, limit_s: float, *, until: Callable[[], bool]) -> None:
        while self._link is not None and not self._story.ended and not until():
            data = self._link.receive(max(0.0, limit_s - self._now()))
            if data is None:
                return
            try:
                self._story.take(decode(data))
            except WireError:
                # No bytes: both processes are gone. Bytes that are not a message count as gone too.
                self._story.ended = True

    def _take_over(self) -> None:
        """Thaw what may be frozen, but not where a call is in flight: that would hang us too."""
        flight = set() if self._story.ended else self._story.flight()
        for index in self._story.maybe_frozen():
            if index in flight:
                continue
            self._took_over = True
            start_ns = int(self._now() * 1e9)
            number = self._ports.calls.thaw(self._opened[index].fd)
            end_ns = int(self._now() * 1e9)
            self._story.take(
                Message(Kind.THAWED, index=index, number=number, first=start_ns, second=end_ns)
            )

    def _close(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None
        # The guardian finishes a thaw that was interrupted, and then removes the marker.
        if not self._asked or (self.result is not None and not self.result.maybe_frozen):
            self._unmark()
        while self._opened:
            self._ports.opener.close(self._opened.pop().fd)


def _held(opened: OpenedMount, *, rank: int) -> HeldMount:
    return HeldMount(
        fd=opened.fd,
        mount_id=opened.mount_id,
        device=opened.device,
        listed_device=opened.listed_device,
        rank=rank,
    )

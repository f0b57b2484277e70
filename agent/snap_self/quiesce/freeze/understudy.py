"""The understudy: makes the freeze calls, and thaws when the guardian no longer can.

Each filesystem has its own thread (``Hand``) that makes its calls. So calls of one rank run in
parallel, and a call that hangs stops neither the others nor this process. The threads change only
the kernel's state; the main thread keeps everything that is known, and learns of every call's end.

The warm-up cannot deadlock on its own: each hand thaws at once what it froze and waits for no other
hand, so a filesystem whose image lies on another one finds that one frozen only for a moment. A
call without an answer counts as in flight: after a kill each such filesystem gets one thaw.
"""

from __future__ import annotations

from errno import EINVAL, ESTALE

from snap_self.model.guardian import Source
from snap_self.quiesce.freeze.guardian import BACKSTOP_S, thaw_one
from snap_self.quiesce.freeze.wire import Cause, HeldMount, Kind, Message, decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from snap_self.ports import FreezeCalls, GuardianSeat

KEEP_WARM_S = 0.15
"""How long a warm filesystem is kept warm while others are not yet."""
TOUCH_EVERY_S = 0.002
"""A grace period is rarely shorter than a tick of 4 ms; after one without a freeze it is cold."""


class Hand:
    """Makes the calls on a filesystem; each filesystem has a thread for it."""

    def __init__(
        self, *, calls: FreezeCalls, seat: GuardianSeat, mounts: Sequence[HeldMount]
    ) -> None:
        self._calls = calls
        self._seat = seat
        self._mounts = mounts
        self._warm: list[int] = []

    def work(self, data: bytes) -> bytes:
        """Carry out one order and return the answer."""
        order = decode(data)
        mount = self._mounts[order.index]
        if not self._calls.in_place(mount.fd, mount_id=mount.mount_id, device=mount.device):
            answer = Message(Kind.REFUSED, index=order.index, number=ESTALE)
        elif order.kind is Kind.WARM:
            answer = self._warm_up(order.index, mount)
        else:
            answer = self._freeze(order.index, mount)
        return answer.encode()

    def _freeze(self, index: int, mount: HeldMount) -> Message:
        start_ns = self._seat.now_ns()
        number = self._calls.freeze(mount.fd)
        if number:
            return Message(Kind.REFUSED, index=index, number=number)
        return Message(Kind.FROZEN, index=index, first=start_ns, second=self._seat.now_ns())

    def _warm_up(self, index: int, mount: HeldMount) -> Message:
        """Freeze and thaw; repeat until all other filesystems are warm too."""
        first = self._touch(index, mount)
        if first.kind is not Kind.WARMED:
            return first
        self._warm.append(index)
        limit_ns = first.second + int(KEEP_WARM_S * 1e9)
        while True:
            if len(self._warm) == len(self._mounts) or self._seat.now_ns() > limit_ns:
                return first
            self._seat.pause(TOUCH_EVERY_S)
            if len(self._warm) < len(self._mounts) and self._seat.now_ns() < limit_ns:
                again = self._touch(index, mount)
                if again.kind is not Kind.WARMED:
                    return again
                first.number += 1

    def _touch(self, index: int, mount: HeldMount) -> Message:
        froze = self._freeze(index, mount)
        if froze.kind is not Kind.FROZEN:
            return froze
        thawed = thaw_one(self._calls, self._seat, mount, index)
        if thawed.number not in (0, EINVAL):
            return froze
        return Message(Kind.WARMED, index=index, number=1, first=froze.first, second=thawed.second)


class Understudy:
    """The process that makes the freeze calls, and thaws when the guardian no longer can."""

    def __init__(
        self,
        *,
        calls: FreezeCalls,
        seat: GuardianSeat,
        mounts: Sequence[HeldMount],
        readiness: int,
        pid: int,
    ) -> None:
        self._calls = calls
        self._seat = seat
        self._mounts = mounts
        self._frozen: list[int] = []
        self._flight: set[int] = set()
        self._due_ns = 0
        self._alone = Cause.NONE
        self._clean = True
        self._ready = Message(Kind.READY, number=readiness, first=pid)

    def run(self) -> None:
        """Start the threads, report that, and serve."""
        hand = Hand(calls=self._calls, seat=self._seat, mounts=self._mounts)
        self._seat.start_helpers(len(self._mounts), hand.work)
        self._answer(self._ready)
        self.serve()

    def serve(self) -> None:
        """Serve until the guardian is gone, no call runs and we left nothing frozen."""
        while self._alone is Cause.NONE or self._flight:
            source, data = self._seat.wait()
            if source is Source.HELPER:
                self._land(decode(data))
            elif source is Source.TIMER:
                self._replace_guardian()
            elif not data:
                self._take_over(Cause.GUARDIAN_GONE, sorted(self._frozen, reverse=True))
            else:
                self._obey(decode(data))
        if self._clean:
            self._seat.forget_marker()
        self._seat.tell_agent(Message(Kind.DONE, cause=self._alone).encode())

    def _obey(self, message: Message) -> None:
        if message.kind is Kind.SYNC:
            self._sync()
        elif message.kind is Kind.WARM:
            self._start_backstop(hold_ms=message.number)
            for index in range(len(self._mounts)):
                self._order(Message(Kind.WARM, index=index))
        elif message.kind is Kind.FREEZE_ONE:
            self._order(message)
        elif message.kind is Kind.RELEASED:
            self._frozen.remove(message.index)
            self._seat.arm(max(BACKSTOP_S, (self._due_ns - self._seat.now_ns()) / 1e9))

    def _order(self, message: Message) -> None:
        self._flight.add(message.index)
        self._seat.order_helper(message.index, message.encode())

    def _start_backstop(self, *, hold_ms: int) -> None:
        backstop_s = hold_ms / 1000 + BACKSTOP_S
        self._due_ns = self._seat.now_ns() + int(backstop_s * 1e9)
        self._seat.arm(backstop_s)

    def _land(self, message: Message) -> None:
        self._flight.remove(message.index)
        if message.kind is Kind.FROZEN:
            self._frozen.append(message.index)
            if self._alone is not Cause.NONE:
                self._thaw_alone([message.index])
                return
            if message.second > self._due_ns - int(BACKSTOP_S * 1e9):
                # Frozen late: the guardian thaws it, and is not stuck because it waited for us.
                self._seat.arm(BACKSTOP_S)
        self._answer(message)

    def _answer(self, message: Message) -> None:
        self._seat.tell_partner(message.encode())

    def _sync(self) -> None:
        # Twice: the second round writes only what became dirty during the first. So the freeze
        # itself, which writes the rest with all writers stopped, is short.
        start_ns = self._seat.now_ns()
        for mount in (*self._mounts, *self._mounts):
            number = self._calls.sync(mount.fd)
            if number:
                index = list(self._mounts).index(mount)
                self._answer(Message(Kind.SYNC_REFUSED, index=index, number=number))
                return
        # The mount table is read here, not while frozen: it is long on container hosts.
        for index, mount in enumerate(self._mounts):
            if not self._calls.listed(mount_id=mount.mount_id, listed_device=mount.listed_device):
                self._answer(Message(Kind.SYNC_REFUSED, index=index, number=ESTALE))
                return
        self._answer(Message(Kind.SYNCED, first=start_ns, second=self._seat.now_ns()))

    def _replace_guardian(self) -> None:
        # With nothing frozen the guardian need not thaw, so it is not late. A call in flight
        # thaws itself, or the guardian thaws it when it lands.
        if self._frozen and self._alone is Cause.NONE:
            self._seat.end_partner()
            # The filesystem in which the guardian hangs comes last, since it would hang us too.
            *others, stuck = sorted(self._frozen)
            self._take_over(Cause.GUARDIAN_STUCK, [*reversed(others), stuck])

    def _take_over(self, cause: Cause, order: list[int]) -> None:
        if self._alone is Cause.NONE:
            self._alone = cause
            self._thaw_alone(order)

    def _thaw_alone(self, order: list[int]) -> None:
        for index in order:
            thawed = thaw_one(self._calls, self._seat, self._mounts[index], index)
            self._clean = self._clean and thawed.number in (0, EINVAL)
            self._frozen.remove(index)
            self._seat.tell_agent(thawed.encode())

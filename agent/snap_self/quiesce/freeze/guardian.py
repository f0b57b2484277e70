"""The guardian and its understudy: two processes, so that one death never leaves a freeze behind.

The guardian decides: it follows the table of ``states``, keeps the deadline and thaws. The
understudy (module ``understudy``) makes the freeze calls, because a call that hangs must not stop
the guardian from thawing the other filesystems. Both hold every descriptor, and each thaws what is
frozen as soon as the other is gone:

=================  ================================================================================
lost               thawed by
=================  ================================================================================
agent              the guardian, at the end of the agent's pipe
guardian           the understudy, at the end of the guardian's pipe
agent + guardian   the understudy
understudy         the guardian
guardian stopped   the understudy: its own timer, ``BACKSTOP_S`` behind the deadline, kills
or hung in a thaw  and replaces it
guardian           the agent, at the end of the status pipe, which both hold (see ``freeze``)
+ understudy
all three          the marker stays: ``snap-self thaw``, the next run or the systemd unit
=================  ================================================================================

Nothing is imported once ``run`` has begun. Garbage collection is off and memory is locked before it
is called. CPython cannot run without creating small objects, but those come from mapped and locked
memory. Nothing is caught here: a bug of ours ends one process, and the other thaws.
"""

from __future__ import annotations

from errno import EINVAL

from snap_self.model.guardian import Source
from snap_self.quiesce.freeze.states import Action, Event, State, step
from snap_self.quiesce.freeze.wire import Cause, HeldMount, Kind, Message, decode, sender_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from snap_self.ports import FreezeCalls, GuardianSeat

MAX_HOLD_S = 30.0
GRACE_S = 0.2
"""How long an answer in flight is waited for before the others are thawed without it."""
BACKSTOP_S = 0.5
SIGHUP = 1

_CAUSES = {
    Event.THAW_ASKED: Cause.ASKED,
    Event.DEADLINE: Cause.DEADLINE,
    Event.AGENT_GONE: Cause.AGENT_GONE,
    Event.TERMINATED: Cause.TERMINATED,
    Event.HUNG_UP: Cause.HUNG_UP,
    Event.FREEZE_REFUSED: Cause.FREEZE_REFUSED,
    Event.SYNC_REFUSED: Cause.SYNC_REFUSED,
    Event.UNDERSTUDY_GONE: Cause.UNDERSTUDY_GONE,
}

_ANSWERS = (Event.ONE_WARMED, Event.ONE_FROZEN, Event.FREEZE_REFUSED)
_FLYING = (State.WARMING, State.FREEZING, State.ABORTING, State.STUCK)


def thaw_one(calls: FreezeCalls, seat: GuardianSeat, mount: HeldMount, index: int) -> Message:
    """Thaw one filesystem and return the message about it.

    EINVAL means that there is nothing to thaw. After any other error the filesystem is still
    frozen, so a second try is not a second thaw.
    """
    start_ns = seat.now_ns()
    number = calls.thaw(mount.fd)
    if number not in (0, EINVAL):
        number = calls.thaw(mount.fd)
    return Message(Kind.THAWED, index=index, number=number, first=start_ns, second=seat.now_ns())


class Guardian:
    """The process that decides when a freeze ends."""

    def __init__(
        self, *, calls: FreezeCalls, seat: GuardianSeat, mounts: Sequence[HeldMount], readiness: int
    ) -> None:
        self._calls = calls
        self._seat = seat
        self._mounts = mounts
        self._readiness = readiness
        self.state = State.READY
        self.cause = Cause.NONE
        self._frozen: list[int] = []
        self._flight: set[int] = set()
        self._sender = 0
        self._hold_ms = 0
        self._sync_ms = 0
        self._thawed: Message | None = None
        self._clean = True
        self._actions: dict[Action, Callable[[], None]] = {
            Action.NOTHING: lambda: None,
            Action.SYNC: self._sync,
            Action.WARM: self._warm,
            Action.FREEZE_NEXT: self._freeze_next,
            Action.TELL_HELD: lambda: self._tell(Message(Kind.HELD)),
            Action.AWAIT_FLIGHT: lambda: self._seat.arm(GRACE_S),
            Action.THAW: self._thaw,
            Action.THAW_WITH_FLIGHT: self._thaw_with_flight,
            Action.THAW_OTHERS: self._thaw,
            Action.TELL_THAWED: self._tell_thawed,
            Action.TELL_STUCK: self._tell_stuck,
            Action.FINISH: self._finish,
        }

    def run(self) -> None:
        """Serve until the freeze is over; return when nothing is frozen by us."""
        while self.state is not State.DONE:
            source, data = self._seat.wait()
            event = self._read(source, data)
            if event is not None:
                self._handle(event)
                if event in _ANSWERS and not self._flight and self.state in _FLYING:
                    whole = len(self._frozen) == len(self._mounts)
                    self._handle(Event.ALL_FROZEN if whole else Event.LANDED)

    def _read(self, source: Source, data: bytes) -> Event | None:
        if source is Source.AGENT:
            return self._read_agent(data)
        if source is Source.UNDERSTUDY:
            return self._read_understudy(data)
        if source is Source.SIGNAL:
            self._sender = self._sender or sender_of(data)
            return Event.HUNG_UP if data[0] == SIGHUP else Event.TERMINATED
        return Event.DEADLINE

    def _read_agent(self, data: bytes) -> Event:
        if not data:
            return Event.AGENT_GONE
        message = decode(data)
        if message.kind is not Kind.FREEZE:
            return Event.THAW_ASKED
        self._hold_ms = min(message.number, int(MAX_HOLD_S * 1000))
        self._sync_ms = message.first
        return Event.FREEZE_ASKED

    def _read_understudy(self, data: bytes) -> Event | None:
        if not data:
            return Event.UNDERSTUDY_GONE
        message = decode(data)
        if message.kind is Kind.READY:
            message.number &= self._readiness
            self._tell(message)
            return None
        self._tell(message)
        if message.kind is Kind.SYNCED:
            return Event.SYNCED
        if message.kind is Kind.SYNC_REFUSED:
            return Event.SYNC_REFUSED
        self._flight.discard(message.index)
        if message.kind is Kind.WARMED:
            return Event.ONE_WARMED
        if message.kind is Kind.REFUSED:
            return Event.FREEZE_REFUSED
        self._frozen.append(message.index)
        # Frozen while warming up: it could not be thawed again.
        return Event.FREEZE_REFUSED if self.state is State.WARMING else Event.ONE_FROZEN

    def _handle(self, event: Event) -> None:
        before = self.state
        self.state, action = step(before, event)
        if self.cause is Cause.NONE and event in _CAUSES:
            late = before is State.SYNCING and event is Event.DEADLINE
            self.cause = Cause.SYNC_LATE if late else _CAUSES[event]
        self._actions[action]()

    def _tell(self, message: Message) -> None:
        self._seat.tell_agent(message.encode())

    def _sync(self) -> None:
        self._seat.arm(self._sync_ms / 1000)
        self._seat.tell_partner(Message(Kind.SYNC).encode())

    def _warm(self) -> None:
        self._seat.arm(self._hold_ms / 1000)
        self._flight = set(range(len(self._mounts)))
        self._seat.tell_partner(Message(Kind.WARM, number=self._hold_ms).encode())

    def _freeze_next(self) -> None:
        """Order the next rank to be frozen; the mounts are in the order of their ranks."""
        first = len(self._frozen)
        rank = self._mounts[first].rank
        for index in range(first, len(self._mounts)):
            if self._mounts[index].rank != rank:
                return
            self._flight.add(index)
            self._seat.tell_partner(Message(Kind.FREEZE_ONE, index=index).encode())

    def _thaw(self) -> None:
        for index in sorted(self._frozen, reverse=True):
            self._thaw_one(index)
        self._handle(Event.ALL_THAWED)

    def _thaw_with_flight(self) -> None:
        self._frozen += self._flight
        self._flight.clear()
        self._thaw()

    def _thaw_one(self, index: int) -> None:
        self._thawed = thaw_one(self._calls, self._seat, self._mounts[index], index)
        self._frozen.remove(index)
        number = self._thawed.number
        if number in (0, EINVAL):
            self._seat.tell_partner(Message(Kind.RELEASED, index=index).encode())
        else:
            self._clean = False
        self._handle(Event.THAW_REFUSED if number else Event.ONE_THAWED)

    def _tell_thawed(self) -> None:
        if self._thawed is not None:
            self._tell(self._thawed)

    def _tell_stuck(self) -> None:
        for index in sorted(self._flight):
            self._tell(Message(Kind.STUCK, cause=self.cause, index=index))

    def _finish(self) -> None:
        if self._clean:
            self._seat.forget_marker()
        self._tell(Message(Kind.DONE, cause=self.cause, number=self._sender))

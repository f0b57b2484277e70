"""The guardian's life as a table: state and event give the next state and one action.

Rules of this file: everything that changes the guardian's state is in ``_TABLE``; nothing here
knows about processes, clocks or system calls; an illegal event raises and changes nothing.

::

    READY ── freeze asked ──> SYNCING ── synced ──> WARMING ── landed ──> FREEZING ──> HELD
                                 │                    │ refused, asked,     │           │
                                 │ refused, asked …   │ deadline, signal …  │           │ asked …
                                 v                    v                     v           │
                               DONE <── all ── THAWING <── landed ── ABORTING           │
                                                ^   ^                   │ grace over    │
                                                │   └─ landed ─ STUCK <─┘               │
                                                └───────────────────────────────────────┘

Two facts shape it. A freeze call cannot be cancelled: while it runs, neither SIGKILL nor a thaw
from elsewhere reaches that filesystem. So another process, the understudy, makes the calls on the
guardian's orders. Calls that were ordered and not yet answered are the flight. Each answer means
that the call on that filesystem has ended; the last answer means that the flight has landed. If the
freeze must end before that (ABORTING), the guardian waits for the answers for a moment, because the
outermost filesystem should be thawed first. If they do not come (STUCK), the others are thawed
without them. If such a call succeeds after all, its filesystem is thawed then, however late, even
if the agent is long gone.

WARMING makes the freeze itself short. A filesystem's first freeze for some time waits for three RCU
grace periods (its writer counts are per-CPU semaphores), with its writers blocked during two of
them, 25 to 50 ms. A freeze right after a thaw waits for none. So each filesystem is frozen and
thawed once beforehand, all in parallel and none waiting for another. Then no filesystem stays
frozen while others wait for their grace periods.

A thaw undoes one freeze, no matter who made it. So each filesystem gets one thaw for its one
freeze: a second reason to thaw while thawing changes nothing.
"""

from __future__ import annotations

from enum import Enum, auto


class State(Enum):
    """The guardian's state."""

    READY = auto()
    SYNCING = auto()
    WARMING = auto()
    FREEZING = auto()
    HELD = auto()
    ABORTING = auto()
    STUCK = auto()
    THAWING = auto()
    DONE = auto()


class Event(Enum):
    """What can happen to it."""

    FREEZE_ASKED = auto()
    SYNCED = auto()
    SYNC_REFUSED = auto()
    ONE_WARMED = auto()
    ONE_FROZEN = auto()
    LANDED = auto()
    ALL_FROZEN = auto()
    FREEZE_REFUSED = auto()
    THAW_ASKED = auto()
    DEADLINE = auto()
    AGENT_GONE = auto()
    TERMINATED = auto()
    HUNG_UP = auto()
    UNDERSTUDY_GONE = auto()
    ONE_THAWED = auto()
    THAW_REFUSED = auto()
    ALL_THAWED = auto()


class Action(Enum):
    """What it then does; at most one action."""

    NOTHING = auto()
    SYNC = auto()
    WARM = auto()
    FREEZE_NEXT = auto()
    TELL_HELD = auto()
    AWAIT_FLIGHT = auto()
    THAW = auto()
    THAW_WITH_FLIGHT = auto()
    THAW_OTHERS = auto()
    TELL_THAWED = auto()
    TELL_STUCK = auto()
    FINISH = auto()


class IllegalEvent(Exception):
    """An event that cannot happen in this state.

    Args:
        state: the guardian's state, which does not change.
        event: the event that came.
    """

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"{event.name} cannot happen in {state.name}")
        self.state = state
        self.event = event


# The deadline is not one of them: it can only come while a timer runs.
_ENDINGS = (
    Event.THAW_ASKED,
    Event.AGENT_GONE,
    Event.TERMINATED,
    Event.HUNG_UP,
    Event.UNDERSTUDY_GONE,
)


def _all(
    events: tuple[Event, ...], state: State, action: Action
) -> dict[Event, tuple[State, Action]]:
    return dict.fromkeys(events, (state, action))


_TABLE: dict[State, dict[Event, tuple[State, Action]]] = {
    State.READY: {
        **_all(_ENDINGS, State.DONE, Action.FINISH),
        Event.FREEZE_ASKED: (State.SYNCING, Action.SYNC),
    },
    # Nothing is frozen yet, so any reason to end just ends. The deadline here is the sync's.
    State.SYNCING: {
        **_all(_ENDINGS, State.DONE, Action.FINISH),
        Event.DEADLINE: (State.DONE, Action.FINISH),
        Event.SYNCED: (State.WARMING, Action.WARM),
        Event.SYNC_REFUSED: (State.DONE, Action.FINISH),
    },
    State.WARMING: {
        **_all(_ENDINGS, State.ABORTING, Action.AWAIT_FLIGHT),
        Event.DEADLINE: (State.ABORTING, Action.AWAIT_FLIGHT),
        Event.ONE_WARMED: (State.WARMING, Action.NOTHING),
        Event.LANDED: (State.FREEZING, Action.FREEZE_NEXT),
        Event.FREEZE_REFUSED: (State.ABORTING, Action.AWAIT_FLIGHT),
        # Its end is seen only after its calls have returned; what they froze is unknown.
        Event.UNDERSTUDY_GONE: (State.THAWING, Action.THAW_WITH_FLIGHT),
    },
    State.FREEZING: {
        **_all(_ENDINGS, State.ABORTING, Action.AWAIT_FLIGHT),
        Event.DEADLINE: (State.ABORTING, Action.AWAIT_FLIGHT),
        Event.ONE_FROZEN: (State.FREEZING, Action.NOTHING),
        Event.LANDED: (State.FREEZING, Action.FREEZE_NEXT),
        Event.ALL_FROZEN: (State.HELD, Action.TELL_HELD),
        Event.FREEZE_REFUSED: (State.ABORTING, Action.AWAIT_FLIGHT),
        Event.UNDERSTUDY_GONE: (State.THAWING, Action.THAW_WITH_FLIGHT),
    },
    # No freeze is held without the second process, so a lost understudy ends it too.
    State.HELD: _all((*_ENDINGS, Event.DEADLINE), State.THAWING, Action.THAW),
    State.ABORTING: {
        **_all(_ENDINGS, State.ABORTING, Action.NOTHING),
        Event.ONE_WARMED: (State.ABORTING, Action.NOTHING),
        Event.ONE_FROZEN: (State.ABORTING, Action.NOTHING),
        Event.FREEZE_REFUSED: (State.ABORTING, Action.NOTHING),
        Event.LANDED: (State.THAWING, Action.THAW),
        Event.ALL_FROZEN: (State.THAWING, Action.THAW),
        Event.UNDERSTUDY_GONE: (State.THAWING, Action.THAW_WITH_FLIGHT),
        Event.DEADLINE: (State.STUCK, Action.THAW_OTHERS),
    },
    State.STUCK: {
        **_all(_ENDINGS, State.STUCK, Action.NOTHING),
        Event.ONE_THAWED: (State.STUCK, Action.TELL_THAWED),
        Event.THAW_REFUSED: (State.STUCK, Action.TELL_THAWED),
        Event.ALL_THAWED: (State.STUCK, Action.TELL_STUCK),
        Event.ONE_WARMED: (State.STUCK, Action.NOTHING),
        Event.ONE_FROZEN: (State.STUCK, Action.THAW_OTHERS),
        Event.FREEZE_REFUSED: (State.STUCK, Action.NOTHING),
        Event.LANDED: (State.THAWING, Action.THAW),
        Event.UNDERSTUDY_GONE: (State.THAWING, Action.THAW_WITH_FLIGHT),
    },
    State.THAWING: {
        **_all(_ENDINGS, State.THAWING, Action.NOTHING),
        Event.DEADLINE: (State.THAWING, Action.NOTHING),
        Event.ONE_THAWED: (State.THAWING, Action.TELL_THAWED),
        Event.THAW_REFUSED: (State.THAWING, Action.TELL_THAWED),
        Event.ALL_THAWED: (State.DONE, Action.FINISH),
    },
    State.DONE: _all(_ENDINGS, State.DONE, Action.NOTHING),
}


def step(state: State, event: Event) -> tuple[State, Action]:
    """Return the next state and the action on the way to it.

    Raises:
        IllegalEvent: the event cannot happen in this state.
    """
    cell = _TABLE[state].get(event)
    if cell is None:
        raise IllegalEvent(state, event)
    return cell

"""The guardian's life as a table: state and event give the next state and one action.

Rules of this file: everything that changes the guardian's state is in ``_TABLE``; nothing here
knows of processes, clocks or system calls; an illegal event raises and changes nothing.

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
from elsewhere reaches that filesystem. So another process makes the calls, the understudy, on
orders of the guardian's. Calls that were ordered and not yet answered are the flight; each answer
says that no call of it runs on that filesystem any more, and the last one that the flight has
landed. When the freeze must end before it has (ABORTING), the answers are awaited for a moment,
because the outermost filesystem should be thawed first; when they do not come (STUCK), the others
are thawed without them, and should one succeed after all, it is thawed then, however late, even
when the agent is long gone.

WARMING is why the freeze itself is short. The first freeze of a filesystem for some time waits for
three RCU grace periods (its writer counts are per-CPU semaphores), for two of them with its writers
blocked, 25 to 50 ms; one that comes at once after a thaw waits for none. So each filesystem is
frozen and thawed once beforehand, all of them side by side and none waiting for another, and no
filesystem then stays frozen while others pay their grace periods.

And a thaw undoes one freeze whoever made it. So each filesystem gets one thaw for its one freeze:
a second reason to thaw while thawing changes nothing.
"""

from __future__ import annotations

from enum import Enum, auto


class State(Enum):
    """Where the guardian stands."""

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
    """What can befall it."""

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
    """What it then does; at most one thing."""

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
        state: where the guardian stood, and still stands.
        event: what came.
    """

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"{event.name} cannot happen in {state.name}")
        self.state = state
        self.event = event


# The deadline is not among them: it can only come where a timer runs.
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
    # Nothing is frozen yet: every reason to end simply ends. The deadline here is the sync's.
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
        # It is seen to be gone only when its calls have returned; what they froze is unknown.
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
    # No freeze is held without its second line, so a lost understudy ends it as well.
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
    """Return the next state and what is to be done on the way.

    Raises:
        IllegalEvent: the event cannot happen in this state.
    """
    cell = _TABLE[state].get(event)
    if cell is None:
        raise IllegalEvent(state, event)
    return cell

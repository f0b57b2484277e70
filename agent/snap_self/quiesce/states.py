"""The guardian's life as a table: state and event give the next state and one action.

Rules of this file: everything that changes the guardian's state is in ``_TABLE``; nothing here
knows of processes, clocks or system calls; an illegal event raises and changes nothing.

::

    READY ── freeze asked ──> SYNCING ── synced ──> FREEZING ── all frozen ──> HELD
                                 │                   │      │                    │
                                 │         refused   │      │ asked, deadline,   │ asked, deadline
                                 │         (thaw)    │      │ agent gone, signal │ agent gone …
                                 v                   v      v                    v
                               DONE <── all ───── THAWING <─ ABORTING         THAWING
                                                     ^          │ grace over
                                       late answer   └─ STUCK <─┘

Two facts shape it. A freeze call cannot be cancelled: while it runs, neither SIGKILL nor a thaw
from elsewhere reaches that filesystem. So another process makes the calls, the understudy, one
for each order of the guardian's, and at most one is ever in flight. When the freeze must end while
one is (ABORTING), its answer is awaited for a moment, because the outermost filesystem should be
thawed first; when it does not come (STUCK), the others are thawed without it, and should it succeed
after all, it is thawed then, however late, even when the agent is long gone.

And a thaw undoes one freeze whoever made it. So each filesystem gets one thaw for its one freeze:
a second reason to thaw while thawing changes nothing.
"""

from __future__ import annotations

from enum import Enum, auto


class State(Enum):
    """Where the guardian stands."""

    READY = auto()
    SYNCING = auto()
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
    ONE_FROZEN = auto()
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
    FREEZE_FIRST = auto()
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
        Event.SYNCED: (State.FREEZING, Action.FREEZE_FIRST),
        Event.SYNC_REFUSED: (State.DONE, Action.FINISH),
    },
    State.FREEZING: {
        **_all(_ENDINGS, State.ABORTING, Action.AWAIT_FLIGHT),
        Event.DEADLINE: (State.ABORTING, Action.AWAIT_FLIGHT),
        Event.ONE_FROZEN: (State.FREEZING, Action.FREEZE_NEXT),
        Event.ALL_FROZEN: (State.HELD, Action.TELL_HELD),
        Event.FREEZE_REFUSED: (State.THAWING, Action.THAW),
        # It is seen to be gone only when its call has returned; whether that call froze is unknown.
        Event.UNDERSTUDY_GONE: (State.THAWING, Action.THAW_WITH_FLIGHT),
    },
    # No freeze is held without its second line, so a lost understudy ends it as well.
    State.HELD: _all((*_ENDINGS, Event.DEADLINE), State.THAWING, Action.THAW),
    State.ABORTING: {
        **_all(_ENDINGS, State.ABORTING, Action.NOTHING),
        Event.ONE_FROZEN: (State.THAWING, Action.THAW),
        Event.ALL_FROZEN: (State.THAWING, Action.THAW),
        Event.FREEZE_REFUSED: (State.THAWING, Action.THAW),
        Event.UNDERSTUDY_GONE: (State.THAWING, Action.THAW_WITH_FLIGHT),
        Event.DEADLINE: (State.STUCK, Action.THAW_OTHERS),
    },
    State.STUCK: {
        **_all(_ENDINGS, State.STUCK, Action.NOTHING),
        Event.ONE_THAWED: (State.STUCK, Action.TELL_THAWED),
        Event.THAW_REFUSED: (State.STUCK, Action.TELL_THAWED),
        Event.ALL_THAWED: (State.STUCK, Action.TELL_STUCK),
        Event.ONE_FROZEN: (State.THAWING, Action.THAW),
        Event.ALL_FROZEN: (State.THAWING, Action.THAW),
        Event.FREEZE_REFUSED: (State.DONE, Action.FINISH),
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

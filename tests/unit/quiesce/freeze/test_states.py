"""Every cell of the guardian's table, the illegal ones too."""

from __future__ import annotations

from itertools import product

import pytest

from snap_self.quiesce.freeze.states import Action, Event, IllegalEvent, State, step

E, S, A = Event, State, Action

# Written out, not derived, so that a slip in the table cannot repeat itself here.
LEGAL: dict[tuple[State, Event], tuple[State, Action]] = {
    (S.READY, E.FREEZE_ASKED): (S.SYNCING, A.SYNC),
    (S.READY, E.THAW_ASKED): (S.DONE, A.FINISH),
    (S.READY, E.AGENT_GONE): (S.DONE, A.FINISH),
    (S.READY, E.TERMINATED): (S.DONE, A.FINISH),
    (S.READY, E.HUNG_UP): (S.DONE, A.FINISH),
    (S.READY, E.UNDERSTUDY_GONE): (S.DONE, A.FINISH),
    (S.SYNCING, E.SYNCED): (S.WARMING, A.WARM),
    (S.SYNCING, E.SYNC_REFUSED): (S.DONE, A.FINISH),
    (S.SYNCING, E.THAW_ASKED): (S.DONE, A.FINISH),
    (S.SYNCING, E.DEADLINE): (S.DONE, A.FINISH),
    (S.SYNCING, E.AGENT_GONE): (S.DONE, A.FINISH),
    (S.SYNCING, E.TERMINATED): (S.DONE, A.FINISH),
    (S.SYNCING, E.HUNG_UP): (S.DONE, A.FINISH),
    (S.SYNCING, E.UNDERSTUDY_GONE): (S.DONE, A.FINISH),
    (S.WARMING, E.ONE_WARMED): (S.WARMING, A.NOTHING),
    (S.WARMING, E.LANDED): (S.FREEZING, A.FREEZE_NEXT),
    (S.WARMING, E.FREEZE_REFUSED): (S.ABORTING, A.AWAIT_FLIGHT),
    (S.WARMING, E.THAW_ASKED): (S.ABORTING, A.AWAIT_FLIGHT),
    (S.WARMING, E.DEADLINE): (S.ABORTING, A.AWAIT_FLIGHT),
    (S.WARMING, E.AGENT_GONE): (S.ABORTING, A.AWAIT_FLIGHT),
    (S.WARMING, E.TERMINATED): (S.ABORTING, A.AWAIT_FLIGHT),
    (S.WARMING, E.HUNG_UP): (S.ABORTING, A.AWAIT_FLIGHT),
    (S.WARMING, E.UNDERSTUDY_GONE): (S.THAWING, A.THAW_WITH_FLIGHT),
    (S.FREEZING, E.ONE_FROZEN): (S.FREEZING, A.NOTHING),
    (S.FREEZING, E.LANDED): (S.FREEZING, A.FREEZE_NEXT),
    (S.FREEZING, E.ALL_FROZEN): (S.HELD, A.TELL_HELD),
    (S.FREEZING, E.FREEZE_REFUSED): (S.ABORTING, A.AWAIT_FLIGHT),
    (S.FREEZING, E.THAW_ASKED): (S.ABORTING, A.AWAIT_FLIGHT),
    (S.FREEZING, E.DEADLINE): (S.ABORTING, A.AWAIT_FLIGHT),
    (S.FREEZING, E.AGENT_GONE): (S.ABORTING, A.AWAIT_FLIGHT),
    (S.FREEZING, E.TERMINATED): (S.ABORTING, A.AWAIT_FLIGHT),
    (S.FREEZING, E.HUNG_UP): (S.ABORTING, A.AWAIT_FLIGHT),
    (S.FREEZING, E.UNDERSTUDY_GONE): (S.THAWING, A.THAW_WITH_FLIGHT),
    (S.HELD, E.THAW_ASKED): (S.THAWING, A.THAW),
    (S.HELD, E.DEADLINE): (S.THAWING, A.THAW),
    (S.HELD, E.AGENT_GONE): (S.THAWING, A.THAW),
    (S.HELD, E.TERMINATED): (S.THAWING, A.THAW),
    (S.HELD, E.HUNG_UP): (S.THAWING, A.THAW),
    (S.HELD, E.UNDERSTUDY_GONE): (S.THAWING, A.THAW),
    (S.ABORTING, E.ONE_WARMED): (S.ABORTING, A.NOTHING),
    (S.ABORTING, E.ONE_FROZEN): (S.ABORTING, A.NOTHING),
    (S.ABORTING, E.FREEZE_REFUSED): (S.ABORTING, A.NOTHING),
    (S.ABORTING, E.LANDED): (S.THAWING, A.THAW),
    (S.ABORTING, E.ALL_FROZEN): (S.THAWING, A.THAW),
    (S.ABORTING, E.UNDERSTUDY_GONE): (S.THAWING, A.THAW_WITH_FLIGHT),
    (S.ABORTING, E.DEADLINE): (S.STUCK, A.THAW_OTHERS),
    (S.ABORTING, E.THAW_ASKED): (S.ABORTING, A.NOTHING),
    (S.ABORTING, E.AGENT_GONE): (S.ABORTING, A.NOTHING),
    (S.ABORTING, E.TERMINATED): (S.ABORTING, A.NOTHING),
    (S.ABORTING, E.HUNG_UP): (S.ABORTING, A.NOTHING),
    (S.STUCK, E.ONE_THAWED): (S.STUCK, A.TELL_THAWED),
    (S.STUCK, E.THAW_REFUSED): (S.STUCK, A.TELL_THAWED),
    (S.STUCK, E.ALL_THAWED): (S.STUCK, A.TELL_STUCK),
    (S.STUCK, E.ONE_WARMED): (S.STUCK, A.NOTHING),
    (S.STUCK, E.ONE_FROZEN): (S.STUCK, A.THAW_OTHERS),
    (S.STUCK, E.FREEZE_REFUSED): (S.STUCK, A.NOTHING),
    (S.STUCK, E.LANDED): (S.THAWING, A.THAW),
    (S.STUCK, E.UNDERSTUDY_GONE): (S.THAWING, A.THAW_WITH_FLIGHT),
    (S.STUCK, E.THAW_ASKED): (S.STUCK, A.NOTHING),
    (S.STUCK, E.AGENT_GONE): (S.STUCK, A.NOTHING),
    (S.STUCK, E.TERMINATED): (S.STUCK, A.NOTHING),
    (S.STUCK, E.HUNG_UP): (S.STUCK, A.NOTHING),
    (S.THAWING, E.ONE_THAWED): (S.THAWING, A.TELL_THAWED),
    (S.THAWING, E.THAW_REFUSED): (S.THAWING, A.TELL_THAWED),
    (S.THAWING, E.ALL_THAWED): (S.DONE, A.FINISH),
    (S.THAWING, E.THAW_ASKED): (S.THAWING, A.NOTHING),
    (S.THAWING, E.DEADLINE): (S.THAWING, A.NOTHING),
    (S.THAWING, E.AGENT_GONE): (S.THAWING, A.NOTHING),
    (S.THAWING, E.TERMINATED): (S.THAWING, A.NOTHING),
    (S.THAWING, E.HUNG_UP): (S.THAWING, A.NOTHING),
    (S.THAWING, E.UNDERSTUDY_GONE): (S.THAWING, A.NOTHING),
    (S.DONE, E.THAW_ASKED): (S.DONE, A.NOTHING),
    (S.DONE, E.AGENT_GONE): (S.DONE, A.NOTHING),
    (S.DONE, E.TERMINATED): (S.DONE, A.NOTHING),
    (S.DONE, E.HUNG_UP): (S.DONE, A.NOTHING),
    (S.DONE, E.UNDERSTUDY_GONE): (S.DONE, A.NOTHING),
}
ILLEGAL = [cell for cell in product(State, Event) if cell not in LEGAL]


def name(cell: tuple[State, Event]) -> str:
    return f"{cell[0].name}-{cell[1].name}"


@pytest.mark.parametrize("cell", LEGAL, ids=name)
def test_legal_event_gives_next_state_and_action(cell: tuple[State, Event]) -> None:
    assert step(*cell) == LEGAL[cell]


@pytest.mark.parametrize("cell", ILLEGAL, ids=name)
def test_illegal_event_raises_and_names_both(cell: tuple[State, Event]) -> None:
    with pytest.raises(IllegalEvent) as caught:
        step(*cell)
    assert (caught.value.state, caught.value.event) == cell
    assert cell[0].name in str(caught.value)
    assert cell[1].name in str(caught.value)


def test_every_ending_of_a_held_freeze_thaws() -> None:
    endings = {event for (state, event) in LEGAL if state is S.HELD}
    assert endings == {
        E.THAW_ASKED,
        E.DEADLINE,
        E.AGENT_GONE,
        E.TERMINATED,
        E.HUNG_UP,
        E.UNDERSTUDY_GONE,
    }


def test_done_is_left_by_no_event() -> None:
    assert {nxt for (state, _), (nxt, _) in LEGAL.items() if state is S.DONE} == {S.DONE}


def test_every_state_with_something_frozen_leads_to_done() -> None:
    for start in (S.WARMING, S.FREEZING, S.HELD, S.ABORTING, S.STUCK, S.THAWING):
        reached, fresh = {start}, {start}
        while fresh:
            fresh = {n for (s, _), (n, _) in LEGAL.items() if s in fresh} - reached
            reached |= fresh
        assert S.DONE in reached

"""The guardian on a seat whose inputs are written beforehand."""

from __future__ import annotations

from errno import EBUSY, EINVAL, EIO

import pytest

from fakes.freezing import FakeFreezeCalls, FakeSeat, NothingMoreComes, held_mount
from snap_self.model.guardian import Source
from snap_self.quiesce.freeze.guardian import GRACE_S, Guardian
from snap_self.quiesce.freeze.states import IllegalEvent, State
from snap_self.quiesce.freeze.wire import Cause, Kind, Message, Readiness

AGENT, UNDERSTUDY = Source.AGENT, Source.UNDERSTUDY
ASK = (AGENT, Message(Kind.FREEZE, number=5000, first=60000))
SYNCED = (UNDERSTUDY, Message(Kind.SYNCED))
THAW = (AGENT, Message(Kind.THAW))
TIMER = (Source.TIMER, bytes(8))
EOF = b""
Input = tuple[Source, Message | bytes]


def froze(index: int) -> Input:
    return UNDERSTUDY, Message(Kind.FROZEN, index=index)


def warmed(index: int) -> Input:
    return UNDERSTUDY, Message(Kind.WARMED, index=index)


def refused(index: int) -> Input:
    return UNDERSTUDY, Message(Kind.REFUSED, index=index, number=EBUSY)


WARM: tuple[Input, ...] = (ASK, SYNCED, warmed(2), warmed(0), warmed(1))
HELD: tuple[Input, ...] = (*WARM, froze(0), froze(1), froze(2))


class Run:
    """A guardian of three filesystems, each depending on the last, that met some inputs.

    The understudy's freezes are shown on the fake kernel as they are reported.
    """

    def __init__(
        self,
        *inputs: Input,
        calls: FakeFreezeCalls | None = None,
        ranks: tuple[int, ...] = (0, 1, 2),
    ) -> None:
        self.calls = calls or FakeFreezeCalls()
        self.seat = FakeSeat(*inputs)
        for _, item in inputs:
            if isinstance(item, Message) and item.kind is Kind.FROZEN:
                self.calls.frozen.add(item.index)
        self.guardian = Guardian(
            calls=self.calls,
            seat=self.seat,
            mounts=[held_mount(fd, rank=rank) for fd, rank in enumerate(ranks)],
            readiness=Readiness.MEMORY_LOCKED,
        )
        self.ended = True
        try:
            self.guardian.run()
        except NothingMoreComes:
            self.ended = False

    @property
    def cause(self) -> Cause:
        return self.seat.told(Kind.DONE)[0].cause


def orders(run: Run) -> list[int]:
    """Return what was ordered to be frozen."""
    return [m.index for m in run.seat.to_partner if m.kind is Kind.FREEZE_ONE]


def test_thaw_when_asked_is_in_exact_reverse_once_each() -> None:
    run = Run(*HELD, THAW)
    assert run.calls.made("thaw") == [2, 1, 0]
    assert run.cause is Cause.ASKED
    assert not run.calls.frozen


def test_held_is_told_only_when_all_are_frozen() -> None:
    assert not Run(*HELD[:-1]).seat.told(Kind.HELD)
    assert len(Run(*HELD).seat.told(Kind.HELD)) == 1


def test_guardian_itself_never_makes_a_freeze_call() -> None:
    assert Run(*HELD, THAW).calls.made("freeze") == []


def test_deadline_is_armed_before_the_first_freeze_which_is_the_warm_up() -> None:
    run = Run(*WARM)
    assert run.seat.deeds == ["arm 60", "SYNC", "arm 5", "WARM", "FREEZE_ONE"]


def test_nothing_is_frozen_before_every_filesystem_is_warm() -> None:
    assert not orders(Run(*WARM[:-1]))
    assert orders(Run(*WARM)) == [0]


def test_hold_longer_than_allowed_is_cut_to_thirty_seconds() -> None:
    run = Run((AGENT, Message(Kind.FREEZE, number=120_000, first=1000)), SYNCED)
    assert run.seat.armed[-1] == 30.0


def test_orders_to_freeze_come_one_by_one_in_order() -> None:
    assert orders(Run(*HELD)) == [0, 1, 2]
    assert orders(Run(*WARM, froze(0))) == [0, 1]


def test_orders_to_freeze_those_of_one_rank_come_together() -> None:
    assert orders(Run(*WARM, ranks=(0, 0, 1))) == [0, 1]
    assert orders(Run(*WARM, froze(1), ranks=(0, 0, 1))) == [0, 1]
    assert orders(Run(*WARM, froze(1), froze(0), ranks=(0, 0, 1))) == [0, 1, 2]


def test_thaw_is_in_reverse_order_even_if_the_freezes_ended_in_another() -> None:
    run = Run(*WARM, froze(1), froze(2), froze(0), THAW, ranks=(0, 0, 0))
    assert run.calls.made("thaw") == [2, 1, 0]


@pytest.mark.parametrize(
    ("ending", "cause"),
    [
        ((AGENT, EOF), Cause.AGENT_GONE),
        (TIMER, Cause.DEADLINE),
        ((Source.SIGNAL, b"\x0f"), Cause.TERMINATED),
        ((Source.SIGNAL, b"\x02"), Cause.TERMINATED),
        ((Source.SIGNAL, b"\x01"), Cause.HUNG_UP),
        ((UNDERSTUDY, EOF), Cause.UNDERSTUDY_GONE),
    ],
    ids=["agent gone", "deadline", "terminate", "interrupt", "hang-up", "understudy gone"],
)
def test_each_ending_of_a_held_freeze_thaws_everything(ending: Input, cause: Cause) -> None:
    run = Run(*HELD, ending)
    assert run.calls.made("thaw") == [2, 1, 0]
    assert run.cause is cause
    assert not run.seat.marker


@pytest.mark.parametrize(
    "ending", [THAW, TIMER, (AGENT, EOF), (UNDERSTUDY, EOF)], ids=["thaw", "late", "gone", "alone"]
)
def test_ending_while_syncing_touches_nothing(ending: Input) -> None:
    run = Run(ASK, ending)
    assert run.ended
    assert run.calls.calls == []


def test_sync_over_its_limit_is_told_apart_from_the_deadline() -> None:
    assert Run(ASK, TIMER).cause is Cause.SYNC_LATE


def test_refused_freeze_thaws_only_what_was_frozen() -> None:
    run = Run(*WARM, froze(0), refused(1), calls=FakeFreezeCalls(frozen={1}))
    assert run.calls.made("thaw") == [0]
    assert run.calls.frozen == {1}
    assert run.cause is Cause.FREEZE_REFUSED


def test_ending_with_a_call_in_flight_awaits_its_answer_first() -> None:
    run = Run(*WARM, froze(0), TIMER)
    assert run.calls.made("thaw") == []
    assert run.seat.armed[-1] == GRACE_S


def test_answer_within_the_grace_is_thawed_first_as_the_outermost() -> None:
    run = Run(*WARM, froze(0), TIMER, froze(1))
    assert run.calls.made("thaw") == [1, 0]
    assert run.cause is Cause.DEADLINE


def test_call_that_does_not_answer_is_left_and_the_others_thawed() -> None:
    run = Run(*WARM, froze(0), TIMER, TIMER)
    assert run.calls.made("thaw") == [0]
    assert [m.index for m in run.seat.told(Kind.STUCK)] == [1]
    assert not run.ended
    assert run.seat.marker


def test_call_that_answers_late_is_thawed_then_even_without_an_agent() -> None:
    run = Run(*WARM, froze(0), TIMER, TIMER, (AGENT, EOF), froze(1))
    assert run.calls.made("thaw") == [0, 1]
    assert run.ended
    assert not run.seat.marker


def test_understudy_lost_in_a_call_gets_that_filesystem_thawed_too() -> None:
    run = Run(*WARM, froze(0), (UNDERSTUDY, EOF))
    assert run.calls.made("thaw") == [1, 0]


def test_refusal_awaits_the_others_of_its_rank_and_thaws_them() -> None:
    run = Run(*WARM, refused(1), froze(2), ranks=(0, 0, 0))
    assert not run.ended
    assert run.calls.made("thaw") == []
    assert Run(*WARM, refused(1), froze(2), froze(0), ranks=(0, 0, 0)).calls.made("thaw") == [2, 0]


def test_several_calls_that_do_not_answer_are_each_told() -> None:
    run = Run(*WARM, froze(1), TIMER, TIMER, ranks=(0, 0, 0))
    assert [m.index for m in run.seat.told(Kind.STUCK)] == [0, 2]
    assert run.calls.made("thaw") == [1]


@pytest.mark.parametrize(
    "ending",
    [THAW, TIMER, (AGENT, EOF), (Source.SIGNAL, b"\x0f")],
    ids=["thaw", "late", "gone", "terminate"],
)
def test_ending_while_warming_up_awaits_every_answer_and_freezes_nothing(ending: Input) -> None:
    assert not Run(ASK, SYNCED, warmed(0), ending, warmed(1)).ended
    run = Run(ASK, SYNCED, warmed(0), ending, warmed(1), warmed(2))
    assert run.ended
    assert orders(run) == []
    assert run.calls.made("thaw") == []
    assert not run.seat.marker


def test_refusal_while_warming_up_ends_it_with_nothing_frozen() -> None:
    run = Run(ASK, SYNCED, warmed(0), refused(1), warmed(2))
    assert run.ended
    assert run.calls.made("thaw") == []
    assert run.cause is Cause.FREEZE_REFUSED


def test_warm_up_that_hangs_is_told_as_stuck_and_ends_when_it_lands() -> None:
    inputs = (ASK, SYNCED, warmed(0), warmed(2), TIMER, TIMER)
    run = Run(*inputs)
    assert [m.index for m in run.seat.told(Kind.STUCK)] == [1]
    assert not run.ended
    assert run.seat.marker
    assert Run(*inputs, warmed(1)).ended


def test_understudy_lost_while_warming_up_gets_all_thawed_that_have_not_answered() -> None:
    run = Run(ASK, SYNCED, warmed(1), (UNDERSTUDY, EOF))
    assert run.calls.made("thaw") == [2, 0]
    assert run.ended


def test_filesystem_that_the_warm_up_could_not_thaw_is_thawed_by_the_guardian() -> None:
    run = Run(ASK, SYNCED, warmed(0), froze(1), warmed(2))
    assert run.calls.made("thaw") == [1]
    assert run.cause is Cause.FREEZE_REFUSED


def test_thaw_by_somebody_else_is_reported_and_not_repeated() -> None:
    calls = FakeFreezeCalls(thaw_refuse={1: EINVAL})
    run = Run(*HELD, THAW, calls=calls)
    assert calls.made("thaw") == [2, 1, 0]
    assert [(m.index, m.number) for m in run.seat.told(Kind.THAWED)] == [
        (2, 0),
        (1, EINVAL),
        (0, 0),
    ]


def test_failed_thaw_is_tried_once_more_and_keeps_the_marker() -> None:
    calls = FakeFreezeCalls(thaw_refuse={1: EIO})
    run = Run(*HELD, THAW, calls=calls)
    assert calls.made("thaw") == [2, 1, 1, 0]
    assert run.seat.marker
    assert [m.index for m in run.seat.to_partner if m.kind is Kind.RELEASED] == [2, 0]


def test_second_request_to_freeze_is_illegal_and_changes_nothing() -> None:
    seat = FakeSeat(*HELD, ASK)
    guardian = Guardian(
        calls=FakeFreezeCalls(),
        seat=seat,
        mounts=[held_mount(n, rank=n) for n in range(3)],
        readiness=0,
    )
    with pytest.raises(IllegalEvent):
        guardian.run()
    assert guardian.state is State.HELD


def test_readiness_told_is_what_both_processes_have() -> None:
    both = Readiness.MEMORY_LOCKED | Readiness.OOM_EXEMPT
    run = Run((UNDERSTUDY, Message(Kind.READY, number=both, first=77)))
    ready = run.seat.told(Kind.READY)[0]
    assert (ready.number, ready.first) == (Readiness.MEMORY_LOCKED, 77)

"""The guardian on a seat whose inputs are written beforehand."""

from __future__ import annotations

from errno import EBUSY, EINVAL, EIO

import pytest

from fakes.freezing import FakeFreezeCalls, FakeSeat, NothingMoreComes, held_mount
from snap_self.model.guardian import Source
from snap_self.quiesce.guardian import GRACE_S, Guardian
from snap_self.quiesce.states import IllegalEvent, State
from snap_self.quiesce.wire import Cause, Kind, Message, Readiness

AGENT, UNDERSTUDY = Source.AGENT, Source.UNDERSTUDY
ASK = (AGENT, Message(Kind.FREEZE, number=5000, first=60000))
SYNCED = (UNDERSTUDY, Message(Kind.SYNCED))
THAW = (AGENT, Message(Kind.THAW))
TIMER = (Source.TIMER, bytes(8))
EOF = b""
Input = tuple[Source, Message | bytes]


def froze(index: int) -> Input:
    return UNDERSTUDY, Message(Kind.FROZEN, index=index)


HELD: tuple[Input, ...] = (ASK, SYNCED, froze(0), froze(1), froze(2))


class Run:
    """A guardian of three filesystems that has lived through some inputs.

    The understudy's freezes are shown on the fake kernel as they are reported.
    """

    def __init__(self, *inputs: Input, calls: FakeFreezeCalls | None = None) -> None:
        self.calls = calls or FakeFreezeCalls()
        self.seat = FakeSeat(*inputs)
        for _, item in inputs:
            if isinstance(item, Message) and item.kind is Kind.FROZEN:
                self.calls.frozen.add(item.index)
        self.guardian = Guardian(
            calls=self.calls,
            seat=self.seat,
            mounts=[held_mount(fd) for fd in range(3)],
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


def test_thaw_when_asked_is_in_exact_reverse_once_each() -> None:
    run = Run(*HELD, THAW)
    assert run.calls.made("thaw") == [2, 1, 0]
    assert run.cause is Cause.ASKED
    assert not run.calls.frozen


def test_held_is_told_only_when_all_are_frozen() -> None:
    assert not Run(*HELD[:4]).seat.told(Kind.HELD)
    assert len(Run(*HELD).seat.told(Kind.HELD)) == 1


def test_guardian_itself_never_makes_a_freeze_call() -> None:
    assert Run(*HELD, THAW).calls.made("freeze") == []


def test_deadline_is_armed_before_the_first_order_to_freeze() -> None:
    run = Run(ASK, SYNCED)
    assert run.seat.deeds == ["arm 60", "SYNC", "arm 5", "FREEZE_ONE"]


def test_hold_longer_than_allowed_is_cut_to_thirty_seconds() -> None:
    run = Run((AGENT, Message(Kind.FREEZE, number=120_000, first=1000)), SYNCED)
    assert run.seat.armed[-1] == 30.0


def test_orders_to_freeze_come_one_by_one_in_order() -> None:
    orders = [m.index for m in Run(*HELD).seat.to_partner if m.kind is Kind.FREEZE_ONE]
    assert orders == [0, 1, 2]
    assert [m.kind for m in Run(ASK, SYNCED).seat.to_partner].count(Kind.FREEZE_ONE) == 1


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
    refused = Message(Kind.REFUSED, index=1, number=EBUSY)
    run = Run(ASK, SYNCED, froze(0), (UNDERSTUDY, refused), calls=FakeFreezeCalls(frozen={1}))
    assert run.calls.made("thaw") == [0]
    assert run.calls.frozen == {1}
    assert run.cause is Cause.FREEZE_REFUSED


def test_ending_with_a_call_in_flight_awaits_its_answer_first() -> None:
    run = Run(ASK, SYNCED, froze(0), TIMER)
    assert run.calls.made("thaw") == []
    assert run.seat.armed[-1] == GRACE_S


def test_answer_within_the_grace_is_thawed_first_as_the_outermost() -> None:
    run = Run(ASK, SYNCED, froze(0), TIMER, froze(1))
    assert run.calls.made("thaw") == [1, 0]
    assert run.cause is Cause.DEADLINE


def test_call_that_does_not_answer_is_left_and_the_others_thawed() -> None:
    run = Run(ASK, SYNCED, froze(0), TIMER, TIMER)
    assert run.calls.made("thaw") == [0]
    assert [m.index for m in run.seat.told(Kind.STUCK)] == [1]
    assert not run.ended
    assert run.seat.marker


def test_call_that_answers_late_is_thawed_then_even_without_an_agent() -> None:
    run = Run(ASK, SYNCED, froze(0), TIMER, TIMER, (AGENT, EOF), froze(1))
    assert run.calls.made("thaw") == [0, 1]
    assert run.ended
    assert not run.seat.marker


def test_understudy_lost_in_a_call_gets_that_filesystem_thawed_too() -> None:
    run = Run(ASK, SYNCED, froze(0), (UNDERSTUDY, EOF))
    assert run.calls.made("thaw") == [1, 0]


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
        calls=FakeFreezeCalls(), seat=seat, mounts=[held_mount(n) for n in range(3)], readiness=0
    )
    with pytest.raises(IllegalEvent):
        guardian.run()
    assert guardian.state is State.HELD


def test_readiness_told_is_what_both_processes_have() -> None:
    both = Readiness.MEMORY_LOCKED | Readiness.OOM_EXEMPT
    run = Run((UNDERSTUDY, Message(Kind.READY, number=both, first=77)))
    ready = run.seat.told(Kind.READY)[0]
    assert (ready.number, ready.first) == (Readiness.MEMORY_LOCKED, 77)

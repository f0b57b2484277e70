"""The understudy: makes the calls, and thaws when the guardian cannot."""

from __future__ import annotations

import contextlib
from errno import EBUSY, EIO, ESTALE

import pytest

from fakes.freezing import FakeFreezeCalls, FakeSeat, NothingMoreComes, held_mount
from snap_self.model.guardian import Source
from snap_self.quiesce.freeze.guardian import BACKSTOP_S
from snap_self.quiesce.freeze.understudy import KEEP_WARM_S, Hand, Understudy
from snap_self.quiesce.freeze.wire import Cause, Kind, Message, decode

EOF: tuple[Source, Message | bytes] = (Source.GUARDIAN, b"")
TIMER: tuple[Source, Message | bytes] = (Source.TIMER, bytes(8))
SYNC: tuple[Source, Message | bytes] = (Source.GUARDIAN, Message(Kind.SYNC))
WARM: tuple[Source, Message | bytes] = (Source.GUARDIAN, Message(Kind.WARM, number=5000))
Input = tuple[Source, Message | bytes]


def freeze(index: int) -> Input:
    return Source.GUARDIAN, Message(Kind.FREEZE_ONE, index=index)


def released(index: int) -> Input:
    return Source.GUARDIAN, Message(Kind.RELEASED, index=index)


def live(*inputs: Input, calls: FakeFreezeCalls | None = None) -> tuple[FakeSeat, FakeFreezeCalls]:
    """Return seat and kernel after an understudy of three filesystems met the inputs."""
    calls = calls or FakeFreezeCalls()
    seat = FakeSeat(*inputs)
    understudy = Understudy(
        calls=calls, seat=seat, mounts=[held_mount(fd) for fd in range(3)], readiness=1, pid=77
    )
    with contextlib.suppress(NothingMoreComes):
        understudy.run()
    return seat, calls


def answers(seat: FakeSeat) -> list[tuple[Kind, int, int]]:
    return [(m.kind, m.index, m.number) for m in seat.to_partner[1:]]


def test_first_thing_said_is_that_it_is_ready() -> None:
    seat, _ = live()
    assert seat.to_partner == [Message(Kind.READY, number=1, first=77)]


def test_sync_writes_out_all_twice_before_any_freeze() -> None:
    seat, calls = live(SYNC)
    assert calls.calls == [("sync", fd) for fd in (0, 1, 2, 0, 1, 2)]
    assert answers(seat) == [(Kind.SYNCED, 0, 0)]


def test_failed_sync_is_refused_with_its_place() -> None:
    calls = FakeFreezeCalls()
    calls.sync_refuse[1] = EIO
    seat, _ = live(SYNC, calls=calls)
    assert answers(seat) == [(Kind.SYNC_REFUSED, 1, EIO)]


def test_mount_missing_from_the_mount_table_is_refused_before_any_freeze() -> None:
    seat, calls = live(SYNC, calls=FakeFreezeCalls(unlisted={1002}))
    assert answers(seat) == [(Kind.SYNC_REFUSED, 2, ESTALE)]
    assert calls.made("freeze") == []


def test_descriptor_that_is_no_longer_the_mount_is_not_frozen() -> None:
    seat, calls = live(freeze(0), calls=FakeFreezeCalls(moved={0}))
    assert calls.made("freeze") == []
    assert answers(seat) == [(Kind.REFUSED, 0, ESTALE)]


def test_frozen_by_another_tool_is_refused_and_never_thawed() -> None:
    seat, calls = live(freeze(0), freeze(1), EOF, calls=FakeFreezeCalls(frozen={1}))
    assert answers(seat)[1] == (Kind.REFUSED, 1, EBUSY)
    assert calls.made("thaw") == [0]
    assert calls.frozen == {1}


def test_guardian_gone_thaws_everything_in_reverse_and_tells_the_agent() -> None:
    seat, calls = live(freeze(0), freeze(1), freeze(2), EOF)
    assert calls.made("thaw") == [2, 1, 0]
    assert seat.to_agent[-1] == Message(Kind.DONE, cause=Cause.GUARDIAN_GONE)
    assert not seat.marker


def test_guardian_gone_after_its_thaw_leaves_nothing_to_thaw() -> None:
    seat, calls = live(freeze(0), released(0), EOF)
    assert calls.made("thaw") == []
    assert [m.kind for m in seat.to_agent] == [Kind.DONE]


def test_guardian_gone_half_way_through_its_thaw_has_the_rest_thawed_once() -> None:
    _, calls = live(freeze(0), freeze(1), freeze(2), released(2), EOF)
    assert calls.made("thaw") == [1, 0]


def test_backstop_is_armed_behind_the_deadline_with_the_warm_up() -> None:
    seat, _ = live(WARM, freeze(0), freeze(1))
    assert seat.armed == [5.0 + BACKSTOP_S]


def test_backstop_replaces_the_guardian_and_leaves_what_it_hangs_in_for_last() -> None:
    seat, calls = live(freeze(0), freeze(1), freeze(2), TIMER)
    assert seat.partner_ended
    assert calls.made("thaw") == [1, 0, 2]
    assert seat.to_agent[-1].cause is Cause.GUARDIAN_STUCK


def test_backstop_with_nothing_frozen_harms_nobody() -> None:
    seat, calls = live(freeze(0), released(0), TIMER)
    assert not seat.partner_ended
    assert calls.made("thaw") == []


def test_each_thaw_of_the_guardian_gives_it_more_time() -> None:
    seat = FakeSeat(freeze(0), freeze(1))
    mounts = [held_mount(0), held_mount(1)]
    understudy = Understudy(calls=FakeFreezeCalls(), seat=seat, mounts=mounts, readiness=1, pid=7)
    with pytest.raises(NothingMoreComes):
        understudy.run()
    seat.pass_time(60)
    seat.add(*released(1))
    with pytest.raises(NothingMoreComes):
        understudy.run()
    assert seat.armed[-1] == BACKSTOP_S


def test_freeze_that_returns_late_gives_the_guardian_time_to_thaw_it() -> None:
    seat = FakeSeat(freeze(0))
    calls = FakeFreezeCalls()
    calls.on_freeze = lambda: seat.pass_time(60)
    understudy = Understudy(calls=calls, seat=seat, mounts=[held_mount(0)], readiness=1, pid=7)
    with pytest.raises(NothingMoreComes):
        understudy.run()
    assert seat.deeds[-2:] == [f"arm {BACKSTOP_S:g}", "FROZEN"]


def test_warm_up_freezes_and_thaws_each_once_and_answers_for_each() -> None:
    seat, calls = live(WARM)
    assert calls.calls == [(call, fd) for fd in (0, 1, 2) for call in ("freeze", "thaw")]
    assert answers(seat) == [(Kind.WARMED, index, 1) for index in range(3)]
    assert not calls.frozen


def test_warm_up_of_what_another_tool_has_frozen_is_refused_and_not_thawed() -> None:
    seat, calls = live(WARM, EOF, calls=FakeFreezeCalls(frozen={1}))
    assert (Kind.REFUSED, 1, EBUSY) in answers(seat)
    assert calls.frozen == {1}


def test_warm_up_whose_thaw_fails_says_that_it_is_frozen_and_it_is_thawed_in_the_end() -> None:
    seat, calls = live(WARM, EOF, calls=FakeFreezeCalls(thaw_refuse={1: EIO}))
    assert (Kind.FROZEN, 1, 0) in answers(seat)
    assert calls.made("thaw")[-2:] == [1, 1]
    assert seat.marker


def test_warm_filesystem_is_kept_warm_until_the_last_one_is() -> None:
    seat, calls = FakeSeat(), FakeFreezeCalls()
    hand = Hand(calls=calls, seat=seat, mounts=[held_mount(fd) for fd in range(2)])
    left = [None] * 3

    def wait(seconds: float) -> None:
        if left.pop() is None and not left:
            hand.work(Message(Kind.WARM, index=1).encode())

    seat.pause = wait  # type: ignore[method-assign]
    answer = decode(hand.work(Message(Kind.WARM, index=0).encode()))
    assert (answer.kind, answer.number) == (Kind.WARMED, 3)
    assert calls.made("freeze") == [0, 0, 0, 1]
    assert not calls.frozen


def test_warm_filesystem_is_not_kept_so_for_ever_when_another_hangs() -> None:
    seat, calls = FakeSeat(), FakeFreezeCalls()
    hand = Hand(calls=calls, seat=seat, mounts=[held_mount(fd) for fd in range(2)])
    assert decode(hand.work(Message(Kind.WARM, index=0).encode())).kind is Kind.WARMED
    assert seat.now_ns() - 10**12 > KEEP_WARM_S * 1e9


def test_guardian_gone_while_a_call_hangs_thaws_the_others_at_once_and_that_one_when_it_ends() -> (
    None
):
    seat = FakeSeat(freeze(0), freeze(1), freeze(2), EOF)
    seat.hang(1)
    calls = FakeFreezeCalls()
    mounts = [held_mount(fd) for fd in range(3)]
    understudy = Understudy(calls=calls, seat=seat, mounts=mounts, readiness=1, pid=7)
    with pytest.raises(NothingMoreComes):
        understudy.run()
    assert calls.made("thaw") == [2, 0]
    assert seat.marker
    assert not seat.told(Kind.DONE)
    seat.unhang()
    understudy.serve()
    assert calls.made("thaw") == [2, 0, 1]
    assert not seat.marker
    assert seat.told(Kind.DONE)


def test_backstop_while_only_a_call_hangs_leaves_the_guardian_alone() -> None:
    seat = FakeSeat(freeze(0), TIMER)
    seat.hang(0)
    understudy = Understudy(
        calls=FakeFreezeCalls(), seat=seat, mounts=[held_mount(0)], readiness=1, pid=7
    )
    with pytest.raises(NothingMoreComes):
        understudy.run()
    assert not seat.partner_ended


def test_failed_thaw_keeps_the_marker() -> None:
    seat, _ = live(freeze(0), EOF, calls=FakeFreezeCalls(thaw_refuse={0: EIO}))
    assert seat.marker

"""The agent's side of a freeze, against a scripted guardian."""

from __future__ import annotations

from collections.abc import Sequence
from errno import EACCES, EBUSY, EINVAL, EIO, ENOTDIR, ESTALE

import pytest

from fakes.clock import FakeClock
from fakes.freezing import (
    FakeBoot,
    FakeFreezeCalls,
    FakeLink,
    FakeMarkers,
    FakeOpener,
    FakeStarter,
    freeze_target,
)
from snap_self.errors import QuiesceFailed, ThawFailed
from snap_self.ports import OpenedMount
from snap_self.quiesce.freeze.account import FreezeResult, Outcome
from snap_self.quiesce.freeze.marker import decode_marker
from snap_self.quiesce.freeze.order import FreezeTarget
from snap_self.quiesce.freeze.session import FreezeLimits, FreezePorts, FreezeSession
from snap_self.quiesce.freeze.wire import (
    Cause,
    Kind,
    Message,
    Readiness,
    decode_mount,
    marker_owner,
)

NS = 10**9
NOW_NS = 1000 * NS  # the fake clock's
READY = Message(Kind.READY, number=Readiness.MEMORY_LOCKED | Readiness.OOM_EXEMPT, first=502)
SYNCED = Message(Kind.SYNCED, first=NOW_NS, second=NOW_NS + NS // 2)
FROZE = tuple(
    Message(Kind.FROZEN, index=n, first=NOW_NS + n * 1000, second=NOW_NS + n * 1000 + 500)
    for n in range(2)
)
WARMED = tuple(
    Message(Kind.WARMED, index=n, first=NOW_NS - (2 + n) * 10**6, second=NOW_NS) for n in range(2)
)
HELD = (SYNCED, *WARMED, *FROZE, Message(Kind.HELD))
GONE = b""
TARGETS = (freeze_target("/data/x", key="8:1"), freeze_target("/data", key="8:2"))
FDS = (101, 102)


def thawed(index: int, number: int = 0) -> Message:
    start = NOW_NS + 2 * NS
    return Message(Kind.THAWED, index=index, number=number, first=start, second=start + 700)


def done(cause: Cause) -> Message:
    return Message(Kind.DONE, cause=cause)


GOOD_THAW = (thawed(1), thawed(0), done(Cause.ASKED), GONE)


def opened(number: int, target: FreezeTarget) -> OpenedMount:
    return OpenedMount(
        fd=FDS[number],
        mount_id=target.mounts[0].mount_id,
        device=50 + number,
        listed_device=target.key,
        listed_path=target.path,
    )


class Stage:
    """A session and everything around it."""

    def __init__(
        self,
        *,
        freeze: Sequence[Message | bytes] = HELD,
        thaw: Sequence[Message | bytes] = GOOD_THAW,
        markers: FakeMarkers | None = None,
        ready: Message | None = READY,
        boot: FakeBoot | None = None,
        targets: Sequence[FreezeTarget] = TARGETS,
    ) -> None:
        self.calls = FakeFreezeCalls(frozen=FDS)
        self.opener = FakeOpener({t.path: opened(n, t) for n, t in enumerate(TARGETS)})
        self.clock = FakeClock()
        self.link = FakeLink({Kind.FREEZE: freeze, Kind.THAW: thaw}, self.clock)
        self.starter = FakeStarter(self.link, ready=ready)
        self.markers = markers or FakeMarkers()
        self.session = FreezeSession(
            targets,
            FreezePorts(
                opener=self.opener,
                starter=self.starter,
                markers=self.markers,
                calls=self.calls,
                boot=boot or FakeBoot(living={501: 11, 502: 12}),
                clock=self.clock,
            ),
            FreezeLimits(hold_s=10, sync_s=30),
        )

    def run(self) -> FreezeResult:
        """Prepare, freeze, thaw; return the result."""
        with self.session as session:
            session.prepare()
            session.freeze()
            return session.thaw()


def test_freeze_held_until_asked_and_thawed_whole_is_held() -> None:
    result = Stage().run()
    assert result.held
    assert result.why == ""
    assert result.maybe_frozen == ()


def test_times_are_those_the_guardian_measured() -> None:
    result = Stage().run()
    assert result.sync_s == 0.5
    assert result.warm_up_s == pytest.approx(0.003)
    assert [f.warm_up_s for f in result.filesystems] == pytest.approx([0.002, 0.003])
    assert result.frozen_s == pytest.approx(2 + 700e-9)
    assert result.filesystems[1].freeze_s == pytest.approx(500e-9)
    assert result.filesystems[0].thaw_s == pytest.approx(700e-9)


def test_agent_makes_no_freeze_or_thaw_call_while_the_guardian_lives() -> None:
    stage = Stage()
    stage.run()
    assert stage.calls.calls == []


def test_marker_is_written_before_the_request_and_names_all_in_order() -> None:
    markers = FakeMarkers()
    stage = Stage(markers=markers, freeze=())
    with stage.session as session:
        session.prepare()
        assert markers.text is None
        session._mark()
        assert stage.link.sent == []
        marker = decode_marker(markers.text or "")
    assert [f.path for f in marker.filesystems] == ["/data/x", "/data"]
    assert [(p.pid, p.started) for p in marker.processes] == [(501, 11), (502, 12)]
    assert marker.boot_id == "boot-1"
    # Nothing was asked for, so nothing is frozen.
    assert markers.history == ["written", "removed"]


def test_marker_says_whose_it_is_as_the_guardian_looks_for_it() -> None:
    markers = FakeMarkers()
    with Stage(markers=markers, freeze=()).session as session:
        session.prepare()
        session._mark()
        text = (markers.text or "").encode()
    assert marker_owner(501) in text
    assert marker_owner(50) not in text


def test_marker_is_gone_after_the_thaw() -> None:
    stage = Stage()
    stage.run()
    assert stage.markers.history == ["written", "removed"]


def test_marker_of_an_earlier_freeze_is_refused_and_kept() -> None:
    stage = Stage(markers=FakeMarkers("older"))
    with pytest.raises(QuiesceFailed, match="earlier freeze") as caught:
        stage.run()
    assert "snap-self thaw" in caught.value.hint
    assert stage.markers.text == "older"
    assert stage.link.sent == []


def test_request_carries_the_limits() -> None:
    stage = Stage()
    stage.run()
    assert stage.link.sent[0] == Message(Kind.FREEZE, number=10_000, first=30_000)


@pytest.mark.parametrize("hold_s", [0, -1, 30.1])
def test_hold_beyond_the_limits_is_a_mistake(hold_s: float) -> None:
    with pytest.raises(ValueError, match="at most 30 s"):
        FreezeSession(TARGETS, Stage().session._ports, FreezeLimits(hold_s=hold_s))


def test_hold_of_just_the_limit_is_allowed() -> None:
    FreezeSession(TARGETS, Stage().session._ports, FreezeLimits(hold_s=30.0))


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (Cause.DEADLINE, "time limit"),
        (Cause.TERMINATED, "told to terminate"),
        (Cause.UNDERSTUDY_GONE, "second process was killed"),
        (Cause.GUARDIAN_GONE, "guardian was killed"),
        (Cause.GUARDIAN_STUCK, "was replaced"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_end_for_any_other_cause_than_asked_is_not_held(cause: Cause, words: str) -> None:
    result = Stage(thaw=(thawed(1), thawed(0), done(cause), GONE)).run()
    assert not result.held
    assert words in result.why
    assert result.fault() is None


def test_thaw_by_somebody_else_is_not_held_and_says_where() -> None:
    result = Stage(thaw=(thawed(1, EINVAL), thawed(0), done(Cause.ASKED), GONE)).run()
    assert not result.held
    assert result.filesystems[1].outcome is Outcome.THAWED_EARLY
    assert result.why == "/data: thawed by somebody else"


def test_filesystem_that_does_not_thaw_is_a_fault_and_keeps_the_marker() -> None:
    stage = Stage(thaw=(thawed(1, EIO), thawed(0), done(Cause.ASKED), GONE))
    stage.calls.thaw_refuse[102] = EIO
    result = stage.run()
    assert result.maybe_frozen == ("/data",)
    assert isinstance(result.fault(), ThawFailed)
    assert stage.markers.text is not None


def test_filesystem_that_the_guardian_could_not_thaw_is_tried_by_the_agent_in_the_end() -> None:
    stage = Stage(thaw=(thawed(1, EIO), thawed(0), done(Cause.ASKED), GONE))
    result = stage.run()
    assert stage.calls.made("thaw") == [102]
    assert result.maybe_frozen == ()
    assert not result.held


def test_first_cause_told_is_the_one_that_counts() -> None:
    last = done(Cause.GUARDIAN_GONE)
    result = Stage(thaw=(thawed(1), thawed(0), done(Cause.TERMINATED), last, GONE)).run()
    assert "told to terminate" in result.why


def test_both_processes_gone_while_held_makes_the_agent_thaw_in_reverse() -> None:
    stage = Stage(thaw=(GONE,))
    result = stage.run()
    assert stage.calls.made("thaw") == [102, 101]
    assert not result.held
    assert result.maybe_frozen == ()


def test_both_processes_gone_in_a_call_makes_the_agent_thaw_that_one_too() -> None:
    stage = Stage(freeze=(SYNCED, FROZE[0], GONE))
    with pytest.raises(QuiesceFailed, match="guardian was lost"):
        stage.run()
    assert stage.calls.made("thaw") == [102, 101]


def test_both_processes_gone_in_the_warm_up_makes_the_agent_thaw_all_once() -> None:
    stage = Stage(freeze=(SYNCED, WARMED[0], GONE))
    with pytest.raises(QuiesceFailed, match="guardian was lost"):
        stage.run()
    assert stage.calls.made("thaw") == [102, 101]


def test_both_processes_gone_after_a_refusal_leaves_the_other_tools_freeze_alone() -> None:
    stage = Stage(freeze=(SYNCED, Message(Kind.REFUSED, index=1, number=EBUSY), GONE))
    with pytest.raises(QuiesceFailed, match="another tool"):
        stage.run()
    assert stage.calls.made("thaw") == [101]


def test_warm_up_that_hangs_is_told_as_maybe_frozen() -> None:
    stuck = Message(Kind.STUCK, cause=Cause.DEADLINE, index=1)
    stage = Stage(freeze=(SYNCED, WARMED[0], stuck), thaw=())
    with pytest.raises(ThawFailed, match=r"may still be frozen: /data$"):
        stage.run()
    assert stage.calls.made("thaw") == []


def test_both_processes_gone_half_way_through_the_thaw_has_only_the_rest_thawed() -> None:
    stage = Stage(thaw=(thawed(1), GONE))
    stage.run()
    assert stage.calls.made("thaw") == [101]


# Limits of the stage's session: 10 s to start, 30 s to sync, 10 s to hold; and what the agent adds.
START_S, WHOLE_S, TAKE_OVER_S, SETTLE_S = 10.0, 41.0, 0.8, 1.0


def test_silent_guardian_is_waited_for_no_longer_than_its_limits() -> None:
    stage = Stage(thaw=())
    result = stage.run()
    assert not result.held
    assert stage.calls.made("thaw") == [102, 101]
    # The guardian thaws 10 s after the end of the sync, which was half a second after the start.
    waited_s = 10.5 + TAKE_OVER_S
    assert stage.link.waited == [waited_s]
    assert result.frozen_s == pytest.approx(waited_s)
    assert [each.thaw_s for each in result.filesystems] == [0.0, 0.0]


def test_guardian_that_never_answers_the_request_is_given_its_time_and_no_more() -> None:
    stage = Stage(freeze=(), thaw=())
    with pytest.raises(QuiesceFailed) as caught:
        stage.run()
    assert stage.link.waited == [WHOLE_S, TAKE_OVER_S]
    assert "level flush" in caught.value.hint


def test_guardian_that_has_thawed_and_stays_is_waited_for_only_a_moment() -> None:
    stage = Stage(thaw=GOOD_THAW[:-1])
    assert stage.run().held
    assert stage.link.waited == [SETTLE_S]


def test_guardian_that_is_stuck_is_not_waited_for_again() -> None:
    stuck = Message(Kind.STUCK, cause=Cause.DEADLINE, index=1)
    stage = Stage(freeze=(SYNCED, FROZE[0], stuck), thaw=())
    with pytest.raises(ThawFailed, match=r"may still be frozen: /data$"):
        stage.run()
    assert stage.link.waited == [SETTLE_S]
    # What is not in that call is thawed all the same.
    assert stage.calls.made("thaw") == [101]


def test_freeze_without_a_guardian_is_a_mistake_also_when_it_did_not_start() -> None:
    for ready in (READY, None):
        stage = Stage(ready=ready)
        with stage.session as session:
            if ready is None:
                with pytest.raises(QuiesceFailed):
                    session.prepare()
                assert stage.link.waited == [START_S]
            with pytest.raises(ValueError, match="prepare"):
                session.freeze()
        assert stage.markers.history == []


def test_refused_freeze_says_which_and_why() -> None:
    refused = Message(Kind.REFUSED, index=1, number=EBUSY)
    answers = (SYNCED, FROZE[0], refused, thawed(0), done(Cause.FREEZE_REFUSED), GONE)
    stage = Stage(freeze=answers)
    with pytest.raises(QuiesceFailed, match="/data: another tool has frozen it already"):
        stage.run()
    assert stage.calls.made("thaw") == []
    assert stage.markers.text is None


def test_refused_sync_says_so_and_nothing_was_frozen() -> None:
    refused = Message(Kind.SYNC_REFUSED, index=0, number=EIO)
    with pytest.raises(QuiesceFailed, match="could not be written out: /data/x: Input/output"):
        Stage(freeze=(refused, done(Cause.SYNC_REFUSED), GONE)).run()


def test_call_that_hangs_is_told_as_maybe_frozen_and_not_touched() -> None:
    stuck = Message(Kind.STUCK, cause=Cause.DEADLINE, index=1)
    stage = Stage(freeze=(SYNCED, FROZE[0], thawed(0), stuck), thaw=())
    with pytest.raises(ThawFailed, match="may still be frozen: /data"):
        stage.run()
    assert stage.calls.made("thaw") == []
    assert stage.markers.text is not None


def test_error_while_held_thaws_on_leaving_and_comes_through() -> None:
    stage = Stage()

    def fail_while_held() -> None:
        with stage.session as session:
            session.prepare()
            session.freeze()
            raise KeyError

    with pytest.raises(KeyError):
        fail_while_held()
    assert [message.kind for message in stage.link.sent] == [Kind.FREEZE, Kind.THAW]
    assert stage.link.closed


def test_thaw_that_is_interrupted_leaves_the_marker_to_the_guardian() -> None:
    stage = Stage()

    def interrupted_thaw() -> None:
        with stage.session as session:
            session.prepare()
            session.freeze()
            stage.link.interrupted = True
            session.thaw()

    with pytest.raises(KeyboardInterrupt):
        interrupted_thaw()
    assert stage.link.closed
    assert stage.markers.text is not None


def test_still_held_is_false_once_the_guardian_thawed() -> None:
    stage = Stage()
    with stage.session as session:
        session.prepare()
        session.freeze()
        assert session.still_held()
        assert stage.link.waited == [0.0]
        stage.link.come(thawed(1), thawed(0), done(Cause.DEADLINE))
        assert not session.still_held()


def test_remaining_time_counts_from_the_end_of_the_sync() -> None:
    stage = Stage()
    with stage.session as session:
        session.prepare()
        session.freeze()
        assert session.remaining_s() == 10.5
        stage.clock.advance(10.4)
        assert session.remaining_s() == pytest.approx(0.1)
        stage.clock.advance(5)
        assert session.remaining_s() == 0


def test_second_thaw_returns_the_same_result() -> None:
    with Stage().session as session:
        session.prepare()
        session.freeze()
        assert session.thaw() is session.thaw()


@pytest.mark.parametrize("field", ["mount_id", "listed_path", "listed_device"])
def test_mount_that_is_not_what_the_plan_saw_is_refused(field: str) -> None:
    stage = Stage()
    there = stage.opener.mounts["/data"]
    values = {name: getattr(there, name) for name in there.__slots__}
    values[field] = 1 if field == "mount_id" else "/"
    stage.opener.mounts["/data"] = OpenedMount(**values)
    with pytest.raises(QuiesceFailed, match="no longer the mount that the plan saw"):
        stage.run()
    assert stage.opener.open_fds == set()
    assert stage.starter.mounts == []


def test_mount_that_cannot_be_opened_is_refused() -> None:
    stage = Stage()
    del stage.opener.mounts["/data"]
    with pytest.raises(QuiesceFailed, match="No such file"):
        stage.run()
    assert stage.opener.open_fds == set()


def test_mount_that_the_kernel_calls_stale_is_told_as_another_one() -> None:
    stage = Stage()
    stage.opener.refuse["/data"] = ESTALE
    with pytest.raises(QuiesceFailed, match="/data is no longer the mount that the plan saw"):
        stage.run()


def test_target_is_opened_by_its_next_mount_where_the_best_one_does_not_do() -> None:
    first, second = freeze_target("/data/file").mounts[0], TARGETS[1].mounts[0]
    both = FreezeTarget(
        key="8:2", fstype="ext4", mounts=(first, second), devno=TARGETS[1].devno, rank=1
    )
    for refused in ({"/data/file": ENOTDIR}, {}):
        stage = Stage(targets=(TARGETS[0], both))
        stage.opener.refuse |= refused
        assert stage.run().held


def test_target_without_a_mount_point_is_refused() -> None:
    nowhere = FreezeTarget(key="8:2", fstype="ext4", mounts=(), devno="8:2")
    with pytest.raises(QuiesceFailed, match="it has no mount point"):
        Stage(targets=(nowhere,)).run()


def test_guardian_is_given_what_each_descriptor_must_still_be() -> None:
    last = FreezeTarget(
        key="8:2", fstype="ext4", mounts=TARGETS[1].mounts, devno=TARGETS[1].devno, rank=3
    )
    stage = Stage(targets=(TARGETS[0], last))
    stage.run()
    told = [decode_mount(text) for text in stage.starter.mounts]
    shown = [stage.opener.mounts[path] for path in ("/data/x", "/data")]
    assert [(each.fd, each.mount_id, each.device, each.listed_device) for each in told] == [
        (each.fd, each.mount_id, each.device, each.listed_device) for each in shown
    ]
    assert [each.rank for each in told] == [0, 3]
    assert stage.starter.fds == [each.fd for each in told]


@pytest.mark.parametrize("call", ["device", "write"])
def test_marker_that_cannot_be_kept_is_no_freeze(call: str) -> None:
    stage = Stage()
    stage.markers.refuse[call] = EACCES
    with pytest.raises(QuiesceFailed, match="Permission denied"):
        stage.run()
    assert stage.link.sent == []
    assert stage.markers.history == []


def test_process_that_has_ended_is_marked_as_of_no_time() -> None:
    stage = Stage(boot=FakeBoot(living={501: 11}))
    with stage.session as session:
        session.prepare()
        session._mark()
        marker = decode_marker(stage.markers.text or "")
    assert [(p.pid, p.started) for p in marker.processes] == [(501, 11), (502, 0)]


def test_marker_directory_on_a_target_is_refused() -> None:
    with pytest.raises(QuiesceFailed, match="lies on /data,") as caught:
        Stage(markers=FakeMarkers(device=51)).run()
    assert "leave that disk out" in caught.value.hint


def test_boot_that_is_not_known_is_refused_before_anything_is_opened() -> None:
    stage = Stage(boot=FakeBoot(boot_id=""))
    with pytest.raises(QuiesceFailed, match="boot id") as caught:
        stage.run()
    assert "/proc/sys" in caught.value.hint
    assert stage.opener.open_fds == set()
    assert stage.markers.history == []


def test_guardian_that_never_gets_ready_is_refused_before_the_marker() -> None:
    stage = Stage(ready=None)
    with pytest.raises(QuiesceFailed, match="did not start") as caught:
        stage.run()
    assert "snap-self doctor" in caught.value.hint
    assert stage.markers.history == []
    assert stage.link.closed


def test_guardian_that_cannot_be_started_is_told_with_the_reason() -> None:
    stage = Stage()
    stage.starter.fails = True
    with pytest.raises(QuiesceFailed, match="Cannot allocate memory"):
        stage.run()
    assert stage.markers.history == []
    assert stage.opener.open_fds == set()


def test_missing_safeguards_are_noted() -> None:
    result = Stage(ready=Message(Kind.READY, number=0, first=502)).run()
    assert [note.split(" could")[0] for note in result.notes] == [
        "the guardian's memory",
        "the guardian",
    ]


def test_descriptors_stay_open_until_the_thaw_and_are_closed_after() -> None:
    stage = Stage()
    with stage.session as session:
        session.prepare()
        session.freeze()
        session.thaw()
        assert stage.opener.open_fds == set(FDS)
    assert stage.opener.open_fds == set()


def test_session_that_was_left_asks_its_guardian_nothing_more() -> None:
    stage = Stage()
    with stage.session as session:
        session.prepare()
    stage.link.come(Message(Kind.HELD))
    assert not session.still_held()

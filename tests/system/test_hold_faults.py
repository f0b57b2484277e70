"""Faults while the main job holds filesystems frozen: thawed in time, released, told truthfully."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from freeze_rig import frozen_by_another, run, skip_reason
from hold_rig import LIMIT_S, Machine, Scene, level_of, machine, scene
from hook_rig import eventually
from main_job_rig import wait_until

from agent_runner import AgentResult, AgentRunner, RunningAgent
from snap_self.model.shown import shown

WHY_NOT = skip_reason(("ext4", "xfs"))
pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "-")]

CREATE = "CreateSnapshotGroup"
AGENT = (sys.executable, "-m", "snap_self")
ABORT = ("--on-quiesce-failure", "abort")


@pytest.fixture(scope="module")
def running_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with machine(tmp_path_factory.mktemp("hold"), "ext4", "xfs") as made:
        yield made


@pytest.fixture
def one(
    agent: AgentRunner, running_machine: Machine, request: pytest.FixtureRequest
) -> Iterator[Scene]:
    with scene(agent, running_machine, request.node.name) as made:
        yield made


def weaker(one: Scene, done: AgentResult, why: str, *, status: int = 100) -> None:
    """Hold a run to having said everywhere that it reached flush alone, and why."""
    one.writable_in_time()
    assert done.status == status, done.err
    assert done.json["exit_status"] == status
    assert level_of(done) == "flush"
    assert why in done.json["consistency"]["why"]
    record = one.last_record()
    assert record["consistency_reached"] == "flush"
    assert why in record["consistency_why"]
    assert record["exit_status"] == status
    assert one.tags(done) == {"flush"}
    listed = one.agent.run("list", "--json")
    assert listed.status == 0, listed.err
    ours = {each["snapshot_id"] for each in done.json["snapshots"]}
    found = [each for each in listed.json["snapshots"] if each["snapshot_id"] in ours]
    assert [each["consistency"] for each in found] == ["flush"] * len(ours)


def nothing_made(one: Scene, done: AgentResult, *, status: int, code: str) -> None:
    """Hold a run to having given up before it asked the cloud for anything."""
    one.writable_in_time()
    assert done.status == status, done.err
    assert done.json["error"]["code"] == code
    assert one.cloud.sets(one.before) == []
    record = one.last_record()
    assert (record["stage"], record["exit_status"]) == ("finished", status)
    assert not any(order["sent"] for order in record["orders"])
    assert "interrupted" not in one.agent.run("list").err


def test_everything_held_reaches_the_level_asked_for(one: Scene) -> None:
    done = one.run()
    assert done.status == 0, done.err
    assert level_of(done) == "application"
    assert one.tags(done) == {"application"}
    assert one.last_record()["consistency_reached"] == "application"
    assert one.noted() == ["pre", "post cut"]
    one.writable_in_time()


# The agent is killed.


@dataclass(frozen=True, kw_only=True)
class Point:
    """A place in the frozen window.

    Args:
        hang: the action whose call hangs there.
        life: the stages' times of the snapshots.
        frozen: filesystems are frozen there.
        noted: what the hook has noted in the end.
        made: a set is made without a further command.
        level: reached in the end, once the same command is given again.
    """

    name: str
    hang: str = ""
    fault: dict[str, Any] = field(default_factory=dict)
    life: dict[str, float] = field(default_factory=dict)
    frozen: bool = True
    noted: tuple[str, ...] = ("pre", "post interrupted")
    made: bool = True
    level: str = "flush"


POINTS = [
    Point(
        name="before-freeze",
        hang="DescribeInstances",
        frozen=False,
        made=False,
        level="application",
    ),
    Point(name="create-sent", hang=CREATE, made=False, level="application"),
    Point(name="created-answer-under-way", hang=CREATE, fault={"when": "after"}),
    Point(name="before-cut", life={"cut_s": 2.5}),
    Point(name="after-cut-before-thaw", hang="DescribeSnapshotGroups"),
    Point(
        name="after-thaw",
        hang="TagResources",
        frozen=False,
        noted=("pre", "post cut"),
        level="application",
    ),
]


def reach(one: Scene, point: Point, running: RunningAgent) -> None:
    """Return when the run is at that point."""
    if point.frozen:
        one.wait_frozen(running)
    if point.hang:
        wait_until(one.cloud.faults_struck, point.hang, lambda: running.err)
    else:
        wait_until(lambda: CREATE in one.cloud.calls(), "the create call", lambda: running.err)


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_kill_of_the_agent_thaws_releases_and_is_explained(one: Scene, point: Point) -> None:
    if point.hang:
        one.hang(point.hang, **point.fault)
    one.cloud.life(**point.life)
    with one.start() as running:
        reach(one, point, running)
        assert running.kill().status == -9
    one.wait_thawed()
    eventually(lambda: one.noted() == list(point.noted))
    one.writable_in_time()
    assert one.agent.run("thaw").status == 0
    listed = one.agent.run("list")
    assert listed.status == 0, listed.err
    assert f"(before {shown(one.before)}) was interrupted" in listed.err
    assert bool(one.cloud.sets(one.before)) is point.made
    one.cloud.calm()
    done = one.run()
    assert done.json["result"] == "resumed"
    assert one.cloud.sets(one.before) == [one.cloud.disk_ids]
    assert done.status == (0 if point.level == "application" else 100), done.err
    assert level_of(done) == point.level
    assert one.tags(done) == {point.level}


@pytest.mark.parametrize("delay_s", [0.0, 0.02, 0.05, 0.1, 0.2, 0.4])
def test_kill_at_any_time_from_the_marker_on_leaves_nothing_frozen_or_at_rest(
    one: Scene, delay_s: float
) -> None:
    one.cloud.life(cut_s=0.8)
    with one.start() as running:
        wait_until(one.marker.exists, "the marker", lambda: running.err)
        time.sleep(delay_s)
        running.kill()
    one.wait_thawed()
    eventually(lambda: len(one.noted()) == 2 and one.noted()[1].startswith("post "))
    one.writable_in_time()
    assert len(one.cloud.sets(one.before)) <= 1
    done = one.run()
    assert done.status in (0, 100), done.err
    assert one.cloud.sets(one.before) == [one.cloud.disk_ids]


def test_next_command_tells_of_hooks_released_without_the_agent(one: Scene) -> None:
    one.hang(CREATE)
    with one.start() as running:
        one.wait_frozen(running)
        running.kill()
    eventually(lambda: one.noted() == ["pre", "post interrupted"])
    said = eventually(lambda: one.agent.run("thaw").err)
    assert "hooks held applications at rest; they were released afterwards" in said


def test_terminate_to_the_whole_process_group_thaws_and_releases(one: Scene) -> None:
    one.hang(CREATE)
    with one.start() as running:
        one.wait_frozen(running)
        os.killpg(running.pid, signal.SIGTERM)
        assert running.wait().status == 128 + signal.SIGTERM
    one.wait_thawed()
    one.writable_in_time()
    eventually(lambda: one.noted()[-1:] in (["post failed"], ["post interrupted"]))
    assert one.noted()[0] == "pre"
    assert len(one.noted()) == 2


def test_stopped_agent_meets_the_deadline_and_tells_it_when_it_goes_on(one: Scene) -> None:
    one.cloud.life(cut_s=0.5)
    one.hang("DescribeSnapshotGroups", seconds=0.5)
    with one.start() as running:
        one.wait_asked(running)
        running.signal(signal.SIGSTOP)
        one.wait_thawed()
        one.writable_in_time()
        running.signal(signal.SIGCONT)
        done = running.wait()
    weaker(one, done, "the freeze reached its time limit before the cut was seen")
    assert one.noted() == ["pre", "post failed"]


# The guardian is killed.


@pytest.mark.parametrize("victims", [[0], [1], [0, 1]], ids=["guardian", "second", "both"])
def test_kill_of_the_guardian_thaws_and_is_told(one: Scene, victims: list[int]) -> None:
    one.cloud.life(cut_s=2.0)
    with one.start() as running:
        one.wait_asked(running)
        pids = one.guardians()
        for victim in victims:
            os.kill(pids[victim], signal.SIGKILL)
        done = running.wait()
    weaker(one, done, "killed" if len(victims) == 1 else "guardian")
    assert one.noted() == ["pre", "post failed"]


def test_kill_of_the_guardian_with_policy_abort_is_status_8(one: Scene) -> None:
    one.cloud.life(cut_s=2.0)
    with one.start(*ABORT) as running:
        # Before the create there would be no snapshot at all.
        one.wait_asked(running)
        os.kill(one.guardians()[0], signal.SIGKILL)
        done = running.wait()
    weaker(one, done, "the guardian was killed", status=8)


def test_kill_of_all_three_leaves_a_marker_that_thaw_ends(one: Scene) -> None:
    one.hang(CREATE)
    with one.start() as running:
        one.wait_frozen(running)
        everybody = [*one.guardians()[::-1], running.pid]
        for pid in everybody:
            os.kill(pid, signal.SIGSTOP)
        for pid in everybody:
            os.kill(pid, signal.SIGKILL)
        running.wait()
    assert one.marker.exists()
    eventually(lambda: all(probe.blocked() for probe in one.probes))
    thawed = one.agent.run("thaw")
    assert thawed.status == 0, thawed.err
    assert "its processes are gone, so it was ended now" in thawed.err
    one.wait_thawed()
    eventually(lambda: one.noted() == ["pre", "post interrupted"])


def test_marker_with_nothing_frozen_is_taken_away_by_the_next_run(one: Scene) -> None:
    one.hang(CREATE)
    with one.start() as running:
        one.wait_frozen(running)
        text = one.marker.read_text()
        running.kill()
    one.wait_thawed()
    one.wait_guardians_ended(text)
    one.marker.write_text(text)
    one.cloud.calm()
    done = one.run()
    assert done.status == 0, done.err
    assert "its processes are gone, so it was ended now" in done.out
    assert not one.marker.exists()


def test_marker_of_what_is_not_mounted_any_more_is_status_20(one: Scene) -> None:
    one.hang(CREATE)
    with one.start() as running:
        one.wait_frozen(running)
        text = one.marker.read_text()
        running.kill()
    one.wait_thawed()
    one.wait_guardians_ended(text)
    marker = json.loads(text)
    marker["filesystems"][1]["listed_device"] = "7:65535"
    one.marker.write_text(json.dumps(marker))
    one.cloud.calm()
    for arguments in (("thaw",), one.job()):
        done = one.agent.run(*arguments)
        assert done.status == 20, done.err
        assert "if it was frozen, it still is when mounted again" in done.err + done.out
    assert one.marker.exists()
    assert one.cloud.sets(one.before) == []


# The cloud.


def test_api_that_hangs_is_thawed_in_time_and_called_again(one: Scene) -> None:
    one.hang(CREATE)
    # The next one is late wherever it comes, in what is left of the window or after it.
    one.hang(CREATE, seconds=1.5)
    weaker(one, one.run(), "the freeze ended")
    assert one.noted() == ["pre", "post failed"]
    assert one.cloud.sets(one.before) == [one.cloud.disk_ids]


def test_hung_call_that_is_repeated_within_the_window_is_no_loss(one: Scene) -> None:
    one.hang(CREATE, count=1, seconds=1.0)
    one.agent = one.agent.with_env(SNAP_SELF_FREEZE_LIMIT="8s")
    done = one.run()
    assert (done.status, level_of(done)) == (0, "application"), done.err
    assert one.cloud.sets(one.before) == [one.cloud.disk_ids]


def test_api_that_hangs_with_policy_abort_is_status_8(one: Scene) -> None:
    one.hang(CREATE, count=2)
    done = one.run(*ABORT)
    one.writable_in_time()
    assert done.status == 8, done.err
    assert "may have been made all the same" in done.json["error"]["hint"]
    assert one.noted() == ["pre", "post failed"]
    # Left open, since nobody knows; the same command finds out, and makes no second set.
    one.cloud.calm()
    again = one.run(*ABORT)
    assert (again.status, again.json["result"]) == (0, "resumed"), again.err
    assert one.cloud.sets(one.before) == [one.cloud.disk_ids]


def test_api_that_answers_after_the_deadline_is_worth_the_flush(one: Scene) -> None:
    one.hang(CREATE, when="during", seconds=LIMIT_S + 1.0)
    weaker(one, one.run(), "the freeze ended")
    assert one.noted() == ["pre", "post failed"]
    assert one.cloud.sets(one.before) == [one.cloud.disk_ids]


def test_cut_that_comes_too_late_is_worth_the_flush(one: Scene) -> None:
    one.cloud.life(cut_s=LIMIT_S + 1.0)
    weaker(one, one.run(), "the freeze ended before the cut was seen")
    assert one.noted() == ["pre", "post failed"]


def test_cut_that_never_comes_ends_with_the_wait(one: Scene) -> None:
    one.cloud.life(cut_s=3600.0)
    done = one.run("--timeout", "5s")
    one.writable_in_time()
    assert done.status == 12, done.err
    assert level_of(done) == "flush"
    assert one.noted() == ["pre", "post failed"]
    for snapshot in done.json["snapshots"]:
        one.cloud.process.control("POST", "fail-snapshot", {"snapshot_id": snapshot["snapshot_id"]})


# The window turns soon, and the time to wait bounds the place in the next one.
TOLD = {"x-ratelimit-user-api": "Limit:1,Remain:0,TimeLeft:500,Reset:1"}
SOON = ("--timeout", "6s")


@pytest.mark.parametrize(
    ("code", "times", "headers", "options"),
    [("Throttling", 1, TOLD, SOON), ("OperationConflict", 2, {}, ())],
    ids=["throttled", "conflict"],
)
def test_refusal_that_may_pass_is_waited_out_thawed(
    one: Scene, code: str, times: int, headers: dict[str, str], options: tuple[str, ...]
) -> None:
    one.cloud.fault(f"error:{code}:400", CREATE, count=times, headers=headers)
    weaker(one, one.run(*options), "the freeze ended without a cut")
    assert one.noted() == ["pre", "post failed"]
    assert one.last_record()["result"] == "done"
    # Blocked for the freeze itself, not for the pauses between three calls.
    assert max(probe.longest_s for probe in one.probes) < 1.0


def test_refusal_that_may_pass_with_policy_abort_is_given_up(one: Scene) -> None:
    one.cloud.fault("error:OperationConflict:400", CREATE, count=1)
    done = one.run(*ABORT)
    one.writable_in_time()
    assert (done.status, done.json["error"]["code"]) == (8, "quiesce-failed"), done.err
    assert one.cloud.sets(one.before) == []
    assert one.last_record()["stage"] == "finished"


def test_refusal_that_stays_ends_the_freeze_at_once(one: Scene) -> None:
    one.cloud.fault("error:IncorrectDiskStatus.CreatingSnapshot:403", CREATE)
    done = one.run()
    one.writable_in_time()
    assert (done.status, done.json["error"]["code"]) == (7, "disk-not-ready"), done.err
    assert done.json["frozen_s"] < 1.0
    assert max(probe.longest_s for probe in one.probes) < 1.0
    assert one.noted() == ["pre", "post failed"]
    assert one.last_record()["stage"] == "finished"


def test_keys_that_end_in_the_window_are_renewed_in_it(one: Scene) -> None:
    one.hang("DescribeSnapshotGroups", seconds=0.4)
    one.cloud.life(cut_s=1.0)
    with one.start() as running:
        one.wait_frozen(running)
        one.cloud.process.control("POST", "expire", {"what": "sts"})
        done = running.wait()
    assert (done.status, level_of(done)) == (0, "application"), done.err
    one.writable_in_time()


def test_keys_that_end_and_cannot_be_renewed_in_the_window(one: Scene) -> None:
    one.hang(CREATE, seconds=0.6)
    one.cloud.life(cut_s=1.0)
    with one.start() as running:
        one.wait_frozen(running)
        one.hang("metadata:/latest/meta-data/ram/security-credentials", count=1, seconds=5.0)
        one.cloud.process.control("POST", "expire", {"what": "sts"})
        done = running.wait()
    weaker(one, done, "the freeze ended")
    assert one.noted() == ["pre", "post failed"]


# What the caller gave.


@pytest.mark.parametrize(
    "given", ["umask 777", "ulimit -l 0", "ulimit -n 24", "exec <&-", "ulimit -c unlimited", "nice"]
)
def test_limits_and_streams_of_the_caller_cost_no_level(one: Scene, given: str) -> None:
    start = 'exec nice -n 19 "$@"' if given == "nice" else f'{given}; exec "$@"'
    one.agent = one.agent.with_wrapper(*one.agent.wrapper, "sh", "-c", start, "sh")
    done = one.run()
    one.writable_in_time()
    assert (done.status, level_of(done)) == (0, "application"), done.err


# Other tools.


def test_filesystem_frozen_by_another_tool_is_left_to_it(one: Scene) -> None:
    disk = one.machine.loops.disks[1]
    with frozen_by_another(disk):
        done = one.run(level="filesystem")
    eventually(lambda: not any(probe.blocked() for probe in one.probes))
    for probe in one.probes:
        probe.longest_s = 0.0  # what the other tool blocked is not this run's
    weaker(one, done, "another tool has frozen it already")


def test_filesystem_frozen_by_another_tool_is_flushed_and_left_frozen_to_it(one: Scene) -> None:
    with frozen_by_another(one.machine.loops.disks[1]):
        done = one.run(level="flush")
        assert any(probe.blocked() for probe in one.probes)
    assert (done.status, level_of(done)) == (0, "flush"), done.err
    eventually(lambda: not any(probe.blocked() for probe in one.probes))


def test_filesystem_that_a_hook_has_frozen_is_left_to_it(
    agent: AgentRunner, running_machine: Machine, request: pytest.FixtureRequest
) -> None:
    mount = running_machine.loops.disks[1].path
    body = (
        f'if [ "$1" = pre ]; then fsfreeze --freeze {mount}; else fsfreeze --unfreeze {mount}; fi'
    )
    with scene(agent, running_machine, request.node.name, body=body, phase="pre|post") as one:
        done = one.run()
        weaker(one, done, "another tool has frozen it already")
        assert [line.partition(" ")[0] for line in one.noted()] == ["pre", "post"]


def test_filesystem_frozen_by_another_tool_with_policy_abort(one: Scene) -> None:
    with frozen_by_another(one.machine.loops.disks[1]):
        done = one.run(*ABORT)
    for probe in one.probes:
        probe.longest_s = 0.0
    eventually(lambda: not any(probe.blocked() for probe in one.probes))
    nothing_made(one, done, status=8, code="quiesce-failed")
    assert one.noted() == ["pre", "post failed"]


def test_thaw_by_another_tool_makes_the_snapshot_weaker(one: Scene) -> None:
    one.cloud.life(cut_s=2.0)
    with one.start() as running:
        one.wait_asked(running)
        run("fsfreeze", "--unfreeze", one.machine.loops.disks[1].path)
        done = running.wait()
    weaker(one, done, "thawed by somebody else")
    assert one.noted() == ["pre", "post failed"]


def test_unmount_in_between_is_refused_by_the_kernel_and_changes_nothing(one: Scene) -> None:
    one.cloud.life(cut_s=1.0)
    with one.start() as running:
        one.wait_frozen(running)
        tried = subprocess.run(
            ["umount", str(one.machine.loops.disks[1].path)], capture_output=True, check=False
        )
        done = running.wait()
    assert tried.returncode != 0
    assert (done.status, level_of(done)) == (0, "application"), done.err
    one.writable_in_time()


# Places.


def test_loop_image_on_a_target_is_refused_and_only_flushed(one: Scene) -> None:
    holder = one.machine.loops.disks[0].path
    image = holder / "image"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    device = run("losetup", "--find", "--show", image).strip()
    try:
        weaker(one, one.run(), "a freeze of one under the other can hang")
        nothing = one.run(*ABORT, "--tag", "other=run")
        nothing_made_by_this_one(one, nothing)
    finally:
        run("losetup", "-d", device)
        image.unlink()


def test_overlay_with_its_upper_layer_on_a_target_and_a_writer_is_no_hindrance(one: Scene) -> None:
    holder = one.machine.loops.disks[0].path
    place = holder / "layers"
    for name in ("lower", "upper", "work", "merged"):
        (place / name).mkdir(parents=True)
    options = f"lowerdir={place}/lower,upperdir={place}/upper,workdir={place}/work"
    merged = place / "merged"
    run("mount", "-t", "overlay", "overlay", "-o", options, merged)
    writer = subprocess.Popen(
        ["sh", "-c", 'while :; do echo x >"$0/file"; done', merged], start_new_session=True
    )
    try:
        done = one.run()
        one.writable_in_time()
        assert (done.status, level_of(done)) == (0, "application"), done.err
    finally:
        one.machine.loops.thaw_all()
        writer.kill()
        writer.wait(10)
        run("umount", merged)
        shutil.rmtree(place)


def nothing_made_by_this_one(one: Scene, done: AgentResult) -> None:
    assert (done.status, done.json["error"]["code"]) == (7, "precondition"), done.err
    assert done.json["snapshots"] == []
    assert one.last_record()["exit_status"] == 7


@pytest.mark.parametrize("full", [False, True], ids=["state", "state-and-full"])
def test_state_on_a_filesystem_to_be_frozen_is_refused(
    agent: AgentRunner, running_machine: Machine, request: pytest.FixtureRequest, *, full: bool
) -> None:
    mount = running_machine.loops.disks[0].path
    with scene(agent, running_machine, request.node.name, state=mount / "state") as one:
        one.agent = _with_state(one.agent, mount / "state")
        if full:
            fill(mount)
        try:
            done = one.run()
        finally:
            (mount / "filler").unlink(missing_ok=True)
        one.writable_in_time()
        if full:
            # Without a journal nothing is begun, whatever the level.
            assert (done.status, done.json["error"]["code"]) == (4, "state-unusable"), done.err
            assert one.cloud.sets(one.before) == []
            assert one.noted() == []
            return
        weaker(one, done, "state directory")


def test_state_behind_a_link_to_a_filesystem_to_be_frozen_is_refused(
    agent: AgentRunner,
    running_machine: Machine,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    place = running_machine.loops.disks[0].path / "linked"
    place.mkdir(mode=0o700)
    link = tmp_path / "state"
    link.symlink_to(place)
    with scene(agent, running_machine, request.node.name, state=link) as one:
        one.agent = _with_state(one.agent, link)
        weaker(one, one.run(), "state directory")


def _with_state(agent: AgentRunner, state: Path) -> AgentRunner:
    return replace(agent, state=state)


def fill(mount: Path) -> None:
    """Leave no block free; most are taken without being written."""
    with (mount / "filler").open("wb", buffering=0) as file:
        for size in (64 << 20, 1 << 20, 4096):
            with contextlib.suppress(OSError):
                while True:
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), size)
        for _ in range(2):
            try:
                while file.write(b"\0" * 4096):
                    pass
            except OSError:
                os.fsync(file.fileno())


def test_full_target_is_frozen_all_the_same(one: Scene) -> None:
    mount = one.machine.loops.disks[0].path
    fill(mount)
    try:
        done = one.run()
    finally:
        (mount / "filler").unlink()
    assert (done.status, level_of(done)) == (0, "application"), done.err
    one.writable_in_time()


@pytest.mark.parametrize("own_mounts", [True, False], ids=["of its mounts", "of another's"])
def test_standard_output_on_a_target_is_refused(one: Scene, own_mounts: bool) -> None:
    path = one.machine.loops.disks[0].path / "out"
    redirect = ("sh", "-c", 'exec "$@" >"$0"', str(path)) if own_mounts else ()
    argv = [*one.agent.wrapper, *redirect, *AGENT, *one.job()]
    with path.open("wb") as out:
        done = subprocess.run(
            argv, stdout=out, stderr=subprocess.PIPE, env=one.agent.environment(), check=False
        )
    one.writable_in_time()
    assert done.returncode == 100
    assert json.loads(path.read_text())["consistency"]["why"].count("standard output") == 1
    path.unlink()


# Standard output.


def test_standard_output_closed_changes_no_status_and_everything_is_thawed(one: Scene) -> None:
    argv = [*one.agent.wrapper, "sh", "-c", 'exec "$@" >&-', "sh", *AGENT, *one.job()]
    done = subprocess.run(
        argv, stderr=subprocess.PIPE, env=one.agent.environment(), check=False, timeout=60
    )
    one.writable_in_time()
    assert done.returncode == 0, done.stderr
    assert one.last_record()["consistency_reached"] == "application"
    assert one.noted() == ["pre", "post cut"]


def test_full_pipe_that_nobody_reads_keeps_nothing_frozen_or_at_rest(one: Scene) -> None:
    one.cloud.fault("lost_reply", CREATE, count=1)  # so that there is something to tell
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    try:
        while os.write(theirs, b"x" * 4096):
            pass
    except BlockingIOError:
        os.set_blocking(theirs, True)
    process = subprocess.Popen(
        [*one.agent.wrapper, *AGENT, *one.job()],
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        env=one.agent.environment(),
        start_new_session=True,
    )
    os.close(theirs)
    try:
        eventually(lambda: one.noted() == ["pre", "post cut"])
        one.wait_thawed()
        one.writable_in_time()
        wait_until(lambda: one.last_record()["stage"] == "finished", "the end of the run")
        assert process.poll() is None, "it wrote into a full pipe"
        assert one.last_record()["consistency_reached"] == "application"
    finally:
        os.close(ours)
        process.wait(20)
    assert process.returncode == 0


# Hooks.


@pytest.mark.parametrize(
    ("body", "why"),
    [("sleep 60", "10-app"), ("echo no >&2; exit 3", "10-app")],
    ids=["hangs", "fails"],
)
@pytest.mark.parametrize("policy", ["continue", "abort"])
def test_hook_that_does_not_come_to_rest(
    agent: AgentRunner,
    running_machine: Machine,
    request: pytest.FixtureRequest,
    body: str,
    why: str,
    policy: str,
) -> None:
    with scene(agent, running_machine, request.node.name, body=body) as one:
        done = one.run("--on-quiesce-failure", policy)
        assert one.noted() == ["pre", "post failed"]
        if policy == "abort":
            nothing_made(one, done, status=8, code="quiesce-failed")
            return
        one.writable_in_time()
        assert (done.status, level_of(done)) == (100, "filesystem"), done.err
        assert why in done.json["consistency"]["why"]
        assert one.tags(done) == {"filesystem"}


def test_hook_that_hangs_in_its_post_part_is_killed_and_told(
    agent: AgentRunner, running_machine: Machine, request: pytest.FixtureRequest
) -> None:
    with scene(agent, running_machine, request.node.name, body="sleep 60", phase="post") as one:
        done = one.run()
        one.writable_in_time()
        assert (done.status, level_of(done)) == (100, "filesystem"), done.err
        assert "10-app" in done.json["consistency"]["why"]


def test_no_hook_at_all_with_policy_abort_makes_nothing(one: Scene) -> None:
    for path in one.hooks.folder.iterdir():
        path.unlink()
    nothing_made(one, one.run(*ABORT), status=8, code="quiesce-failed")

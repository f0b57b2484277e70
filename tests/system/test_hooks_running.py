"""Real hooks run by the real keeper: order, failures, limits, what they see and what they leave."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hook_rig import HookRig, eventually

from snap_self.errors import QuiesceFailed
from snap_self.model.hooks import MAX_OUTPUT_BYTES, HookResult
from snap_self.quiesce.hooks.hookset import Hooks
from snap_self.quiesce.session import QuiesceSession
from snap_self.system.clock import SystemClock

pytestmark = pytest.mark.root


@pytest.fixture
def rig() -> Iterator[HookRig]:
    """Return a folder for hooks."""
    rig = HookRig()
    try:
        yield rig
    finally:
        rig.close()


def run_all(hooks: Hooks, *, limit_s: float = 30.0) -> QuiesceSession:
    """Start all hooks, say that the cut was seen, stop all of them."""
    try:
        with QuiesceSession(hooks.quiescers, SystemClock(), limit_s=limit_s) as session:
            session.start()
            hooks.say_result(HookResult.CUT)
    finally:
        hooks.close()
    return session


def failure(hooks: Hooks, *, limit_s: float = 30.0) -> QuiesceFailed:
    """Start all hooks; return why that failed."""
    with pytest.raises(QuiesceFailed) as caught:
        run_all(hooks, limit_s=limit_s)
    return caught.value


def test_hooks_run_in_name_order_before_and_in_reverse_after(rig: HookRig) -> None:
    for name in ("20-b", "10-a", "30-c"):
        rig.hook(name)
    run_all(rig.load())
    before = ["10-a pre", "20-b pre", "30-c pre"]
    assert rig.noted() == [*before, "30-c post cut", "20-b post cut", "10-a post cut"]


def test_backups_and_samples_in_the_folder_are_not_run(rig: HookRig) -> None:
    for name in ("a~", "a.bak", "a.sample", "a.dpkg-old", "a.rpmsave", ".a", "b"):
        rig.hook(name)
    run_all(rig.load())
    assert rig.noted() == ["b pre", "b post cut"]


def test_hook_that_fails_is_posted_and_those_before_it_too(rig: HookRig) -> None:
    rig.hook("10-a")
    rig.hook("20-b", "exit 3")
    rig.hook("30-c")
    error = failure(rig.load())
    assert error.message == "hook 20-b: ended with status 3"
    noted = ["10-a pre", "20-b pre", "20-b post failed", "10-a post failed"]
    assert rig.noted() == noted


def test_post_that_fails_does_not_keep_others_from_theirs(rig: HookRig) -> None:
    rig.hook("10-a")
    rig.hook("20-b", "kill -KILL $$", phase="post")
    session = run_all(rig.load())
    assert [result.release_why for result in session.results] == ["", "was ended by signal 9"]
    assert rig.noted()[-1] == "10-a post cut"


def test_hook_that_hangs_is_killed_with_its_children_and_posted(rig: HookRig) -> None:
    # A child in a session of its own, left by its parent, that ends on nothing but SIGKILL.
    body = f"""
        setsid sh -c 'trap "" TERM HUP; while :; do sleep 5; : {rig.root}; done' &
        sh -c 'trap "" TERM; tail -f {rig.log} >/dev/null' &
        sleep 60"""
    rig.hook("10-a", body)
    error = failure(rig.load(timeout_s=1))
    assert "did not end within 1 s and was killed" in error.message
    assert rig.noted() == ["10-a pre", "10-a post failed"]
    assert rig.living() == []


def test_children_that_start_each_other_anew_are_all_killed(rig: HookRig) -> None:
    again = rig.write("again", "")
    # Doubles each 50 ms until there are some dozens, then replaces itself for ever.
    again.write_text(
        '#!/bin/sh\ntrap "" TERM HUP\nn=${1:-0}\nsleep 0.1\n'
        f'[ "$n" -lt 5 ] && setsid {again} $((n + 1)) &\n'
        f"n=$((n < 5 ? n + 1 : n))\nexec {again} $n\n"
    )
    rig.hook("10-a", f"{again} & sleep 60")
    failure(rig.load(timeout_s=2))
    assert rig.living() == []


def test_deadline_of_the_whole_quiesce_ends_a_hook_before_its_own_limit(rig: HookRig) -> None:
    rig.hook("10-a", "sleep 60")
    assert "did not end within" in failure(rig.load(timeout_s=60), limit_s=0.5).message
    assert rig.noted()[-1] == "10-a post failed"


def test_flood_of_output_is_cut_in_memory_and_does_not_block(rig: HookRig) -> None:
    rig.hook("10-a", "head -c 9000000 /dev/zero | tr '\\0' x; echo end >&2")
    hooks = rig.load()
    run_all(hooks)
    (output,) = hooks.outputs
    assert len(output.text) == MAX_OUTPUT_BYTES
    assert output.dropped_bytes >= 9_000_000 - MAX_OUTPUT_BYTES


def test_flood_that_never_ends_is_killed_at_its_limit(rig: HookRig) -> None:
    rig.hook("10-a", "yes")
    failure(rig.load(timeout_s=1))
    assert rig.noted()[-1] == "10-a post failed"


def test_output_of_both_streams_and_phases_can_be_shown(rig: HookRig) -> None:
    rig.hook("10-a", 'echo "out $1"; echo "err $1" >&2', phase="pre|post")
    hooks = rig.load()
    run_all(hooks)
    shown = {(each.phase, line) for each in hooks.outputs for line in each.text.splitlines()}
    assert shown == {
        ("pre", "out pre"),
        ("pre", "err pre"),
        ("post", "out post"),
        ("post", "err post"),
    }


def test_file_that_is_not_executable_is_noted_and_not_run(rig: HookRig) -> None:
    path = rig.hook("10-a", mode=0o644)
    hooks = rig.load()
    assert hooks.quiescers == ()
    assert hooks.notes == (f"{path} is not run as a hook: it is not executable",)


def test_script_without_interpreter_line_is_run_by_the_shell(rig: HookRig) -> None:
    rig.write("hooks.d/10-a", f"echo $1 >>{rig.log}\n")
    run_all(rig.load())
    assert rig.noted() == ["pre", "post"]


def test_hook_whose_interpreter_is_missing_fails_and_says_so(rig: HookRig) -> None:
    path = rig.write("hooks.d/10-a", "#!/no/such/shell -e\n")
    said = failure(rig.load()).message
    assert f"{path} cannot be started: its interpreter /no/such/shell: No such file" in said


def test_hook_with_the_ends_of_lines_of_windows_fails_and_says_so(rig: HookRig) -> None:
    path = rig.write("hooks.d/10-a", "#!/bin/bash\r\nexit 0\r\n")
    said = failure(rig.load()).message
    assert f"{path} cannot be started: its interpreter $'/bin/bash\\x0d' is not there" in said


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: os.chown(path, 65534, -1),
        lambda path: path.chmod(0o757),
        lambda path: path.chmod(0o775),
        lambda path: path.parent.chmod(0o777),
        lambda path: path.parent.parent.chmod(0o1777),
        lambda path: os.chown(path.parent, 65534, -1),
    ],
    ids=["owner", "world-writable", "group-writable", "folder", "sticky-above", "folder-owner"],
)
def test_hook_that_others_could_change_is_refused_and_nothing_is_run(
    rig: HookRig, spoil: object
) -> None:
    path = rig.hook("10-a")
    assert callable(spoil)
    spoil(path)
    error = failure(rig.load())
    assert "root" in error.message
    assert error.hint
    assert rig.noted() == []


def test_hook_spoilt_after_it_was_found_is_refused(rig: HookRig) -> None:
    rig.hook("10-a")
    second = rig.hook("20-b")
    rig.hook("10-a", f"chmod 777 {second}")
    assert "20-b can be changed by others" in failure(rig.load()).message
    assert rig.noted() == ["10-a pre", "10-a post failed"]


def test_link_to_a_script_only_root_can_change_is_run_by_its_own_name(rig: HookRig) -> None:
    target = rig.write("scripts/app", f'#!/bin/sh\necho "$0" >>{rig.log}\n')
    link = rig.folder / "10-a"
    link.symlink_to("../scripts/app")
    run_all(rig.load())
    assert rig.noted() == [str(link)] * 2
    assert target.exists()


def test_link_into_a_folder_others_can_write_is_refused(rig: HookRig) -> None:
    rig.write("open/app", f"#!/bin/sh\necho run >>{rig.log}\n")
    (rig.root / "open").chmod(0o777)
    (rig.root / "way").symlink_to(rig.root / "open")
    (rig.folder / "10-a").symlink_to(rig.root / "way/app")
    assert f"{rig.root}/open can be changed by others" in failure(rig.load()).message
    assert rig.noted() == []


@pytest.mark.parametrize("target", ["10-a", "nowhere"], ids=["circle", "dangling"])
def test_link_that_leads_nowhere_fails_and_says_so(rig: HookRig, target: str) -> None:
    (rig.folder / "10-a").symlink_to(target)
    assert f"{rig.folder}/10-a" in failure(rig.load()).message


def test_hook_sees_the_facts_and_nothing_of_the_agents_environment(
    rig: HookRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "never-to-be-seen")
    rig.hook("10-a", f"env >{rig.root}/env")
    run_all(rig.load())
    env = (rig.root / "env").read_text()
    assert "never-to-be-seen" not in env
    assert "SNAP_SELF_PHASE=pre\n" in env
    assert "SNAP_SELF_RUN=run-7\n" in env
    assert "SNAP_SELF_BEFORE=dnf upgrade\n" in env
    assert "SNAP_SELF_DISKS=d-1\nd-2\n" in env
    assert "SNAP_SELF_MOUNTS=/\n/data\n" in env


def test_hook_has_three_descriptors_and_default_signals(rig: HookRig) -> None:
    body = f"ls /proc/self/fd >{rig.root}/fds; grep SigIgn /proc/$$/status >{rig.root}/ignored"
    rig.hook("10-a", body, phase="post")
    run_all(rig.load())
    assert (rig.root / "fds").read_text().split() == ["0", "1", "2", "3"]  # 3: what ls reads
    assert int((rig.root / "ignored").read_text().split()[1], 16) == 0


def test_post_has_no_input_to_wait_for(rig: HookRig) -> None:
    rig.hook("10-a", "cat", phase="post")
    (result,) = run_all(rig.load()).results
    assert result.release_why == ""


SESSION = "echo READY; cat; echo released >>"


def test_session_holds_until_released_and_is_posted_then(rig: HookRig) -> None:
    rig.hook("10-a", f"{SESSION}{rig.log}")
    hooks = rig.load()
    with QuiesceSession(hooks.quiescers, SystemClock(), limit_s=30) as session:
        session.start()
        assert session.check() == ""
        assert rig.noted() == ["10-a pre"]
    hooks.close()
    assert rig.noted() == ["10-a pre", "released", "10-a post failed"]


def test_session_that_ends_early_is_noticed_by_check_and_stop(rig: HookRig) -> None:
    rig.hook("10-a", "echo READY; sleep 0.3; exit 4")
    hooks = rig.load()
    with QuiesceSession(hooks.quiescers, SystemClock(), limit_s=30) as session:
        session.start()
        why = eventually(session.check)
    hooks.close()
    told = "its session ended with status 4 before it was released"
    assert why == f"hook 10-a: {told}"
    assert session.results[0].release_why == told


def test_session_that_does_not_end_when_released_is_killed(rig: HookRig) -> None:
    rig.hook("10-a", f"echo READY; while :; do sleep 5; : {rig.root}; done")
    (result,) = run_all(rig.load(timeout_s=1)).results
    assert "did not end within 1 s of its release; killed" in result.release_why
    assert rig.noted()[-1] == "10-a post cut"
    assert rig.living() == []


def test_hook_that_never_says_ready_is_killed_at_its_limit(rig: HookRig) -> None:
    rig.hook("10-a", "echo READYISH; cat")
    assert "did not end within 1 s" in failure(rig.load(timeout_s=1)).message


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("kill -9 $$", "was ended by signal 9"),
        ("exec >&- 2>&-; exit 7", "ended with status 7"),
        ("head -c 9000 /dev/urandom; exit 6", "ended with status 6"),
        (r"printf 'READY'; sleep 60", "did not end within 1 s"),
        ("echo READY >&2; sleep 60", "did not end within 1 s"),
        ("cat </dev/tty", "ended with status"),
    ],
    ids=["kills-itself", "no-output", "binary", "ready-unended", "ready-err", "tty"],
)
def test_hook_of_odd_habits_is_judged_by_its_status_and_what_it_said(
    rig: HookRig, body: str, why: str
) -> None:
    rig.hook("10-a", body)
    assert why in failure(rig.load(timeout_s=1)).message
    assert rig.noted()[-1] == "10-a post failed"
    assert rig.living() == []


def test_ready_with_the_end_of_a_line_of_windows_counts_and_is_held(rig: HookRig) -> None:
    rig.hook("10-a", r"printf 'READY\r\n'; cat >/dev/null")
    hooks = rig.load()
    with QuiesceSession(hooks.quiescers, SystemClock(), limit_s=30) as session:
        session.start()
        assert session.check() == ""
    hooks.close()
    assert session.results[0].release_why == ""


def test_what_a_hook_leaves_running_goes_on_and_can_still_print(rig: HookRig) -> None:
    body = (
        f"(while [ ! -e {rig.root}/go ]; do sleep 0.05; done; echo late; echo late >>{rig.log}) &"
    )
    rig.hook("10-a", body)
    rig.hook("20-b", f"touch {rig.root}/go; sleep 0.5", phase="post")
    hooks = rig.load()
    run_all(hooks)
    assert "late" in rig.noted()
    assert "late\n" in [output.text for output in hooks.outputs]


def test_no_hooks_start_no_keeper(rig: HookRig) -> None:
    hooks = rig.load(dir=str(rig.root / "missing"))
    run_all(hooks)
    assert (hooks.quiescers, hooks.notes) == ((), ())


def test_hooks_leave_no_process_and_no_file_behind(rig: HookRig) -> None:
    rig.hook("10-a", f"{SESSION}{rig.log}")
    run_all(rig.load())
    eventually(lambda: rig.living() == [])
    assert {path.name for path in Path(rig.root).iterdir()} == {"hooks.d", "log"}

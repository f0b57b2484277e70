"""The guard as the package managers start it: a shell script, and whatever became of the agent."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from agent_runner import CHECKOUT
from snap_self.model.occurrences import Occasion
from snap_self.model.summary import UNTOLD
from snap_self.system.watching.untold import UntoldFile

GUARD = CHECKOUT / "packaging/hooks/hook-guard"
GOES_ON = "the change goes on without a snapshot"
LIMIT_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """A guard that finds its files in a folder.

    Args:
        bin: the only place where it finds programs.
        run_folder: where it leaves what is to be counted.
    """

    shell: str
    guard: Path
    agent: Path
    limit: Path
    bin: Path
    run_folder: Path

    def script(self, text: str, mode: int = 0o755) -> None:
        """Put an agent there."""
        self.agent.write_text(text, encoding="utf-8")
        self.agent.chmod(mode)

    def run(self, *arguments: str, stdin: str = "", **env: str) -> tuple[int, str, str]:
        """Run the guard and return its status and what it wrote."""
        done = subprocess.run(
            [self.shell, str(self.guard), *(arguments or ("apt",))],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            env={"PATH": str(self.bin), **env},
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def start(self) -> subprocess.Popen[str]:
        """Start the guard in a process group of its own."""
        return subprocess.Popen(
            [self.shell, str(self.guard), "apt"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"PATH": str(self.bin)},
            start_new_session=True,
        )


@pytest.fixture(params=["dash", "bash"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Rig:
    shell = shutil.which(request.param)
    if shell is None:
        pytest.skip(f"no {request.param} here")
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("timeout", "true", "sleep", "cat", "env", "sh", "date", "mkdir"):
        found = shutil.which(name)
        assert found, name
        # A script, since a link would make it a timeout of another family.
        (folder / name).write_text(f'#!/bin/sh\nexec {found} "$@"\n', encoding="utf-8")
        (folder / name).chmod(0o755)
    text = GUARD.read_text(encoding="utf-8")
    agent, limit = tmp_path / "snap-self", tmp_path / "hook-limit"
    run = tmp_path / "run"
    places = (("AGENT", agent), ("LIMIT_FILE", limit), ("PATH", folder), ("RUN", run))
    for name, path in places:
        (before,) = [line for line in text.splitlines() if line.startswith(f"{name}=")]
        text = text.replace(before, f"{name}={path}")
    guard = tmp_path / "hook-guard"
    guard.write_text(text, encoding="utf-8")
    return Rig(shell=shell, guard=guard, agent=agent, limit=limit, bin=folder, run_folder=run)


@pytest.mark.parametrize(("status", "passed_on"), [(0, 0), (99, 99), (98, 130)])
def test_answer_of_the_agent_is_passed_on_in_silence(rig: Rig, status: int, passed_on: int) -> None:
    rig.script(f"#!/bin/sh\nexit {status}\n")
    assert rig.run() == (passed_on, "", "")
    assert not rig.run_folder.exists()


@pytest.mark.parametrize("status", [124, 125, 129, 130, 131, 137, 143])
def test_status_that_other_programs_use_never_stops_a_change(rig: Rig, status: int) -> None:
    rig.script(f"#!/bin/sh\nexit {status}\n")
    code, out, err = rig.run()
    assert (code, out) == (0, "")
    assert GOES_ON in err


# uutils coreutils before 0.8: 125 at the limit of `timeout -k`; BusyBox: that of the signal.
@pytest.mark.parametrize("status", [124, 125, 137, 143])
def test_timeout_with_a_status_of_its_own_at_the_limit_stops_no_change(
    rig: Rig, status: int
) -> None:
    rig.script("#!/bin/sh\nexec sleep 60\n")
    rig.limit.write_text("1\n", encoding="utf-8")
    inner = rig.bin / "gnu-timeout"
    (rig.bin / "timeout").rename(inner)
    script = (
        f'#!/bin/sh\n{inner} "$@"\nstatus=$?\n[ $status -eq 124 ] && exit {status}\nexit $status\n'
    )
    (rig.bin / "timeout").write_text(script, encoding="utf-8")
    (rig.bin / "timeout").chmod(0o755)
    code, out, err = rig.run()
    assert (code, out) == (0, "")
    assert "1 s" in err or "was killed" in err
    assert GOES_ON in err


def test_real_timeout_of_another_family_stops_no_change_at_its_limit(rig: Rig) -> None:
    other = Path("/usr/lib/cargo/bin/coreutils/timeout")
    if not other.exists():
        pytest.skip("no uutils here (Debian: rust-coreutils)")
    (rig.bin / "timeout").unlink()
    (rig.bin / "timeout").symlink_to(other)
    rig.limit.write_text("1\n", encoding="utf-8")
    rig.script("#!/bin/sh\nexec sleep 60\n")
    code, out, err = rig.run()
    assert (code, out) == (0, "")
    assert GOES_ON in err


@pytest.mark.parametrize("status", [1, 2, 3, 20, 100, 126, 127, 128, 139, 255])
def test_status_of_a_broken_agent_lets_the_change_go_on_aloud(rig: Rig, status: int) -> None:
    rig.script(f"#!/bin/sh\nexit {status}\n")
    code, out, err = rig.run()
    assert (code, out) == (0, "")
    assert f"its hook for apt is broken (status {status})" in err
    assert GOES_ON in err


@pytest.mark.parametrize(
    ("ending", "code"),
    [("exit 1", "hook-broken"), ("kill -9 $$", "hook-ended"), ("exit 124", "hook-ended")],
)
def test_change_that_goes_on_is_left_to_be_counted(rig: Rig, ending: str, code: str) -> None:
    rig.script(f"#!/bin/sh\n{ending}\n")
    before = datetime.now(timezone.utc) - timedelta(seconds=1)
    for manager in ("apt", "dnf"):
        assert rig.run(manager)[0] == 0
    assert rig.run_folder.stat().st_mode & 0o777 == 0o700
    assert (rig.run_folder / UNTOLD).stat().st_mode & 0o777 == 0o600
    taken = UntoldFile(rig.run_folder).take()
    # It could tell nobody else.
    assert not any(left.told for left in taken)
    kept = [left.occurrence for left in taken]
    assert [(one.kind, one.trigger, one.code) for one in kept] == [
        (Occasion.UNPROTECTED, "apt", code),
        (Occasion.UNPROTECTED, "dnf", code),
    ]
    assert all(before <= one.at <= datetime.now(timezone.utc) and one.hint for one in kept)
    assert all(one.text.startswith(f"{one.trigger} went on without a snapshot") for one in kept)


def test_half_removed_agent_is_left_to_be_counted_and_a_removed_one_is_not(rig: Rig) -> None:
    rig.run()
    assert not rig.run_folder.exists()
    rig.agent.symlink_to("nowhere")
    rig.run()
    (one,) = UntoldFile(rig.run_folder).take()
    assert one.occurrence.code == "hook-broken"


def test_rehearsal_is_not_left_to_be_counted_while_it_goes_on(rig: Rig) -> None:
    rig.script("#!/bin/sh\nexit 1\n")
    hooks = rig.run_folder / "hooks"
    (hooks / f"rehearsal-{os.getpid()}-4711").mkdir(parents=True)
    assert GOES_ON in rig.run()[2]
    assert UntoldFile(rig.run_folder).take() == ()
    # One that was killed leaves its folder.
    (hooks / f"rehearsal-{os.getpid()}-4711").rename(hooks / "rehearsal-999999999-4711")
    rig.run()
    assert len(UntoldFile(rig.run_folder).take()) == 1


def test_half_a_line_takes_no_other_with_it(rig: Rig) -> None:
    rig.script("#!/bin/sh\nexit 1\n")
    rig.run()
    untold = rig.run_folder / UNTOLD
    untold.write_bytes(untold.read_bytes()[:60])
    rig.run()
    rig.run()
    assert len(UntoldFile(rig.run_folder).take()) == 2


def test_shells_options_and_functions_of_the_caller_stop_no_change(rig: Rig) -> None:
    rig.script("#!/bin/sh\nexit 1\n")
    functions = {f"BASH_FUNC_{name}%%": "() { exit 5; }" for name in ("printf", "date", "mkdir")}
    for env in ({"SHELLOPTS": "errexit:nounset:noglob"}, functions):
        code, _, err = rig.run(**env)
        assert (code, GOES_ON in err) == (0, True)


def test_file_that_may_not_grow_stops_no_change(rig: Rig) -> None:
    rig.script("#!/bin/sh\nexit 1\n")
    limited = ("sh", "-c", 'ulimit -f 0; exec "$@"', "sh", rig.shell, str(rig.guard), "apt")
    done = subprocess.run(
        limited, env={"PATH": str(rig.bin)}, capture_output=True, timeout=LIMIT_S, check=False
    )
    assert (done.returncode, GOES_ON in done.stderr.decode()) == (0, True)


@pytest.mark.parametrize("kind", ["link", "pipe", "link to the folder"])
def test_what_lies_in_the_place_of_the_file_is_not_written_to(
    rig: Rig, tmp_path: Path, kind: str
) -> None:
    rig.script("#!/bin/sh\nexit 1\n")
    target = tmp_path / "target"
    if kind == "link to the folder":
        target.mkdir()
        rig.run_folder.symlink_to(target)
    else:
        rig.run_folder.mkdir()
        untold = rig.run_folder / UNTOLD
        os.mkfifo(untold) if kind == "pipe" else untold.symlink_to(target)
    assert rig.run()[0] == 0
    assert not target.exists() or not list(target.iterdir())


@pytest.mark.parametrize("lack", ["folder", "file", "date", "mkdir"])
def test_what_cannot_be_left_to_be_counted_changes_nothing(rig: Rig, lack: str) -> None:
    rig.script("#!/bin/sh\nexit 1\n")
    expected = rig.run()
    shutil.rmtree(rig.run_folder)
    if lack == "folder":
        rig.run_folder.write_text("in its place", encoding="utf-8")
    elif lack == "file":
        (rig.run_folder / UNTOLD).mkdir(parents=True)
    else:
        (rig.bin / lack).unlink()
    assert rig.run() == expected
    assert UntoldFile(rig.run_folder).take() == ()


@pytest.mark.parametrize("manager", ['apt"', "a b", "apt\n", ""])
def test_name_that_is_no_managers_is_not_left_to_be_counted(rig: Rig, manager: str) -> None:
    rig.script("#!/bin/sh\nexit 1\n")
    assert rig.run(manager)[0] == 0
    assert not rig.run_folder.exists()


def test_agent_gets_the_managers_name_its_input_and_the_limit(rig: Rig) -> None:
    rig.script('#!/bin/sh\necho "$@" "$SNAP_SELF_HOOK_LIMIT" >&2; cat >&2; echo out\n')
    assert rig.run("dnf4", stdin="the list") == (0, "out\n", "hook dnf4 65\nthe list")


def test_open_descriptors_reach_the_agent(rig: Rig, tmp_path: Path) -> None:
    rig.script("#!/bin/bash\ncat <&20 >&2\n")
    (tmp_path / "list").write_text("packages", encoding="utf-8")
    done = subprocess.run(
        ["bash", "-c", f"exec 20<{tmp_path}/list; exec {rig.shell} {rig.guard} apt"],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env={"PATH": f"{rig.bin}:/bin:/usr/bin"},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "packages")


def test_agent_that_was_removed_is_no_news(rig: Rig) -> None:
    assert rig.run() == (0, "", "")


def test_link_that_leads_nowhere_is_told(rig: Rig) -> None:
    rig.agent.symlink_to("/nonexistent/snap-self")
    code, out, err = rig.run()
    assert (code, out) == (0, "")
    assert f"{rig.agent} cannot be executed; {GOES_ON}" in err


@pytest.mark.parametrize("mode", [0o644, 0o000])
def test_agent_that_is_not_executable_is_told(rig: Rig, mode: int) -> None:
    rig.script("#!/bin/sh\nexit 99\n", mode)
    code, _, err = rig.run()
    assert code == 0
    assert "cannot be executed" in err


def test_folder_in_the_agents_place_is_told(rig: Rig) -> None:
    rig.agent.mkdir()
    code, _, err = rig.run()
    assert code == 0
    assert "cannot be executed" in err


def test_empty_file_in_the_agents_place_is_told(rig: Rig) -> None:
    rig.script("")
    code, _, err = rig.run()
    assert code == 0
    assert "cannot be executed" in err


def test_agent_whose_interpreter_is_gone_is_told(rig: Rig) -> None:
    rig.script("#!/nonexistent/python3 -IS\n")
    code, _, err = rig.run()
    assert code == 0
    assert GOES_ON in err


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT])
def test_agent_that_is_killed_lets_the_change_go_on_aloud(rig: Rig, number: int) -> None:
    rig.script(f"#!/bin/sh\nkill -{int(number)} $$\n")
    code, _, err = rig.run()
    assert code == 0
    assert GOES_ON in err


def test_broken_agent_lets_the_change_go_on_where_nobody_reads_what_is_said(rig: Rig) -> None:
    rig.script("#!/bin/sh\nexit 1\n")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [rig.shell, str(rig.guard), "apt"],
        stdin=subprocess.DEVNULL,
        stderr=writing,
        timeout=LIMIT_S,
        env={"PATH": str(rig.bin)},
        check=False,
    )
    os.close(writing)
    assert done.returncode == 0


@pytest.mark.parametrize("trap", ["", "trap '' TERM; "])
def test_agent_that_hangs_is_ended_at_the_limit(rig: Rig, trap: str) -> None:
    rig.limit.write_text("1\n", encoding="utf-8")
    rig.script(f"#!/bin/sh\n{trap}while :; do sleep 0.2; done\n")
    code, out, err = rig.run()
    assert (code, out) == (0, "")
    assert GOES_ON in err


@pytest.mark.parametrize("text", ["", "x", "-1", "0", "00", "1 2", "9999", "65; exit 1", "\n7"])
def test_limit_that_is_none_is_not_taken(rig: Rig, text: str) -> None:
    rig.limit.write_text(f"{text}\n", encoding="utf-8")
    rig.script('#!/bin/sh\necho "$SNAP_SELF_HOOK_LIMIT" >&2\n')
    assert rig.run() == (0, "", "65\n")


def test_limit_of_the_configuration_is_taken(rig: Rig) -> None:
    rig.limit.write_text("305\n", encoding="utf-8")
    rig.script('#!/bin/sh\necho "$SNAP_SELF_HOOK_LIMIT" >&2\n')
    assert rig.run() == (0, "", "305\n")


def test_without_timeout_the_agent_is_run_all_the_same(rig: Rig) -> None:
    (rig.bin / "timeout").unlink()
    for status in (0, 99):
        rig.script(f"#!/bin/sh\nexit {status}\n")
        assert rig.run() == (status, "", "")


def test_timeout_that_does_not_know_the_options_is_not_used(rig: Rig) -> None:
    family = rig.bin / "busybox"
    family.write_text("#!/bin/sh\necho usage >&2\nexit 125\n", encoding="utf-8")
    family.chmod(0o755)
    (rig.bin / "timeout").unlink()
    (rig.bin / "timeout").symlink_to(family)
    rig.script("#!/bin/sh\nexit 0\n")
    assert rig.run() == (0, "", "")


def test_zypper_which_times_its_plugins_itself_is_not_timed(rig: Rig) -> None:
    rig.limit.write_text("1\n", encoding="utf-8")
    rig.script("#!/bin/sh\nsleep 1.5; exit 0\n")
    assert rig.run("zypper") == (0, "", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_to_the_whole_group_ends_the_guard_with_a_failure(rig: Rig, number: int) -> None:
    handle = f"trap 'exit 98' {int(number)}"
    # Until timeout(1) has noted its child it answers a signal itself, with 128 and its number.
    rig.script(f"#!/bin/sh\n{handle}\nsleep 0.3; echo ready >&2\nwhile :; do sleep 0.1; done\n")
    with rig.start() as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "ready\n"
        os.killpg(process.pid, number)
        process.wait(LIMIT_S)
    assert process.returncode in (130, -number)


# What loads code into a program, or decides what it loads or writes, whoever set it.
LEADING = (
    *("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONUSERBASE"),
    *("PYTHONPLATLIBDIR", "PYTHONBREAKPOINT", "PYTHONPYCACHEPREFIX", "PYTHONWARNINGS"),
    *("LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "GCONV_PATH", "LOCPATH"),
    *("OPENSSL_CONF", "OPENSSL_MODULES", "OPENSSL_ENGINES", "SSLKEYLOGFILE"),
    *("BASH_ENV", "ENV", "CDPATH", "IFS"),
)


@pytest.fixture
def as_shipped(rig: Rig) -> Rig:
    """Return the rig whose guard looks for programs where the shipped one does."""
    (path,) = [line for line in GUARD.read_text("utf-8").splitlines() if line.startswith("PATH=")]
    text = rig.guard.read_text(encoding="utf-8").replace(f"PATH={rig.bin}", path)
    rig.guard.write_text(text, encoding="utf-8")
    return rig


@pytest.mark.parametrize("manager", ["apt", "zypper"])
def test_program_on_the_callers_path_is_not_run(
    as_shipped: Rig, tmp_path: Path, manager: str
) -> None:
    planted, log = tmp_path / "planted", tmp_path / "log"
    planted.mkdir()
    for name in ("timeout", "true", "python3", "apt-config", "systemctl", "mkfs.ext4", "mount"):
        (planted / name).write_text(f'#!/bin/sh\necho "$0" >>{log}\n', encoding="utf-8")
        (planted / name).chmod(0o755)
    tried = "timeout 1 true; python3 --version; apt-config --version"
    as_shipped.script(f'#!/bin/sh\necho "$PATH" >&2\n({tried}) >/dev/null 2>&1\nexit 99\n')
    code, _, err = as_shipped.run(manager, PATH=f"{planted}:/usr/bin:/bin")
    assert (code, log.exists()) == (99, False)
    assert err == "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin\n"


def test_variable_that_decides_what_is_loaded_does_not_reach_the_agent(
    as_shipped: Rig, tmp_path: Path
) -> None:
    as_shipped.script("#!/bin/sh\nenv >&2\n")
    given = {name: str(tmp_path / "planted") for name in LEADING}
    _, _, err = as_shipped.run(SNAP_SELF_SKIP="1", LANG="C", **given)
    names = {line.partition("=")[0] for line in err.splitlines()}
    assert names & set(LEADING) == set()
    assert {"SNAP_SELF_SKIP", "LANG", "SNAP_SELF_HOOK_LIMIT"} <= names

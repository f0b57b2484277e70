"""What every runner of the user's command does, in memory and for real."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from agent_runner import CHECKOUT
from fakes.foreground import FakeForeground
from snap_self.model.command import Ended, NotStartable
from snap_self.ports import ForegroundCommands
from snap_self.system.foreground import FROM_KEYBOARD, PASSED_ON, SystemForeground


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    """Put back the handlers, which the real one keeps to the end of its process."""
    numbers = (*FROM_KEYBOARD, *PASSED_ON, signal.SIGCHLD)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def runner(kind: str, ending: Ended | None = None) -> ForegroundCommands:
    if kind == "real":
        return SystemForeground()
    missing = {
        "no-such-program": NotStartable.NOT_FOUND,
        "/etc/passwd": NotStartable.NOT_EXECUTABLE,
    }
    return FakeForeground(ending, missing=missing)


BOTH = pytest.mark.parametrize("kind", ["real", "memory"])


@BOTH
def test_every_exit_status_is_told(kind: str) -> None:
    for status in range(256):
        ended = runner(kind, Ended(status=status)).run(["sh", "-c", f"exit {status}"])
        assert ended == Ended(status=status)


@BOTH
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_signal_that_ended_it_is_told(kind: str, number: signal.Signals) -> None:
    wanted = Ended(signal=int(number), signal_name=number.name)
    assert runner(kind, wanted).run(["sh", "-c", f"kill -{int(number)} $$"]) == wanted


AS_AGENT = """
from snap_self.system.foreground import SystemForeground
SystemForeground().run(["env"])
"""


@pytest.mark.parametrize("locale", [{}, {"LC_CTYPE": "C"}, {"LC_CTYPE": "POSIX", "LANG": "C"}])
def test_environment_reaches_the_command_as_it_was_given(locale: Mapping[str, str]) -> None:
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT / "agent"), **locale}
    done = subprocess.run(
        [sys.executable, "-c", AS_AGENT], env=env, capture_output=True, text=True, check=True
    )
    assert dict(line.split("=", 1) for line in done.stdout.splitlines()) == env


class _Signalled(list[str]):
    """A command line that is read when all is set up; a signal comes before the start."""

    def __iter__(self) -> Iterator[str]:
        signal.raise_signal(signal.SIGTERM)
        return super().__iter__()


def test_signal_that_came_before_the_start_reaches_the_command() -> None:
    ended = SystemForeground().run(_Signalled(["sleep", "5"]))
    assert ended == Ended(signal=int(signal.SIGTERM), signal_name="SIGTERM")


def test_signal_without_a_name_is_told_by_its_number() -> None:
    number = signal.SIGRTMIN + 3
    ended = SystemForeground().run(["bash", "-c", f"kill -{number} $$"])
    assert ended == Ended(signal=number, signal_name=f"signal {number}")


@BOTH
@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("no-such-program", NotStartable.NOT_FOUND),
        ("/etc/passwd", NotStartable.NOT_EXECUTABLE),
        ("sh", None),
    ],
)
def test_program_that_cannot_be_started_is_seen_before(
    kind: str, program: str, why: NotStartable | None
) -> None:
    assert runner(kind).fault(program) is why


@BOTH
def test_program_that_cannot_be_started_is_no_error(kind: str) -> None:
    assert runner(kind).run(["no-such-program"]) is NotStartable.NOT_FOUND
    assert runner(kind).run(["/etc/passwd"]) is NotStartable.NOT_EXECUTABLE


def test_directory_and_empty_name_cannot_be_started() -> None:
    assert SystemForeground().fault("/etc") is NotStartable.NOT_EXECUTABLE
    assert SystemForeground().fault("") is NotStartable.NOT_FOUND


def test_script_without_interpreter_line_is_the_shells(tmp_path: Path) -> None:
    script = tmp_path / "bare"
    script.write_text('[ "$1" = argument ] && exit 9\n', encoding="utf-8")
    script.chmod(0o755)
    assert SystemForeground().run([str(script), "argument"]) == Ended(status=9)


@pytest.mark.parametrize("number", PASSED_ON)
def test_signal_to_the_agent_is_passed_on(number: signal.Signals, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    os.mkfifo(ready)

    def send() -> None:
        ready.read_text(encoding="utf-8")
        os.kill(os.getpid(), number)

    sender = threading.Thread(target=send)
    sender.start()
    command = f'trap "exit 40" {int(number)}; echo > {ready}; while :; do sleep 0.02; done'
    ended = SystemForeground().run(["sh", "-c", command])
    sender.join()
    assert ended == Ended(status=40)


def test_signal_that_another_thread_takes_is_passed_on(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    os.mkfifo(ready)

    def take() -> None:
        ready.read_text(encoding="utf-8")
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    taker = threading.Thread(target=take)
    taker.start()
    # Its own end after a while is for the case that the signal never comes.
    command = f"trap 'exit 40' TERM; echo > {ready}; for n in $(seq 250); do sleep 0.02; done"
    ended = SystemForeground().run(["sh", "-c", command])
    taker.join()
    assert ended == Ended(status=40)


@pytest.mark.parametrize("blocked", [set(), {signal.SIGCHLD, signal.SIGUSR1}])
def test_end_is_seen_and_blocked_signals_stay_so_for_the_command(
    blocked: set[signal.Signals],
) -> None:
    before = signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    try:
        wanted = sum(1 << number - 1 for number in blocked)
        test = f'test "$(sed -n "s/^SigBlk:.//p" /proc/self/status)" = {wanted:016x}'
        assert SystemForeground().run(["sh", "-c", test]) == Ended(status=0)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_signals_ignored_by_the_agents_caller_stay_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert SystemForeground().run(["sh", "-c", "kill -HUP $$; exit 6"]) == Ended(status=6)


def test_status_is_told_though_the_caller_ignored_ends_of_children() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    assert SystemForeground().run(["sh", "-c", "exit 8"]) == Ended(status=8)


def test_signal_after_the_end_does_nothing() -> None:
    foreground = SystemForeground()
    foreground.run(["true"])
    for number in (*FROM_KEYBOARD, *PASSED_ON):
        os.kill(os.getpid(), number)
    assert foreground.fault("true") is None

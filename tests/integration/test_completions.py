"""The completions in real shells: what TAB offers, and that it starts no agent."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "packaging/completions"
LIMIT_S = 10.0
Completes = Callable[[str], list[str]]

CASES = [
    ("snap-self pla", ["plan"]),
    ("snap-self --dry", ["--dry-run"]),
    ("snap-self --before plan th", ["thaw"]),
    ("snap-self --consistency f", ["filesystem", "flush"]),
    ("snap-self plan --wait a", ["accomplished", "available"]),
    ("snap-self run --before x --on-sn", ["--on-snapshot-failure"]),
    ("snap-self prune --keep-last 3 --y", ["--yes"]),
    ("snap-self demo --keep --he", ["--help"]),
    ("snap-self hook en", ["enable"]),
    ("snap-self hook disable zy", ["zypper"]),
    ("snap-self run --before x -- snap-self-test-pro", ["snap-self-test-program"]),
    ("snap-self run snap-self-test-pro", ["snap-self-test-program"]),
]


def shell(name: str) -> str:
    """Return the shell's path; skip aloud where it is not installed."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return an environment with a `snap-self` that tells when it is started, and a program."""
    programs = tmp_path / "bin"
    programs.mkdir()
    started = tmp_path / "started"
    (programs / "snap-self").write_text(f"#!/bin/sh\necho >>{started}\n", encoding="utf-8")
    (programs / "snap-self-test-program").write_text("#!/bin/sh\n", encoding="utf-8")
    for path in programs.iterdir():
        path.chmod(0o755)
    return {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "TERM": "dumb",
        "LC_ALL": "C.UTF-8",
    }


@pytest.fixture
def in_bash(environment: dict[str, str]) -> Completes:
    """Return what completes a line as bash does: words in, the function's replies out."""
    program = shell("bash")

    def complete(line: str) -> list[str]:
        script = (
            f"source {FOLDER}/snap-self.bash; "
            'COMP_LINE="$1" COMP_POINT=${#1}; read -ra COMP_WORDS <<<"${1//=/ = }"; '
            '[[ $1 != *" " ]] || COMP_WORDS+=(""); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); '
            '_snap_self; printf "%s\\n" "${COMPREPLY[@]}"'
        )
        result = subprocess.run(
            [program, "--norc", "-c", script, "bash", line],
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=True,
        )
        assert result.stderr == ""
        return sorted(set(result.stdout.split()))

    return complete


@pytest.fixture
def in_fish(environment: dict[str, str]) -> Completes:
    """Return what completes a line with fish's own engine."""
    program = shell("fish")

    def complete(line: str) -> list[str]:
        result = subprocess.run(
            [program, "-N", "-c", f"source {FOLDER}/snap-self.fish; complete -C $argv[1]", line],
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=True,
        )
        assert result.stderr == ""
        return sorted({each.partition("\t")[0] for each in result.stdout.splitlines()})

    return complete


class Terminal:
    """A shell on a pseudo terminal."""

    def __init__(self, argv: list[str], environment: dict[str, str]) -> None:
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.execvpe(argv[0], argv, environment)

    def type(self, text: str) -> None:
        """Type."""
        os.write(self._fd, text.encode())

    def read_until(self, pattern: str) -> str:
        """Return what appeared up to the pattern."""
        seen = ""
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            ready, _, _ = select.select([self._fd], [], [], 0.2)
            if ready:
                seen += os.read(self._fd, 65536).decode("utf-8", "replace")
            if re.search(pattern, seen):
                return seen
        raise AssertionError(f"{pattern!r} did not appear in {seen!r}")

    def close(self) -> None:
        """End the shell."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.close(self._fd)
        os.waitpid(self.pid, 0)


@pytest.fixture
def bash_terminal(environment: dict[str, str], tmp_path: Path) -> Iterator[Terminal]:
    """Give an interactive bash that has the completion."""
    rc = tmp_path / "bashrc"
    loader = "/usr/share/bash-completion/bash_completion"
    rc.write_text(
        f"[ ! -e {loader} ] || . {loader}\n. {FOLDER}/snap-self.bash\nPS1='ready> '\n"
        "bind 'set bell-style none'\nbind 'set enable-bracketed-paste off'\n",
        encoding="utf-8",
    )
    terminal = Terminal([shell("bash"), "--rcfile", str(rc), "-i"], environment)
    terminal.read_until("ready> ")
    yield terminal
    terminal.close()


@pytest.fixture
def zsh_terminal(environment: dict[str, str], tmp_path: Path) -> Iterator[Terminal]:
    """Give an interactive zsh that has the completion."""
    (tmp_path / ".zshrc").write_text(
        f"fpath=({FOLDER} $fpath)\nautoload -U compinit\ncompinit -u -D\nPS1='ready> '\n"
        "unsetopt BEEP PROMPT_SP ZLE\nsetopt ZLE\nzstyle ':completion:*' verbose no\nLISTMAX=999\n",
        encoding="utf-8",
    )
    terminal = Terminal([shell("zsh"), "-i"], environment)
    terminal.read_until("ready> ")
    yield terminal
    terminal.close()


@pytest.mark.parametrize(("line", "wanted"), CASES)
def test_bash_offers_what_fits(in_bash: Completes, line: str, wanted: list[str]) -> None:
    assert in_bash(line) == wanted


@pytest.mark.parametrize(("line", "wanted"), CASES)
def test_fish_offers_what_fits(in_fish: Completes, line: str, wanted: list[str]) -> None:
    assert in_fish(line) == wanted


@pytest.mark.parametrize(("line", "wanted"), [case for case in CASES if len(case[1]) == 1])
def test_tab_in_bash_completes_the_line(
    bash_terminal: Terminal, line: str, wanted: list[str]
) -> None:
    bash_terminal.type(line + "\t")
    bash_terminal.read_until(re.escape(line.rpartition(" ")[0] + " " + wanted[0]) + " ")


@pytest.mark.parametrize(("line", "wanted"), [case for case in CASES if len(case[1]) == 1])
def test_tab_in_zsh_completes_the_line(
    zsh_terminal: Terminal, line: str, wanted: list[str]
) -> None:
    zsh_terminal.type(line + "\t")
    completed = wanted[0].removeprefix(line.rpartition(" ")[2])
    # zsh writes what it adds; before it may stand the line anew.
    zsh_terminal.read_until(re.escape(line) + r".*" + re.escape(completed))


def test_tab_in_zsh_lists_the_words_of_an_option(zsh_terminal: Terminal) -> None:
    zsh_terminal.type("snap-self --wait=a\t\t")
    shown = zsh_terminal.read_until(r"accomplished\s+available")
    assert "cut" not in shown


def test_bash_after_an_equals_sign_offers_the_words(in_bash: Completes) -> None:
    assert in_bash("snap-self --on-quiesce-failure=") == ["abort", "continue"]


def test_bash_offers_files_below_a_path(bash_terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "data folder").mkdir()
    bash_terminal.type(f"snap-self plan --path {tmp_path}/da\t")
    bash_terminal.read_until(r"data\\ folder/")


def test_completion_in_any_shell_starts_no_agent(
    in_bash: Completes, in_fish: Completes, tmp_path: Path
) -> None:
    for line, _ in CASES:
        in_bash(line)
        in_fish(line)
    assert not (tmp_path / "started").exists()

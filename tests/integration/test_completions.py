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

COMPLETIONS = Path(__file__).resolve().parents[2] / "packaging/completions"
LIMIT_S = 10.0
Completes = Callable[[str], list[str]]

OLDER, NEWER = "20261122t083225z-0a1b2c", "20261128t093145z-3d4e5f"
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
    ("snap-self show la", ["last"]),
    (f"snap-self show {NEWER[:13]}", [NEWER]),
    ("snap-self list --la", ["--last"]),
    ("snap-self --disk d-bp1", ["d-bp1b"]),
    ("snap-self policy --disk d-", ["d-bp1b", "d-bp2c"]),
    ("snap-self plan --exclude /s", ["/srv"]),
    ("snap-self list --disk /dev/vdb", ["/dev/vdb", "/dev/vdb1"]),
]
# Of disks, partitions and filesystems.
SERIALS = {"vdb": "bp1b", "nvme0n1/device": "bp2c", "sda": "QM 0001"}
BLOCKS = ("vdb/device", "vdb/vdb1", "nvme0n1/device", "sda/device", "loop0/loop0p1", "dm-0")
MOUNTS = r"""/dev/vdb1 /srv ext4 rw 0 0
/dev/mapper/data-web /var/lib/web\040data xfs rw 0 0
/dev/vdb1 /mnt/line\012end ext4 rw 0 0
/dev/loop0 /loop squashfs ro 0 0
/dev/fuse /fuse fuse rw 0 0
proc /proc proc rw 0 0
"""
IDS = ["d-bp1b", "d-bp2c"]
DEVICES = ["/dev/nvme0n1", "/dev/sda", "/dev/vdb", "/dev/vdb1"]


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
    runs = tmp_path / "state/runs"
    runs.mkdir(parents=True)
    for name in (f"{OLDER}.json", f"{NEWER}.json", "$(touch started).json", "README"):
        (runs / name).touch()
    return {
        "SNAP_SELF_STATE_DIR": str(runs.parent),
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "TERM": "dumb",
        "LC_ALL": "C.UTF-8",
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the completions, as they are on a machine with disks."""
    blocks = tmp_path / "sys/block"
    for name in BLOCKS:
        (blocks / name).mkdir(parents=True)
    for name, serial in SERIALS.items():
        (blocks / name / "serial").write_text(f"{serial}\n", encoding="utf-8")
    for name in ("vdb/vdb1", "loop0/loop0p1"):
        (blocks / name / "partition").write_text("1\n", encoding="utf-8")
    (tmp_path / "mounts").write_text(MOUNTS, encoding="utf-8")
    completions = tmp_path / "completions"
    completions.mkdir()
    for path in COMPLETIONS.iterdir():
        text = path.read_text(encoding="utf-8").replace("/sys/block/", f"{blocks}/")
        text = text.replace("/proc/self/mounts", f"{tmp_path}/mounts")
        (completions / path.name).write_text(text, encoding="utf-8")
    return completions


@pytest.fixture
def in_bash(environment: dict[str, str], folder: Path) -> Completes:
    """Return what completes a line as bash does: words in, the function's replies out."""
    program = shell("bash")

    def complete(line: str) -> list[str]:
        script = (
            f"source {folder}/snap-self.bash; "
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
        return sorted(set(result.stdout.splitlines()))

    return complete


@pytest.fixture
def in_fish(environment: dict[str, str], folder: Path) -> Completes:
    """Return what completes a line with fish's own engine."""
    program = shell("fish")

    def complete(line: str) -> list[str]:
        result = subprocess.run(
            [program, "-N", "-c", f"source {folder}/snap-self.fish; complete -C $argv[1]", line],
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
def bash_terminal(environment: dict[str, str], folder: Path, tmp_path: Path) -> Iterator[Terminal]:
    """Give an interactive bash that has the completion."""
    rc = tmp_path / "bashrc"
    loader = "/usr/share/bash-completion/bash_completion"
    rc.write_text(
        f"[ ! -e {loader} ] || . {loader}\n. {folder}/snap-self.bash\nPS1='ready> '\n"
        "bind 'set bell-style none'\nbind 'set enable-bracketed-paste off'\n",
        encoding="utf-8",
    )
    terminal = Terminal([shell("bash"), "--rcfile", str(rc), "-i"], environment)
    terminal.read_until("ready> ")
    yield terminal
    terminal.close()


@pytest.fixture
def zsh_terminal(environment: dict[str, str], folder: Path, tmp_path: Path) -> Iterator[Terminal]:
    """Give an interactive zsh that has the completion."""
    (tmp_path / ".zshrc").write_text(
        f"fpath=({folder} $fpath)\nautoload -U compinit\ncompinit -u -D\nPS1='ready> '\n"
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


@pytest.mark.parametrize("shell_name", ["bash", "fish"])
def test_id_to_show_is_any_run_of_the_journal_or_the_last(
    request: pytest.FixtureRequest, shell_name: str
) -> None:
    complete: Completes = request.getfixturevalue(f"in_{shell_name}")
    assert complete("snap-self show ") == [OLDER, NEWER, "last"]


def test_tab_in_zsh_lists_the_runs_of_the_journal_and_no_other_file(
    zsh_terminal: Terminal,
) -> None:
    zsh_terminal.type("snap-self show \t\t")
    listed = zsh_terminal.read_until(rf"{OLDER}[^$]*ready> ")
    assert NEWER in listed
    assert "last" in listed
    assert "touch" not in listed


def test_id_to_show_where_nobody_may_read_the_journal_is_the_last(
    in_bash: Completes, environment: dict[str, str], tmp_path: Path
) -> None:
    environment["SNAP_SELF_STATE_DIR"] = str(tmp_path / "not there")
    assert in_bash("snap-self show ") == ["last"]


@pytest.mark.parametrize(
    ("shell_name", "spaced"), [("bash", ["/var/lib/web\\ data"]), ("fish", ["/var/lib/web data"])]
)
def test_disk_is_an_id_by_serial_a_device_or_a_mount_point(
    request: pytest.FixtureRequest, shell_name: str, spaced: list[str]
) -> None:
    complete: Completes = request.getfixturevalue(f"in_{shell_name}")
    assert complete("snap-self --disk ") == sorted([*IDS, *DEVICES, "/srv", *spaced])


def test_tab_in_zsh_lists_what_names_a_disk(zsh_terminal: Terminal) -> None:
    zsh_terminal.type("snap-self --disk \t\t")
    listed = zsh_terminal.read_until(r"/srv[^$]*ready> ")
    assert [name for name in (*IDS, *DEVICES, r"web\ data") if name not in listed] == []
    assert "loop" not in listed


@pytest.mark.parametrize("shell_name", ["bash", "fish"])
def test_disk_that_begins_like_none_is_a_file(
    request: pytest.FixtureRequest, shell_name: str, tmp_path: Path
) -> None:
    (tmp_path / "by-id").touch()
    complete: Completes = request.getfixturevalue(f"in_{shell_name}")
    assert complete(f"snap-self --exclude {tmp_path}/by") == [f"{tmp_path}/by-id"]


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

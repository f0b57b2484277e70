"""Processes, real ones: what is read of them before they are known, and what they run."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from snap_self.model.identity import ProcessIdentity
from snap_self.system.accounts import SystemAccounts
from snap_self.system.applications.listening import listening_paths
from snap_self.system.applications.processes import SystemProcesses
from snap_self.system.disks.aside import AsideProcess
from snap_self.system.disks.machine import KernelMachineReader
from snap_self.system.going_back.users import shares_mounts_with

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
pytestmark = pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="needs its Python")
NUMBERS = itertools.count()
CALLED = """
import ctypes, os, sys, time
ctypes.CDLL(None).prctl(15, sys.argv[1].encode(), 0, 0, 0)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="processes-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@contextlib.contextmanager
def called(
    *before: str, source: str = CALLED, python: str | Path = "/usr/bin/python3"
) -> Iterator[ProcessIdentity]:
    """Run a process with a name of its own; yield what is read of it."""
    name = f"db-{os.getpid()}-{next(NUMBERS)}"
    argv = [*before, str(python), "-c", source, name]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            (found,) = SystemProcesses().named({name})
            yield found
        finally:
            process.kill()


def test_process_is_known_by_what_it_cannot_choose() -> None:
    with called() as found:
        assert found.uids == (os.geteuid(),) * 4
        assert (found.parent, found.own_pids, found.own_users) == (os.getpid(), False, False)
    assert SystemProcesses().named({found.name}) == []


def test_process_that_has_ended_is_none_though_nobody_has_collected_it() -> None:
    with called() as found:
        os.kill(found.pid, signal.SIGKILL)
        os.waitid(os.P_PID, found.pid, os.WEXITED | os.WNOWAIT)
        assert Path(f"/proc/{found.pid}/comm").read_text("ascii").strip() == found.name
        assert SystemProcesses().named({found.name}) == []


@needs_root
def test_process_of_another_user_is_that_users() -> None:
    with called("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups") as found:
        assert (found.uid, found.gid) == (NOBODY, NOBODY)


@needs_root
def test_namespaces_of_its_own_are_seen() -> None:
    with called("unshare", "--user", "--map-root-user") as found:
        assert (found.uid, found.own_users, found.own_pids) == (0, True, False)
    with called("unshare", "--pid", "--fork", "--kill-child") as found:
        assert (found.own_users, found.own_pids) == (False, True)


def test_child_with_its_parents_name_is_that_ones_helper() -> None:
    source = CALLED.replace("print", "os.fork() or time.sleep(60)\nprint")
    with called(source=source) as found:
        assert found.parent == os.getpid()
        children = Path(f"/proc/{found.pid}/task/{found.pid}/children").read_text("ascii")
        os.kill(int(children), signal.SIGKILL)


@needs_root
def test_program_of_roots_is_trusted_also_when_it_was_replaced() -> None:
    trusted = Path(tempfile.mkdtemp(prefix="snap-self-test-", dir="/opt"))
    try:
        python = trusted / "python3"
        shutil.copy("/usr/bin/python3", python)
        with called(python=python) as found:
            fact = SystemProcesses().look_at(found)
            assert (fact.executable, fact.distrust) == (str(python), "")
            shutil.copy("/usr/bin/python3", trusted / "new")
            (trusted / "new").rename(python)
            fact = SystemProcesses().look_at(found)
            assert (fact.executable, fact.distrust) == (f"{python} (deleted)", "")
            os.chown(trusted, NOBODY, NOBODY)
            assert "belongs to user id 65534" in SystemProcesses().look_at(found).distrust
    finally:
        shutil.rmtree(trusted)


@needs_root
def test_program_in_a_folder_of_somebody_elses_is_not_trusted(folder: Path) -> None:
    python = folder / "python3"
    shutil.copy("/usr/bin/python3", python)
    with called(python=python) as found:
        # Any user may put a program into a folder like /tmp, and exchange one of his there.
        assert "can be changed by others" in SystemProcesses().look_at(found).distrust


@needs_root
def test_program_seen_through_mounts_of_its_own_is_not_taken_for_what_lies_there(
    folder: Path,
) -> None:
    shutil.copy("/usr/bin/python3", folder / "other")
    real = os.path.realpath("/usr/bin/python3")
    hide = 'mount --bind "$0" "$1" && exec "$@"'
    before = ("unshare", "--mount", "--propagation", "private", "sh", "-c", hide)
    with called(*before, str(folder / "other"), python=real) as found:
        fact = SystemProcesses().look_at(found)
    assert fact.executable == real
    assert fact.distrust == f"its program is not the file that is now at '{real}'"


@needs_root
def test_root_directory_of_its_own_is_seen(folder: Path) -> None:
    enter = 'mount --rbind / "$0" && exec chroot "$0" "$@"'
    before = ("unshare", "--mount", "--propagation", "slave", "sh", "-c", enter, str(folder))
    with called(*before) as found:
        assert "root directory of its own" in SystemProcesses().look_at(found).distrust


@needs_root
def test_mounts_of_its_own_below_the_same_root_are_a_services() -> None:
    with called("unshare", "--mount", "--propagation", "private") as found:
        assert SystemProcesses().look_at(found).distrust == ""


@pytest.mark.parametrize("odd", ["\r", "\x85", "\x1c", "\u2028"])
def test_names_of_mounts_hold_any_character_but_a_line_end(folder: Path, odd: str) -> None:
    if os.geteuid():
        pytest.skip("needs root")
    place = folder / f"a{odd}36 1 0:1 - x"
    place.mkdir()
    mount = 'mount -t tmpfs none "$0" && exec "$@"'
    before = ("unshare", "--mount", "--propagation", "private", "sh", "-c", mount, str(place))
    with called(*before) as found:
        assert SystemProcesses().look_at(found).distrust == ""
        assert KernelMachineReader(AsideProcess()).locate_of(found.pid, str(place)).devno


def test_paths_of_listening_sockets_are_read_with_their_odd_characters(folder: Path) -> None:
    with contextlib.ExitStack() as opened:
        inodes: dict[str, int] = {}
        for name in ("plain", "with space", "with\x85more"):
            link = opened.enter_context(socket.socket(socket.AF_UNIX))
            link.bind(str(folder / name))
            link.listen()
            inodes[str(folder / name)] = os.fstat(link.fileno()).st_ino
        silent = opened.enter_context(socket.socket(socket.AF_UNIX))
        silent.bind(str(folder / "silent"))
        every = {*inodes.values(), os.fstat(silent.fileno()).st_ino}
        assert set(listening_paths(os.getpid(), every)) == set(inodes)


def test_accounts_are_this_machines() -> None:
    accounts = SystemAccounts()
    assert accounts.uid_of("root") == 0
    assert accounts.name_of(0) == "root"
    assert (accounts.uid_of("no-such-account"), accounts.name_of(4_294_900_000)) == (None, "")
    assert accounts.rules().first_ordinary >= 500


@needs_root
def test_mount_namespace_of_its_own_is_told_from_the_machines() -> None:
    with called() as found:
        assert shares_mounts_with(str(found.pid))
    for propagation in ("private", "slave"):
        with called("unshare", "--mount", "--propagation", propagation) as found:
            assert not shares_mounts_with(str(found.pid))

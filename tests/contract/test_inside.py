"""What is reached of a process with a root directory of its own, whoever lays traps there."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from snap_self.errors import UsageError
from snap_self.system.applications.contained import (
    MAX_REPLY,
    PatientSocket,
    ask,
    connect_inside,
    cut_off,
    pin_inside,
)
from snap_self.system.disks.aside import AsideProcess
from snap_self.system.disks.inside import OWN, reach
from snap_self.system.disks.inside_entry import PLACE
from snap_self.system.disks.machine import KernelMachineReader

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
ENTER = 'mount --bind /usr usr && cd sub && exec chroot .. sh -c "cd $0 && echo ready && read end"'


@pytest.fixture
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="inside-") as made:
        folder = Path(made)
        for name in ("usr", "sub/deep", "run", "var"):
            (folder / name).mkdir(parents=True)
        for link in ("bin", "lib", "lib64"):
            (folder / link).symlink_to(f"usr/{link}")
        (folder / "sub/file").touch()
        (folder / "out").symlink_to("/etc")
        (folder / "var/up").symlink_to("../../../../sub")
        (folder / "round").symlink_to("round")
        yield folder


@contextlib.contextmanager
def inside(root: Path, cwd: str = "/sub") -> Iterator[int]:
    """Run a process below another root directory; yield its id."""
    unshare = ("unshare", "--mount", "--net", "--propagation", "private")
    argv = (*unshare, "sh", "-ec", ENTER, cwd)
    with subprocess.Popen(argv, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield process.pid
        finally:
            process.kill()


def mount_proc(pid: int) -> None:
    """Mount procfs where a process sees it at ``/proc``."""
    enter = ("nsenter", f"--target={pid}", "--mount", "--root", "--")
    subprocess.run([*enter, "mount", "-t", "proc", "none", "/proc"], check=True)


def reached(pid: int, path: str) -> str:
    """Return which file of this machine's is reached."""
    descriptor, _ = reach(pid, path)
    try:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())
    finally:
        os.close(descriptor)


def test_every_way_ends_below_the_processs_own_root(root: Path) -> None:
    with inside(root) as pid:
        for path in ("/sub/file", "/../../sub/./file", "/var/up/file", "./file", "deep/../file"):
            assert reached(pid, path) == f"{root}/sub/file", path
        assert reached(pid, "/var/up/..") == str(root)
        assert reached(pid, "/") == str(root)


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("/out/passwd", errno.ENOENT),  # /etc is no folder there
        ("/round", errno.ELOOP),
        ("../run", errno.EXDEV),
        ("/sub/file/x", errno.ENOTDIR),
        ("/" + "x/" * 4096, errno.ENAMETOOLONG),
    ],
)
def test_way_that_leads_nowhere_is_an_error(root: Path, path: str, number: int) -> None:
    with inside(root) as pid:
        with pytest.raises(OSError) as told:
            reach(pid, path)
        assert told.value.errno == number


def test_links_of_the_kernel_below_proc_are_not_followed(root: Path) -> None:
    (root / "proc").mkdir()
    with inside(root) as pid:
        mount_proc(pid)
        # Followed, it would lead the agent to its own root directory.
        for path in ("/proc/self/root/etc", f"/proc/{os.getpid()}/root/etc/passwd"):
            with pytest.raises(OSError):
                reach(pid, path)


def test_nothing_is_left_open(root: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with inside(root) as pid:
        for path in ("/sub/deep", "/out/passwd", "/round", "deep"):
            with contextlib.suppress(OSError):
                os.close(reach(pid, path)[0])
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_place_is_told_with_its_mount_and_owner(root: Path) -> None:
    reader = KernelMachineReader(AsideProcess())
    os.chown(root / "sub", 33, 33)
    with inside(root) as pid:
        fact = reader.locate_of(pid, ".")
        assert (fact.owner, fact.real) == (33, ".")
        assert fact.devno == reader.locate(str(root)).devno or fact.devno
        with pytest.raises(UsageError):
            reader.locate_of(pid, "/nothing")
    assert reader.locate_of(OWN, str(root / "sub")).owner == 33


def test_upper_layer_of_an_overlay_is_told(root: Path) -> None:
    script = (
        'mount -t tmpfs none "$0" && cd "$0" && mkdir low up work all && mount -t overlay '
        "-o lowerdir=low,upperdir=$0/up,workdir=$0/work overlay all && cd all && echo ready && "
        "read end"
    )
    argv = (
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-ec",
        script,
        str(root / "run"),
    )
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        fact = KernelMachineReader(AsideProcess()).locate_of(process.pid, ".")
        process.kill()
    assert f"upperdir={root}/run/up" in fact.overlay


def test_socket_is_pinned_as_the_process_sees_it(root: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "sub/s"))
        listener.listen()
        (root / "run/s").symlink_to("/sub/s")
        with inside(root) as pid:
            for path in ("/run/s", "s", "./s"):
                pinned = pin_inside(pid, path, str(root))
                try:
                    link, peer = pinned.connect(2)
                    link.close()
                finally:
                    pinned.close()
                assert (peer.pid, peer.uid) == (os.getpid(), 0)
                assert pinned.way[-1].path.endswith("s")
            with pytest.raises(OSError, match="non-socket"):
                pin_inside(pid, "/sub/file", str(root))


def test_way_over_files_that_others_answer_for_is_refused(root: Path) -> None:
    # procfs stands in for what is served: it is none of those that only the kernel answers for.
    (root / "proc").mkdir()
    with inside(root) as pid:
        mount_proc(pid)
        with pytest.raises(OSError) as told:
            pin_inside(pid, "/proc/version", str(root))
    assert told.value.errno == errno.EREMOTE


def test_who_does_not_answer_is_left_behind(root: Path) -> None:
    with inside(root) as pid:
        begun = time.monotonic()
        with pytest.raises(TimeoutError):
            ask(PLACE, pid, "/sub", limit_s=0.001)
        assert time.monotonic() < begun + 2


def test_port_of_the_machine_is_not_the_processs(root: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        inside(root) as pid,
        pytest.raises(OSError, match=r"."),
    ):
        connect_inside(pid, listener.getsockname()[1], 0.5)


def test_port_has_to_be_served_by_the_process_itself() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        accepted = []
        thread = threading.Thread(target=lambda: accepted.append(listener.accept()[0]))
        thread.start()
        link, peer = connect_inside(os.getpid(), port, 5)
        thread.join()
        assert (peer.pid, peer.uid) == (os.getpid(), 0)
        link.close()
        accepted.pop().close()
        with subprocess.Popen(["sleep", "30"]) as other:
            thread = threading.Thread(target=lambda: accepted.append(listener.accept()[0]))
            thread.start()
            with pytest.raises(PermissionError):
                connect_inside(other.pid, port, 5)
            thread.join()
            accepted.pop().close()
            other.kill()


def pair() -> tuple[PatientSocket, socket.socket]:
    """Return both ends of a connection."""
    ours, theirs = socket.socketpair()
    return PatientSocket(fileno=ours.detach()), theirs


def test_answer_in_drips_is_over_when_its_time_is() -> None:
    ours, theirs = pair()
    over = threading.Event()

    def drip() -> None:
        with contextlib.suppress(OSError):
            while not over.wait(0.05):
                theirs.send(b"x")

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        ours.settimeout(0.5)
        ours.sendall(b"?")
        begun = time.monotonic()
        with pytest.raises(TimeoutError):
            all(iter(lambda: ours.recv(100), b""))
        assert time.monotonic() < begun + 2
        ours.sendall(b"?")  # the next answer has its own
        assert ours.recv(100)
    finally:
        over.set()
        thread.join()
        ours.close()
        theirs.close()


def test_answer_without_end_is_over_when_it_is_too_long() -> None:
    ours, theirs = pair()

    def flood() -> None:
        with contextlib.suppress(OSError):
            while True:
                theirs.sendall(bytes(1 << 20))

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        ours.settimeout(30)
        buffer = bytearray(1 << 20)
        sizes: list[int] = []
        with pytest.raises(OSError) as told:
            sizes.extend(iter(lambda: ours.recv_into(buffer), 0))
        assert told.value.errno == errno.EMSGSIZE
        assert sum(sizes) <= MAX_REPLY
    finally:
        ours.close()
        thread.join()
        theirs.close()


def test_what_takes_too_long_is_cut_off_and_what_does_not_is_not() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with cut_off(ours.fileno(), 5):
            theirs.send(b"x")
            assert ours.recv(1) == b"x"
        with cut_off(ours.fileno(), 0.1):
            assert ours.recv(1) == b""

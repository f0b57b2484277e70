"""Sockets of servers, real ones: who listens is known before anything is sent, whatever happens."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from snap_self.model.trust import PathKind
from snap_self.system.applications.server_sockets import LocalServerSockets, peer_of

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
LISTEN = """
import socket, sys, time
kind, where = sys.argv[1:]
if kind == "path":
    link = socket.socket(socket.AF_UNIX)
    link.bind(where)
else:
    link = socket.socket(socket.AF_INET)
    link.bind((kind, int(where)))
link.listen()
print(link.getsockname()[1] if kind != "path" else "", flush=True)
time.sleep(60)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sockets-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture
def sockets(folder: Path) -> LocalServerSockets:
    return LocalServerSockets(str(folder / "names"))


@contextlib.contextmanager
def listening(kind: str, where: Path | int, *, user: int = 0) -> Iterator[tuple[int, str]]:
    """Have a process listen; yield its id and port."""
    python = "/usr/bin/python3" if user else sys.executable
    process = subprocess.Popen(
        [python, "-c", LISTEN, kind, str(where)],
        stdout=subprocess.PIPE,
        user=user or None,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.pid, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_peer_of_a_pinned_socket_is_the_process_that_listens(
    folder: Path, sockets: LocalServerSockets
) -> None:
    with listening("path", folder / "s") as (pid, _):
        pinned = sockets.pin(str(folder / "s"), root="")
        link, peer = pinned.connect(5)
        assert (peer.pid, peer.uid, peer.parent) == (pid, os.geteuid(), os.getpid())
        assert sockets.peer(link.fileno()) == peer
        assert pinned.way[-1].kind is PathKind.SOCKET
        link.close()
        pinned.close()
        pinned.close()


@needs_root
def test_socket_that_is_exchanged_after_it_was_pinned_is_not_the_one_that_is_met(
    folder: Path, sockets: LocalServerSockets
) -> None:
    theirs = folder / "theirs"
    theirs.mkdir()
    os.chown(theirs, NOBODY, NOBODY)
    with (
        listening("path", folder / "s") as (pid, _),
        listening("path", theirs / "s", user=NOBODY),
    ):
        pinned = sockets.pin(str(folder / "s"), root="")
        name = pinned.under("mongodb.sock")
        (theirs / "s").rename(folder / "s")
        for path in (f"/proc/self/fd/{pinned._descriptor}", name):
            with socket.socket(socket.AF_UNIX) as link:
                link.connect(path)
                assert peer_of(link.fileno()).pid == pid
        pinned.close()


def test_name_for_a_library_is_gone_when_the_socket_is_let_go(
    folder: Path, sockets: LocalServerSockets
) -> None:
    with listening("path", folder / "s"):
        pinned = sockets.pin(str(folder / "s"), root="")
        name = Path(pinned.under(".s.PGSQL.5432"))
        assert name.parent.stat().st_mode & 0o777 == 0o700
        pinned.close()
    assert list(Path(sockets.folder).iterdir()) == []


def test_names_that_a_killed_agent_left_are_removed(
    folder: Path, sockets: LocalServerSockets
) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    for pid in (gone.pid, os.getpid()):
        (folder / f"names/servers-{pid}-9").mkdir(parents=True)
    with listening("path", folder / "s"):
        pinned = sockets.pin(str(folder / "s"), root="")
        pinned.under("x.sock")
        pinned.close()
    assert [each.name for each in (folder / "names").iterdir()] == [f"servers-{os.getpid()}-9"]


def test_path_longer_than_an_address_may_be_is_reached(
    folder: Path, sockets: LocalServerSockets
) -> None:
    deep = folder / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    with listening("path", folder / "s") as (pid, _):
        (folder / "s").rename(deep / "s")
        pinned = sockets.pin(str(deep / "s"), root="")
        link, peer = pinned.connect(5)
        link.close()
        pinned.close()
    assert peer.pid == pid


def test_path_is_resolved_below_another_root(folder: Path, sockets: LocalServerSockets) -> None:
    (folder / "run/mysqld").mkdir(parents=True)
    (folder / "var").mkdir()
    (folder / "var/run").symlink_to("/run")  # absolute, so of that root
    with listening("path", folder / "run/mysqld/s") as (pid, _):
        pinned = sockets.pin("/var/run/mysqld/s", root=str(folder))
        link, peer = pinned.connect(5)
        link.close()
        pinned.close()
    assert peer.pid == pid
    assert pinned.way[-1].path == "/run/mysqld/s"


def test_what_is_no_socket_or_has_no_listener_is_an_error(
    folder: Path, sockets: LocalServerSockets
) -> None:
    (folder / "file").touch()
    with pytest.raises(OSError, match="non-socket"):
        sockets.pin(str(folder / "file"), root="")
    with pytest.raises(FileNotFoundError):
        sockets.pin(str(folder / "nothing"), root="")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / "dead"))
    pinned = sockets.pin(str(folder / "dead"), root="")
    with pytest.raises(ConnectionRefusedError):
        pinned.connect(5)
    pinned.close()


def test_listener_that_is_full_does_not_hold_the_agent(
    folder: Path, sockets: LocalServerSockets
) -> None:
    with contextlib.ExitStack() as links:
        listener = links.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(folder / "s"))
        listener.listen(0)
        pinned = sockets.pin(str(folder / "s"), root="")
        links.enter_context(pinned.connect(0.3)[0])
        begun = time.monotonic()
        with pytest.raises(OSError, match=r"unavailable|timed out"):
            pinned.connect(0.3)
        assert time.monotonic() - begun < 2
        pinned.close()


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_port_is_reached_where_the_process_alone_listens(
    address: str, sockets: LocalServerSockets
) -> None:
    with listening(address, 0) as (pid, port):
        sockets.connect_loopback(pid, int(port), 5).close()
        with pytest.raises(PermissionError, match="is not the only listener on port"):
            sockets.connect_loopback(os.getpid(), int(port), 5)


@needs_root
def test_port_that_somebody_else_listens_on_is_not_connected_to(
    sockets: LocalServerSockets,
) -> None:
    with (
        listening("127.0.0.1", 0, user=NOBODY) as (_, port),
        listening("127.0.0.2", int(port)) as (own, _),
        pytest.raises(PermissionError),
    ):
        sockets.connect_loopback(own, int(port), 5)


def test_owner_is_the_folders_own_also_below_another_root(
    folder: Path, sockets: LocalServerSockets
) -> None:
    assert sockets.owner("/", root=str(folder)) == os.geteuid()
    with pytest.raises(FileNotFoundError):
        sockets.owner("/nothing", root=str(folder))

"""Filesystems that a test serves by itself: one that never answers, one that mounts on demand."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_FUSE_HEADER = struct.Struct("=IIQQIIII")
_FUSE_INIT_OUT = struct.Struct("=IIIIHHIIHHI28x")
_FUSE_INIT = 26
_FUSE_LOOKUP, _FUSE_GETATTR = 1, 3
_FUSE_ATTR = struct.Struct("=6Q10I")
_FUSE_FILE = 2
_READ_BYTES = 1 << 17
RESCUE_S = 40.0

# linux/auto_fs.h
_AUTOFS_READY = 0x9360
_AUTOFS_PACKET = struct.Struct("=iiI")


def _mount(source: str, place: Path, fstype: str, data: str) -> None:
    if _LIBC.mount(source.encode(), os.fsencode(place), fstype.encode(), 0, data.encode()):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(place))


@contextlib.contextmanager
def unanswering(place: Path) -> Iterator[None]:
    """Mount a FUSE whose server takes every request but the first and answers none.

    Whoever asked waits in the kernel, where no signal reaches, until the server is gone.
    """
    fd = os.open("/dev/fuse", os.O_RDWR)
    _mount("hung", place, "fuse", f"fd={fd},rootmode=40000,user_id=0,group_id=0")
    thread = threading.Thread(target=_serve_nothing, args=(fd,), daemon=True)
    thread.start()
    # Who waits for an answer cannot be killed, so a test that fails would wait as long.
    rescue = threading.Timer(RESCUE_S, _abort, args=(place,))
    rescue.start()
    try:
        yield
    finally:
        rescue.cancel()
        _abort(place)
        os.close(fd)
        thread.join(10)


@contextlib.contextmanager
def lying(place: Path, *, user: int) -> Iterator[None]:
    """Mount a FUSE of a user's, as fusermount3 does, that says all in it is root's alone.

    Any name leads to a file.
    """
    fd = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={fd},rootmode=40000,user_id={user},group_id={user},allow_other"
    _mount("lying", place, "fuse.lying", options)
    thread = threading.Thread(target=_serve_lies, args=(fd,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        _abort(place)
        os.close(fd)
        thread.join(10)


@contextlib.contextmanager
def falling_silent(place: Path) -> Iterator[threading.Event]:
    """Mount a FUSE in which every name leads to a directory, until the event is set.

    From then on its server answers nothing, as ``unanswering``.
    """
    silent = threading.Event()
    fd = os.open("/dev/fuse", os.O_RDWR)
    _mount("silent", place, "fuse", f"fd={fd},rootmode=40000,user_id=0,group_id=0")
    thread = threading.Thread(target=_serve_until, args=(fd, silent), daemon=True)
    thread.start()
    rescue = threading.Timer(RESCUE_S, _abort, args=(place,))
    rescue.start()
    try:
        yield silent
    finally:
        rescue.cancel()
        _abort(place)
        os.close(fd)
        thread.join(10)


def _serve_until(fd: int, silent: threading.Event) -> None:
    with contextlib.suppress(OSError):  # ends when it is unmounted
        while request := os.read(fd, _READ_BYTES):
            _, opcode, unique, node, *_ = _FUSE_HEADER.unpack_from(request)
            error, body = 0, b""
            if silent.is_set():
                continue
            if opcode == _FUSE_INIT:
                body = _FUSE_INIT_OUT.pack(7, 31, 0, 0, 12, 9, 4096, 1, 1, 0, 0)
            elif opcode == _FUSE_GETATTR:
                body = struct.pack("=QII", 0, 0, 0) + _attributes(node, 0o40755)
            elif opcode == _FUSE_LOOKUP:  # not to be believed for longer than the moment
                inside = _FUSE_FILE
                body = struct.pack("=4Q2I", inside, 0, 0, 0, 0, 0) + _attributes(inside, 0o40755)
            else:
                error = -errno.ENOSYS
            os.write(fd, struct.pack("=IiQ", 16 + len(body), error, unique) + body)


def _serve_lies(fd: int) -> None:
    with contextlib.suppress(OSError):  # ends when it is unmounted
        while request := os.read(fd, _READ_BYTES):
            _, opcode, unique, node, *_ = _FUSE_HEADER.unpack_from(request)
            error, body = 0, b""
            if opcode == _FUSE_INIT:
                body = _FUSE_INIT_OUT.pack(7, 31, 0, 0, 12, 9, 4096, 1, 1, 0, 0)
            elif opcode == _FUSE_GETATTR:
                body = struct.pack("=QII", 60, 0, 0) + _attributes(node)
            elif opcode == _FUSE_LOOKUP:
                body = struct.pack("=4Q2I", _FUSE_FILE, 0, 60, 60, 0, 0) + _attributes(_FUSE_FILE)
            else:
                error = -errno.ENOSYS
            os.write(fd, struct.pack("=IiQ", 16 + len(body), error, unique) + body)


def _attributes(node: int, mode: int = 0) -> bytes:
    mode = mode or (0o100600 if node == _FUSE_FILE else 0o40755)
    return _FUSE_ATTR.pack(node, 0, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def _abort(place: Path) -> None:
    """End the connection, and with it every wait; then unmount."""
    for option in ("--force", "--lazy"):
        subprocess.run(["umount", option, str(place)], capture_output=True, check=False)


def _serve_nothing(fd: int) -> None:
    with contextlib.suppress(OSError):  # ends when it is unmounted
        while request := os.read(fd, _READ_BYTES):
            _, opcode, unique, *_ = _FUSE_HEADER.unpack_from(request)
            if opcode == _FUSE_INIT:
                body = _FUSE_INIT_OUT.pack(7, 31, 0, 0, 12, 9, 4096, 1, 1, 0, 0)
                os.write(fd, struct.pack("=IiQ", 16 + len(body), 0, unique) + body)


@contextlib.contextmanager
def on_demand(place: Path, device: str) -> Iterator[None]:
    """Have a device mounted at a place by the first who looks into it, by the kernel's autofs."""
    requests, kernel_end = os.pipe()
    options = f"fd={kernel_end},pgrp={os.getpgrp()},minproto=5,maxproto=5,direct"
    _mount("on-demand", place, "autofs", options)
    os.close(kernel_end)
    trigger = os.open(place, os.O_RDONLY)
    thread = threading.Thread(target=_mount_once, args=(requests, trigger, place, device))
    thread.start()
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=False, capture_output=True)
        os.close(trigger)
        subprocess.run(["umount", str(place)], check=True)
        thread.join(10)
        os.close(requests)


def _mount_once(requests: int, trigger: int, place: Path, device: str) -> None:
    packet = os.read(requests, 4096)
    if packet:
        _, _, token = _AUTOFS_PACKET.unpack_from(packet)
        subprocess.run(["mount", device, str(place)], check=True)
        fcntl.ioctl(trigger, _AUTOFS_READY, token)

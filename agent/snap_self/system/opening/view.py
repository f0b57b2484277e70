"""Shows a checker a disk as it was before its magic was zeroed, without writing to the disk.

Started as ``python -c`` with the device, the bytes to show instead, and the checker's command. It
goes to a mount namespace of its own, serves one read-only file there through FUSE, and runs the
checker on it. All of it ends with this process; nothing of it is seen by others, and a reset of the
machine meanwhile finds the disk as it is.

Source: ``linux/fuse.h`` (protocol 7.31, Linux 5.4), ``fuse(4)``.
"""

from __future__ import annotations

import errno
import marshal
import os
import struct
import subprocess
import sys

from snap_self.system.opening import kernel
from snap_self.threads.thread import Thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NAME = "copy"
NO_WAY = 250
"""Status of this process: the kernel has no FUSE, or does not let us."""
NO_PROGRAM = 251
"""Status of this process: there is no such checker."""
TIME_OUT = 252
"""Status of this process: the checker did not end in time."""

_FOLDERS = ("/mnt", "/media", "/srv")
_ROOT, _FILE = 1, 2
_LOOKUP, _FORGET, _GETATTR, _OPEN, _READ, _STATFS, _RELEASE = 1, 2, 3, 14, 15, 17, 18
_FLUSH, _INIT, _OPENDIR, _READDIR, _RELEASEDIR = 25, 26, 27, 28, 29
_ACCESS, _INTERRUPT, _BATCH_FORGET, _DESTROY = 34, 36, 42, 38
_SILENT = (_FORGET, _BATCH_FORGET, _INTERRUPT)
_EMPTY = (_FLUSH, _RELEASE, _RELEASEDIR, _ACCESS, _DESTROY)
_IN = struct.Struct("=IIQQIIII")
_OUT = struct.Struct("=IiQ")
_ATTR = struct.Struct("=QQQQQQIIIIIIIIII")
_INIT_OUT = struct.Struct("=IIIIHHIIHH32x")
_MINOR = 31
_MAX_PAGES_FLAG = 1 << 22
_ASYNC_READ_FLAG = 1
_PAGES = 256
_REQUEST_BYTES = 1 << 18
_LONG_S = 3600
_LAST_BYTES = 4000


class Server:
    """Answers the kernel's requests for one file.

    Args:
        read: returns the disk's bytes at an offset.
        size: of the disk.
        instead: offset and bytes of what is shown otherwise than it is.
    """

    def __init__(
        self, read: Callable[[int, int], bytes], size: int, instead: Sequence[tuple[int, bytes]]
    ) -> None:
        self._read = read
        self._size = size
        self._instead = instead

    def answer(self, request: bytes) -> bytes | None:
        """Return the answer to a request; None if none is wanted."""
        _, code, unique, node, *_ = _IN.unpack_from(request)
        if code in _SILENT:
            return None
        try:
            body = self._body(code, node, request[_IN.size :])
        except OSError as error:
            return _OUT.pack(_OUT.size, -(error.errno or errno.EIO), unique)
        return _OUT.pack(_OUT.size + len(body), 0, unique) + body

    def _body(self, code: int, node: int, body: bytes) -> bytes:
        if code == _INIT:
            return self._init(body)
        if code == _LOOKUP:
            if body.rstrip(b"\0") != NAME.encode():
                raise OSError(errno.ENOENT, NAME)
            return struct.pack("=QQQQII", _FILE, 0, _LONG_S, _LONG_S, 0, 0) + self._attr(_FILE)
        if code == _GETATTR:
            return struct.pack("=QII", _LONG_S, 0, 0) + self._attr(node)
        if code in (_OPEN, _OPENDIR):
            return struct.pack("=QII", 0, 0, 0)
        if code == _READ:
            _, offset, length = struct.unpack_from("=QQI", body)
            return self.bytes_at(offset, length)
        if code == _STATFS:
            return struct.pack("=QQQQQIIII24x", 0, 0, 0, 0, 0, 4096, 255, 4096, 0)
        if code in (*_EMPTY, _READDIR):
            return b""
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    def _init(self, body: bytes) -> bytes:
        major, minor, readahead, flags = struct.unpack_from("=IIII", body)
        return _INIT_OUT.pack(
            *(major, min(minor, _MINOR), readahead),
            *(flags & (_MAX_PAGES_FLAG | _ASYNC_READ_FLAG), 0, 0, 4096, 1, _PAGES, 0),
        )

    def _attr(self, node: int) -> bytes:
        mode, size = (0o40500, 0) if node == _ROOT else (0o100400, self._size)
        blocks = (size + 511) // 512
        return _ATTR.pack(node, size, blocks, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)

    def bytes_at(self, offset: int, length: int) -> bytes:
        """Return what is shown of the disk at an offset."""
        length = max(0, min(length, self._size - offset))
        data = self._read(offset, length)
        for place, shown in self._instead:
            begin, end = max(place, offset), min(place + len(shown), offset + len(data))
            if begin < end:
                part = shown[begin - place : end - place]
                data = data[: begin - offset] + part + data[end - offset :]
        return data


def main() -> None:
    """Run a checker on the view; write its status and last words to standard output."""
    device, instead, limit_s, argv = marshal.loads(bytes.fromhex(sys.argv[1]))  # nosec B302  # noqa: S302 - our own process
    try:
        folder = next(each for each in _FOLDERS if os.path.isdir(each))
        disk = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
        kernel.drop_cache(disk)
        line = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        kernel.enter_own_namespace()
        options = f"fd={line},rootmode=40000,user_id=0,group_id=0,max_read={1 << 20}"
        kernel.mount_plain("snap-self", folder, "fuse", options)
    except (OSError, StopIteration):
        sys.exit(NO_WAY)
    server = Server(
        lambda offset, length: os.pread(disk, length, offset), kernel.size_of(disk), instead
    )
    Thread(target=_serve, args=(line, server), daemon=True).start()
    sys.exit(_run([*argv, f"{folder}/{NAME}"], limit_s))


def _serve(line: int, server: Server) -> None:
    while True:
        try:
            request = os.read(line, _REQUEST_BYTES)
            if (answer := server.answer(request)) is not None:
                os.write(line, answer)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EINTR, errno.EAGAIN):
                return


def _run(argv: Sequence[str], limit_s: float) -> int:
    """Run the checker; return this process's status: 0, whatever the checker said."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
            timeout=limit_s,
            check=False,
        )
    except FileNotFoundError:
        return NO_PROGRAM
    except subprocess.TimeoutExpired:
        return TIME_OUT
    os.write(1, f"{done.returncode}\n".encode() + done.stdout[-_LAST_BYTES:])
    return 0

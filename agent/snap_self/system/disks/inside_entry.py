"""The process that opens a container's file or socket and hands it over; started as ``python -c``.

It gets one question over the socket on its standard input and answers with a descriptor. It
neither reads nor writes through that descriptor. While a lookup hangs in the kernel, no signal
ends this process; nobody waits for it.
"""

from __future__ import annotations

import errno
import marshal
import os
import socket

from snap_self.system.disks.inside import fstype_of, mount_line, reach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PLACE, NETWORK = "place", "network"
MAX_ANSWER = 1 << 16
_NEW_NETWORK = 0x40000000  # linux/sched.h, CLONE_NEWNET

Passed = tuple[str, int, int, int, str]
"""Path, mode, user id, group id and filesystem type of a step."""


def main() -> None:
    """Answer once."""
    with socket.socket(fileno=0) as link:
        question, pid, path = marshal.loads(link.recv(MAX_ANSWER))  # nosec B302  # noqa: S302 - our parent
        try:
            descriptor, passed = _place(pid, path) if question == PLACE else (_network(pid), [])
            _answer(link, (0, passed), [descriptor])
        except OSError as error:
            _answer(link, (error.errno or errno.EIO, []), [])
        except ValueError:  # a path with a NUL
            _answer(link, (errno.EINVAL, []), [])


def _answer(link: socket.socket, answer: Any, descriptors: list[int]) -> None:
    body = marshal.dumps(answer)
    if len(body) > MAX_ANSWER:
        body, descriptors = marshal.dumps((errno.ENAMETOOLONG, [])), []
    socket.send_fds(link, [body], descriptors)


def _place(pid: int, path: str) -> tuple[int, list[Passed]]:
    descriptor, steps = reach(pid, path)
    types = {step[4:]: "" for step in steps}
    for mount in types:
        types[mount] = fstype_of(mount_line(pid, *mount))
    return descriptor, [(*step[:4], types[step[4:]]) for step in steps]


def _network(pid: int) -> int:
    """Return a socket in a process's network namespace (setns(2)); this process stays there."""
    import ctypes

    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    if ctypes.CDLL(None, use_errno=True).setns(namespace, _NEW_NETWORK):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM).detach()

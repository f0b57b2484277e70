"""System calls on mounted filesystems."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable

SYNC_LIMIT_S = 300.0


def syncfs(path: str) -> None:
    """Write all dirty data of the filesystem at ``path`` to its disk.

    Raises:
        OSError: the kernel refused, or a write failed (EIO).

    Source: syncfs(2): write errors are reported since Linux 5.8.
    """
    import ctypes  # costs milliseconds that only a flush should pay

    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if libc.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
    finally:
        os.close(descriptor)


class KernelFilesystems:
    """Implement ``ports.Filesystems`` with ``syncfs``.

    Args:
        limit_s: a longer sync counts as failed; the kernel goes on with it all the same, since
            nothing can call it back.
        call: the system call.
    """

    def __init__(
        self, *, limit_s: float = SYNC_LIMIT_S, call: Callable[[str], None] = syncfs
    ) -> None:
        self._limit_s = limit_s
        self._call = call

    def sync(self, path: str) -> None:
        """Write all dirty data of the filesystem at ``path`` to its disk.

        The call is made on a thread of its own, which a slow disk cannot make the caller wait for.

        Raises:
            OSError: as for :func:`syncfs`, or it took too long (ETIMEDOUT).
        """
        ended: list[OSError | None] = []
        worker = threading.Thread(target=self._run, args=(path, ended), daemon=True, name="syncfs")
        worker.start()
        worker.join(self._limit_s)
        if not ended:
            message = f"not written to the disk within {self._limit_s:g} s"
            raise TimeoutError(errno.ETIMEDOUT, message, path)
        if ended[0] is not None:
            raise ended[0]

    def _run(self, path: str, ended: list[OSError | None]) -> None:
        try:
            self._call(path)
        except OSError as error:
            ended.append(error)
        else:
            ended.append(None)

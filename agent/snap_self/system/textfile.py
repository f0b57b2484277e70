"""Reads small files that somebody else may have written."""

from __future__ import annotations

import errno
import os
import stat

from snap_self.ports import FileText
from snap_self.system.trust import check_trusted

MAX_BYTES = 1 << 20


def read_text_file(path: str) -> FileText:
    """Implement ``ports.ReadText`` for files that decide nothing.

    Raises:
        OSError: as ``read_small_file``.
    """
    content, status = read_small_file(path)
    text = content.decode("utf-8", "surrogateescape")
    return FileText(text=text, mode=stat.S_IMODE(status.st_mode))


def read_trusted_file(path: str) -> FileText:
    """Implement ``ports.ReadText`` for files from which root takes a secret or a decision.

    Raises:
        Distrusted: a user other than root could have written it or could replace it.
        OSError: as ``read_small_file``.
    """
    check_trusted(path)
    return read_text_file(path)


def read_small_file(path: str) -> tuple[bytes, os.stat_result]:
    """Return a file's content and its stat; refuse a FIFO or device instead of waiting for it.

    Raises:
        OSError: it is not there, not readable, larger than 1 MiB or not a regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise OSError(errno.EFBIG, "larger than 1 MiB", path)
    return content, status

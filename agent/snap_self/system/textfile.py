"""Reads small text files that somebody else wrote."""

from __future__ import annotations

import errno
import os
import stat

from snap_self.ports import FileText

MAX_BYTES = 1 << 20


def read_text_file(path: str) -> FileText:
    """Implement ``ports.ReadText``; a FIFO or device is refused, not waited for.

    Raises:
        OSError: it is not there, not readable, larger than 1 MiB or no regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise OSError(errno.EFBIG, "larger than 1 MiB", path)
    text = raw.decode("utf-8", "surrogateescape")
    return FileText(text=text, mode=stat.S_IMODE(status.st_mode))

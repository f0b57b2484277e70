"""Reads the configuration's files."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from snap_self.config.load import ConfigFile

MAX_BYTES = 1 << 20


def read_config_file(path: Path) -> ConfigFile:
    """Return a file's content, permissions and owner; a FIFO or device is not waited for.

    Raises:
        OSError: it is not there, not readable, larger than 1 MiB or no regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise OSError(errno.EFBIG, "larger than 1 MiB", str(path))
    return ConfigFile(content=content, mode=stat.S_IMODE(status.st_mode), owner=status.st_uid)


def list_config_folder(path: Path) -> Sequence[str]:
    """Return the names in the folder.

    Raises:
        OSError: it is not there or not readable.
    """
    return [entry.name for entry in path.iterdir()]

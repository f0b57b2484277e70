"""Reads the configuration's files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from snap_self.model.trust import Distrust
from snap_self.system.textfile import read_small_file
from snap_self.system.trust import faults


def read_config_file(path: Path) -> bytes:
    """Return a file's content; never wait for a FIFO or device.

    Raises:
        OSError: it is not there, not readable, larger than 1 MiB or not a regular file.
    """
    return read_small_file(str(path))[0]


def list_config_folder(path: Path) -> Sequence[str]:
    """Return the names in the folder.

    Raises:
        OSError: it is not there or not readable.
    """
    return [entry.name for entry in path.iterdir()]


def distrust_config(path: Path) -> Sequence[Distrust]:
    """Return everything that users other than root could change on the path to a file or folder.

    Raises:
        OSError: it is not there.
    """
    return faults(str(path))

"""Files in the state directory, for root only, that record how a bug occurred."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from snap_self.errors import StateUnusable
from snap_self.system.state.files import PRIVATE_FILE, make_private_subfolder

FOLDER = "bugs"
KEPT = 10


def write_bug(state: Path, text: str, *, elsewhere: str | None = None) -> Path:
    """Write the text to a new private file in the state directory, and remove the oldest ones.

    If that fails, as for a user who is not root, the text goes to a temporary file.

    Args:
        elsewhere: the folder for temporary files; None for the system's.

    Raises:
        OSError: it could not be written in either place.
    """
    folder = state / FOLDER
    try:
        make_private_subfolder(folder)
        path = folder / f"{time.strftime('%Y%m%dt%H%M%Sz', time.gmtime())}-{os.getpid()}.txt"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        handle = os.open(path, flags, PRIVATE_FILE)
        _drop_oldest(folder)
    except (OSError, StateUnusable):
        handle, name = tempfile.mkstemp(prefix="snap-self-bug-", suffix=".txt", dir=elsewhere)
        path = Path(name)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def _drop_oldest(folder: Path) -> None:
    """Remove the oldest files, only in a folder that is root's alone: others may lead elsewhere."""
    with suppress(OSError):
        for name in sorted(os.listdir(folder))[:-KEPT]:  # noqa: PTH208  (names begin with the time)
            (folder / name).unlink()

"""The file that node_exporter's textfile collector reads; always whole, and readable by everybody.

Source: https://github.com/prometheus/node_exporter, "Textfile Collector".
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from snap_self.model.shown import printable
from snap_self.system.system_log import write_notice
from snap_self.system.textfile import read_text_file

# The collector runs as a user of its own.
PUBLIC = 0o644
# Not `.prom`, or the collector would read it half written.
SUFFIX = ".tmp"


def replace_textfile(path: Path, text: str) -> None:
    """Put the text in place of what the file has, in one step.

    The folder may be another user's: what is written has a new name, and no link is followed.

    Args:
        path: its folder is there.

    Raises:
        OSError: it could not be written; what was there still is.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=SUFFIX, dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
            os.fchmod(file.fileno(), PUBLIC)
        # Onto a folder it fails; a link is replaced, not followed.
        temporary.replace(path)
    finally:
        # It is there only where that failed, which is what is told then.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def remove_textfile(path: Path, *, is_ours: Callable[[str], bool]) -> bool | None:
    """Remove the file, if it is one of ours; None if there is none.

    Returns:
        Whether it is gone. A link, a folder, and what cannot be read or removed stay.
    """
    if not os.path.lexists(path):
        return None
    try:
        if path.is_symlink() or not is_ours(read_text_file(str(path)).text):
            return False
        path.unlink(missing_ok=True)
    except OSError:
        return False
    return True


def write_textfile(path: Path, text: str) -> None:
    """Do the same where it must not matter: what is wrong goes to the system's log."""
    try:
        replace_textfile(path, text)
    except OSError as error:
        why = error.strerror or type(error).__name__
        write_notice(f"the metrics could not be written to {printable(str(path))}: {why}")

"""The file that node_exporter's textfile collector reads; always whole, and readable by everybody.

Source: https://github.com/prometheus/node_exporter, "Textfile Collector".
"""

from __future__ import annotations

import errno
import os
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from snap_self.model.shown import printable
from snap_self.system.commands import ready_to_read
from snap_self.system.let_go import let_go
from snap_self.system.python_child import bare_command
from snap_self.system.system_log import write_notice
from snap_self.system.textfile import read_text_file

# The collector runs as a user of its own.
PUBLIC = 0o644
# Not `.prom`, or the collector would read it half written.
SUFFIX = ".tmp"
# A file of some ten kilobytes.
LIMIT_S = 5.0
ENTRY = "snap_self.system.watching.textfile_entry"


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
    """Do the same where it must not matter: what is wrong goes to the system's log.

    A process of its own writes, as the place may never answer: a server that is away, a disk that
    somebody else has frozen. It is left behind then, and killed, so that it puts no old text in
    the place of a newer one when the place answers again.
    """
    try:
        number = _written_beside(path, text.encode("utf-8", "backslashreplace"))
    except (OSError, ValueError, MemoryError) as error:
        _complain(path, getattr(error, "strerror", None) or type(error).__name__)
    else:
        if number:
            _complain(path, os.strerror(number))


def _written_beside(path: Path, text: bytes) -> int:
    """Have it written; return the error's number, 0 for none.

    Raises:
        OSError, ValueError, MemoryError: the process could not be started, or said nothing.
        TimeoutError: there is no answer yet.
    """
    with ready_to_read(text) as stdin:
        process = subprocess.Popen(
            bare_command((str(path),), module=ENTRY),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
            start_new_session=True,
        )
    assert process.stdout is not None
    with process.stdout:
        try:
            process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            let_go(process)
            raise TimeoutError(errno.ETIMEDOUT, f"no answer within {LIMIT_S:g} s") from None
        return int(process.stdout.read())


def _complain(path: Path, why: str) -> None:
    write_notice(f"the metrics could not be written to {printable(str(path))}: {why}")

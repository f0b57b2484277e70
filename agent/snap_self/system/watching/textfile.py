"""The file that node_exporter's textfile collector reads; always whole, and readable by everybody.

Source: https://github.com/prometheus/node_exporter, "Textfile Collector".
"""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from snap_self.model.kept_state import TextfileEnd
from snap_self.model.shown import printable
from snap_self.system.commands import ready_to_read
from snap_self.system.let_go import let_go
from snap_self.system.python_child import bare_command
from snap_self.system.system_log import write_notice

# The collector runs as a user of its own.
PUBLIC = 0o644
# Not `.prom`, or the collector would read it half written.
SUFFIX = ".tmp"
# A file of some ten kilobytes.
LIMIT_S = 5.0
ENTRY = "snap_self.system.watching.textfile_entry"
REMOVE = "remove"


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


def unlink_textfile(path: Path, *, beginning: bytes) -> TextfileEnd:
    """Remove the file, if it begins as ours do.

    Links on the way to its folder are followed, as for writing; the folder may be another user's,
    so what is looked at and what is removed has one name in one folder.

    Returns:
        What became of it. A link, a folder, and what cannot be read or removed stay.
    """
    try:
        folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return TextfileEnd.NONE
    except OSError:
        return TextfileEnd.LEFT
    try:
        if not _begins(path.name, folder, beginning):
            return TextfileEnd.LEFT
        os.unlink(path.name, dir_fd=folder)
    except FileNotFoundError:
        return TextfileEnd.NONE
    except OSError:
        return TextfileEnd.LEFT
    finally:
        os.close(folder)
    return TextfileEnd.REMOVED


def _begins(name: str, folder: int, beginning: bytes) -> bool:
    """Tell whether a name in a folder is a file with this beginning; never wait for a FIFO."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    file = os.open(name, flags, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return False
        return os.read(file, len(beginning)) == beginning
    finally:
        os.close(file)


def remove_textfile(name: str, *, beginning: str) -> TextfileEnd:
    """Do the same beside this process: what does not answer within five seconds is left.

    Args:
        name: the file's path; empty for none.
    """
    if not name:
        return TextfileEnd.NONE
    try:
        return TextfileEnd(_done_beside((name, REMOVE), beginning.encode()).decode())
    except (OSError, ValueError, MemoryError):
        return TextfileEnd.LEFT


def write_textfile(path: Path, text: str) -> None:
    """Do as `replace_textfile` where it must not matter: what is wrong goes to the system's log.

    A process of its own writes, as the place may never answer: a server that is away, a disk that
    somebody else has frozen. It is left behind then, and killed, so that it puts no old text in
    the place of a newer one when the place answers again.
    """
    try:
        number = int(_done_beside((str(path),), text.encode("utf-8", "backslashreplace")))
    except (OSError, ValueError, MemoryError) as error:
        _complain(path, getattr(error, "strerror", None) or type(error).__name__)
    else:
        if number:
            _complain(path, os.strerror(number))


def _done_beside(arguments: tuple[str, ...], given: bytes) -> bytes:
    """Have a process of its own do it; return what that answers.

    Args:
        arguments: what the process is started with.
        given: its standard input.

    Raises:
        OSError, ValueError, MemoryError: the process could not be started.
        TimeoutError: there is no answer yet.
    """
    with ready_to_read(given) as stdin:
        process = subprocess.Popen(
            bare_command(arguments, module=ENTRY),
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
        return process.stdout.read()


def _complain(path: Path, why: str) -> None:
    write_notice(f"the metrics could not be written to {printable(str(path))}: {why}")

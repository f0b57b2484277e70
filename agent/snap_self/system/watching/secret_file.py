"""Reads the private files that hold one secret each."""

from __future__ import annotations

import os
import stat

from snap_self.model.notifying import SecretFault
from snap_self.model.shell import command
from snap_self.model.trust import ANY_BY_OTHERS, Distrusted
from snap_self.system.textfile import read_small_file
from snap_self.system.trust import check_trusted

MOST_BYTES = 4096


def read_secret(path: str) -> str:
    """Return the one line of a file that nobody else can read or change.

    Raises:
        SecretFault: it is not such a file.
    """
    try:
        check_trusted(path)
        content, status = read_small_file(path)
    except Distrusted as error:
        raise SecretFault(f"{path} is not used: {error.found.why}", hint=error.found.hint) from None
    except OSError as error:
        raise SecretFault(
            f"{path} cannot be read: {error.strerror or error}",
            hint="it is to hold one line: the URL or secret alone",
        ) from None
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid != os.geteuid():
        raise SecretFault(
            f"{path} belongs to user id {status.st_uid}, not to {os.geteuid()}",
            hint=command("chown", str(os.geteuid()), path),
        )
    if mode & ANY_BY_OTHERS:
        raise SecretFault(
            f"{path} can be read by others (mode {mode:04o})",
            hint=f"{command('chmod', '0600', path)}; who has read it may use it still, so have a "
            "new one made",
        )
    return _line(content, path)


def _line(content: bytes, path: str) -> str:
    lines = [line for line in content.split(b"\n") if line.strip()]
    if len(lines) != 1:
        count = f"{len(lines)} lines" if lines else "nothing"
        raise SecretFault(f"{path} holds {count}", hint="write one line: the URL or secret alone")
    try:
        line = lines[0].decode("ascii").strip()
    except UnicodeDecodeError:
        line = ""
    if not line.isprintable() or not line or " " in line or len(line) > MOST_BYTES:
        raise SecretFault(
            f"{path} holds what is neither a URL nor a secret", hint="copy it once more"
        )
    return line

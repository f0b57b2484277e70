"""The process that writes or removes the metrics' file: its place may never answer.

Started with the path; the text comes on standard input. It writes the error's number to its
standard output, a pipe: 0 for none. With the word ``remove`` beside the path it removes the file,
if that begins with what comes on standard input, and answers with a word of ``TextfileEnd``.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

from snap_self.system.watching.textfile import REMOVE, replace_textfile, unlink_textfile


def main() -> None:
    """Replace the file, or remove it."""
    path = Path(sys.argv[1])
    with os.fdopen(0, "rb") as file:
        given = file.read()
    if sys.argv[2:] == [REMOVE]:
        answer = unlink_textfile(path, beginning=given).value.encode()
    else:
        answer = b"%d" % _replaced(path, given.decode("utf-8", "replace"))
    os.write(1, answer)


def _replaced(path: Path, text: str) -> int:
    try:
        replace_textfile(path, text)
    except OSError as error:
        return error.errno or errno.EIO
    return 0

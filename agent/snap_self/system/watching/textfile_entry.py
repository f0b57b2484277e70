"""The process that writes the metrics' file: its place may never answer.

Started with the path; the text comes on standard input. It writes the error's number to its
standard output, a pipe: 0 for none.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

from snap_self.system.watching.textfile import replace_textfile


def main() -> None:
    """Replace the file."""
    number = 0
    try:
        with os.fdopen(0, "rb") as given:
            text = given.read().decode("utf-8", "replace")
        replace_textfile(Path(sys.argv[1]), text)
    except OSError as error:
        number = error.errno or errno.EIO
    os.write(1, b"%d" % number)

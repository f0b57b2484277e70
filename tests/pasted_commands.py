"""What a shell makes of the lines that the agent gives people to paste; none of them is run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

BASH = ("bash", "--norc")
# What a comment may say, all of it the agent's own words.
REMARKS = tuple(
    f"   # {remark}"
    for remark in (
        *("until Status is Stopped", "until no Status is ReIniting", "until Status is Available"),
        "until Status is In_use",
        *("on the instance", "prints the id of NEW_DISK", "RHEL 9 on: --importdevices too"),
        "on the instance: NEW has the serial number that NEW_DISK is without its d-",
        "NEW or one of its partitions; xfs: -o ro,nouuid",
        "on the instance, when done",
    )
)


def words_of(line: str, shell: Sequence[str] = BASH) -> list[bytes]:
    """Return the words that a shell, which reads its input as one types it, makes of a line.

    Raises:
        AssertionError: it complains of the line.
    """
    done = subprocess.run(
        [*shell],
        input=f"told() {{ printf '%s\\0' \"$@\"; }}\ntold {line}\n".encode(),
        capture_output=True,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        cwd="/",
        check=True,
    )
    assert done.stderr == b"", done.stderr
    return done.stdout.split(b"\0")[:-1]


def without_remark(line: str) -> str:
    """Return a command without the agent's comment behind it, if there is one."""
    return next((line.removesuffix(end) for end in REMARKS if line.endswith(end)), line)


def check_syntax(lines: Sequence[str]) -> None:
    """Have bash read the lines as a script, without running it."""
    text = "".join(f"{line}\n" for line in lines).encode()
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")

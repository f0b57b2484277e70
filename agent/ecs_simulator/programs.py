"""Finds other programs, and this one, where the system keeps them, for every caller.

Nothing is executed from the caller's PATH, current directory or variables for Python.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT: Mapping[str, str] = {"PATH": SYSTEM_PATH, "LC_ALL": "C"}
_ROOT = Path(__file__).resolve().parent.parent
_BOOT = (
    "import sys; sys.path.append(sys.argv.pop(1)); "
    "from ecs_simulator.__main__ import main; sys.exit(main())"
)


def find(name: str) -> str | None:
    """Return where a program of the system is."""
    return shutil.which(name, path=SYSTEM_PATH)


def own_command(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return a command for another simulator command line, with only the standard library.

    It is isolated (``-I``): Python uses neither the current directory nor ``PYTHONPATH``.
    """
    return (sys.executable, "-I", "-S", "-B", "-c", _BOOT, str(_ROOT), *arguments)

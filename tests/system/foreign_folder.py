"""A directory of another user's in which every name that Python could import is planted."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

NOBODY = 65534
# What the agent and its simulated cloud import beyond the standard library, and what Python
# imports by itself when it starts.
OTHERS = (
    *("snap_self", "ecs_simulator", "sitecustomize", "usercustomize", "_distutils_hack"),
    *("requests", "urllib3", "certifi", "idna", "charset_normalizer", "psutil", "tomli"),
    *("typer", "rich", "click", "shellingham", "markdown_it", "pygments", "typing_extensions"),
    *("aliyunsdkcore", "aliyunsdkecs", "jmespath", "cryptography", "cffi", "_cffi_backend"),
    *("pymysql", "psycopg", "redis", "pymongo", "bson", "dns", "pip", "setuptools"),
)
# Only what is built into the interpreter: `os` is planted too.
PLANT = """\
import posix, sys
descriptor = posix.open({loot!r}, posix.O_WRONLY | posix.O_APPEND | posix.O_CREAT, 0o666)
line = f"{{__name__}} as uid {{posix.geteuid()}} in {{sys.orig_argv}}\\n"
posix.write(descriptor, line.encode())
posix.close(descriptor)
"""


@dataclass(frozen=True, slots=True)
class ForeignFolder:
    """The directory and what its plants write when one is run."""

    path: Path

    @classmethod
    def planted(cls, path: Path) -> ForeignFolder:
        """Make it."""
        path.mkdir()
        text = PLANT.format(loot=str(path / "loot"))
        for name in {*sys.stdlib_module_names, *OTHERS}:
            (path / f"{name}.py").write_text(text)
            os.chown(path / f"{name}.py", NOBODY, NOBODY)
        os.chown(path, NOBODY, NOBODY)
        return cls(path)

    def executed(self) -> list[str]:
        """Return what was run of it, by whom, and how that was started."""
        loot = self.path / "loot"
        return loot.read_text().splitlines() if loot.exists() else []

"""Somebody else on this machine: programs run as another user, with a Python that everybody has."""

from __future__ import annotations

import json
import shutil
import subprocess
import textwrap
from typing import Any

import pytest

NOBODY = 65534
PYTHON = "/usr/bin/python3"


def as_user(uid: int = NOBODY) -> tuple[str, ...]:
    """Return a command that runs what follows it as another user without rights."""
    return ("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--")


def run_as(code: str, *arguments: str, uid: int = NOBODY, inside: tuple[str, ...] = ()) -> Any:
    """Run a Python program as another user; return the JSON value it ends with.

    Args:
        inside: a command put before it.
    """
    if shutil.which("setpriv") is None or not shutil.which(PYTHON):
        pytest.skip(f"needs setpriv and {PYTHON}")
    done = subprocess.run(
        [*inside, *as_user(uid), PYTHON, "-I", "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])

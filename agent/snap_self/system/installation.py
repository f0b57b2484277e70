"""Find out how this snap-self came to the machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from snap_self.model.installation import Installation, installation_of
from snap_self.system.textfile import read_small_file

CODE = Path(__file__).resolve().parent.parent


def read_installation(code: Path = CODE, prefix: str = sys.prefix) -> Installation:
    """Return how it came here, by what lies where.

    Args:
        code: the folder of the package ``snap_self``.
        prefix: the folder of the environment that it runs in.
    """
    return installation_of(
        str(code), prefix=prefix, installer=_installer(code), is_there=os.path.exists
    )


def _installer(code: Path) -> str:
    """Return what the package's metadata name as installer; empty where there are none.

    Source: "Recording installed projects" of the Python packaging specifications, ``INSTALLER``.
    """
    for path in code.parent.glob("snap_self-*.dist-info/INSTALLER"):
        try:
            return read_small_file(str(path))[0].decode("ascii", "replace").strip()
        except OSError:
            continue
    return ""

"""What a rollback is done with outside of this machine, as it comes with the program."""

from __future__ import annotations

from pathlib import Path

from snap_self.errors import EnvironmentFault

DATA = Path(__file__).resolve().parents[1] / "data"
SCRIPT = DATA / "rollback.sh"
TEMPLATE = DATA / "snap-self-rollback.yml"


def script_body(path: Path = SCRIPT) -> str:
    """Return the script for another machine, with the lines of an example.

    Raises:
        EnvironmentFault: the program's own file cannot be read.
    """
    return _read(path)


def template(path: Path = TEMPLATE) -> str:
    """Return the OOS template's text.

    Raises:
        EnvironmentFault: as above.
    """
    return _read(path)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise EnvironmentFault(
            f"{path}: {error.strerror}",
            hint="the program's own file is gone: install snap-self again",
        ) from None

"""Finds the files that hold keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from snap_self.cloud.credentials.sources import Skipped, Surroundings, broken
from snap_self.errors import CredentialsUnusable
from snap_self.model.trust import Distrusted

OTHERS_READ = 0o044
OTHERS_WRITE = 0o022


@dataclass(frozen=True, slots=True)
class Found:
    """A file that exists."""

    path: str
    text: str = field(repr=False)
    mode: int


def find(around: Surroundings, variable: str, below_home: Sequence[str]) -> Found | Skipped:
    """Return the file that a variable names, or the first of those below the home directory.

    Raises:
        CredentialsUnusable: it exists but cannot be read, or is named but does not exist.
    """
    named = around.variable(variable)
    if named:
        found = _read(around, named)
        if found is None:
            raise broken(f"{variable} names {named}, which does not exist")
        return found
    if not around.home:
        return Skipped(why="there is no home directory (HOME is not set)")
    for relative in below_home:
        found = _read(around, f"{around.home.rstrip('/')}/{relative}")
        if found is not None:
            return found
    return Skipped(why="no such file")


def warnings_about(found: Found) -> tuple[str, ...]:
    """Return what is wrong with a key file's permissions."""
    said = []
    if found.mode & OTHERS_READ:
        said.append("can be read by other users")
    if found.mode & OTHERS_WRITE:
        said.append("can be changed by other users")
    if not said:
        return ()
    return (f"warning: {found.path} {' and '.join(said)} (mode {found.mode:04o}): chmod 600",)


def not_used(path: str, error: Distrusted, *, home: str = "") -> CredentialsUnusable:
    """Return the error for a file whose content users other than root could have chosen.

    Args:
        home: the home directory in which it was looked for.
    """
    hint = f"Look at what it says, then: {error.found.hint}"
    if path.startswith(f"{home.rstrip('/')}/") and home.startswith(error.found.hop.path):
        hint += f". HOME is {home}, which is not root's own: `sudo -H` sets root's"
    return broken(f"{path} is not used: {error.found.why}", hint=f"{hint}.")


def _read(around: Surroundings, path: str) -> Found | None:
    try:
        file = around.read(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except Distrusted as error:
        raise not_used(path, error, home=around.home) from None
    except OSError as error:
        raise broken(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise broken("the path of a credentials file holds a zero byte") from None
    return Found(path, file.text.removeprefix("\ufeff"), file.mode)

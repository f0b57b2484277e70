"""Which packages files belong to, asked of the package managers' own programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

from snap_self.ports import Commands

# A broken upgrade may have broken the program too, and nothing waits long for a word of advice.
LIMIT_S = 5.0
MOST_PATHS = 20
_ASKS: Mapping[str, tuple[str, ...]] = {
    "dpkg": ("dpkg-query", "--search"),
    "rpm": ("rpm", "--query", "--file", "--queryformat", "%{NAME}\\n"),
    "pacman": ("pacman", "--query", "--quiet", "--owns"),
}


class PackageOwners:
    """Implement ``ports_looking_back.PackageOwners``.

    Args:
        manager: tells whose packages this machine has: ``dpkg``, ``rpm``, ``pacman`` or nobody's.
    """

    def __init__(self, commands: Commands, manager: Callable[[], str]) -> None:
        self._commands = commands
        self._manager = manager

    def owners(self, paths: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Return the packages of each path, as far as the manager tells them; some of many."""
        asks = _ASKS.get(self._manager())
        if asks is None:
            return {}
        return {path: tuple(self._owners(asks, path)) for path in paths[:MOST_PATHS]}

    def _owners(self, asks: Sequence[str], path: str) -> Iterator[str]:
        with suppress(OSError, TimeoutError):
            status, out, _ = self._commands.run([*asks, path], timeout_s=LIMIT_S)
            if status:
                return
            for line in out.split("\n"):
                # dpkg-query: "name, name:arch: /path"; the others a name a line.
                names, found, _ = line.rpartition(": /")
                told = (names if found else line).split(",")
                yield from (name.strip() for name in told if name.strip())

"""Configuration files in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from snap_self.config.load import FOLDER, Sources
from snap_self.model.trust import Distrust


class FakeConfigFiles:
    """Files below the configuration folder, by name (``config.toml``, ``conf.d/10-a.toml``).

    Args:
        files: text or bytes, or the error that reading them meets.
        distrusted: what others can change on the way, by the same names; ``.`` is the folder.
    """

    def __init__(
        self,
        files: Mapping[str, str | bytes | OSError] | None = None,
        *,
        distrusted: Mapping[str, Sequence[Distrust]] | None = None,
    ) -> None:
        self._files = files or {}
        self._distrusted = distrusted or {}
        self.read_names: list[str] = []

    def read(self, path: Path) -> bytes:
        """Return the file, or raise what it holds."""
        name = str(path.relative_to(FOLDER))
        self.read_names.append(name)
        content = self._files.get(name, FileNotFoundError(2, "none"))
        if isinstance(content, OSError):
            raise content
        return content.encode() if isinstance(content, str) else content

    def listing(self, path: Path) -> Sequence[str]:
        """Return the names in a folder, last first."""
        prefix = f"{path.relative_to(FOLDER)}/"
        names = [name[len(prefix) :] for name in self._files if name.startswith(prefix)]
        if not names:
            raise FileNotFoundError(2, "none")
        return sorted(names, reverse=True)

    def distrust(self, path: Path) -> Sequence[Distrust]:
        """Return what others can change on the way."""
        return self._distrusted.get(str(path.relative_to(FOLDER)), ())

    def sources(self, env: Mapping[str, str] | None = None) -> Sources:
        """Return these files and the environment as the loader takes them."""
        return Sources(env=env or {}, read=self.read, listing=self.listing, distrust=self.distrust)

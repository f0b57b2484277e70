"""Configuration files in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from snap_self.config.load import FOLDER, ConfigFile, Sources


class FakeConfigFiles:
    """Files below the configuration folder, by name (``config.toml``, ``conf.d/10-a.toml``).

    Args:
        files: text or bytes, or the error that reading them meets.
    """

    def __init__(
        self,
        files: Mapping[str, str | bytes | OSError] | None = None,
        *,
        mode: int = 0o644,
        owner: int = 0,
    ) -> None:
        self._files = files or {}
        self._mode = mode
        self._owner = owner

    def read(self, path: Path) -> ConfigFile:
        """Return the file, or raise what it holds."""
        content = self._files.get(str(path.relative_to(FOLDER)), FileNotFoundError(2, "none"))
        if isinstance(content, OSError):
            raise content
        raw = content.encode() if isinstance(content, str) else content
        return ConfigFile(content=raw, mode=self._mode, owner=self._owner)

    def listing(self, path: Path) -> Sequence[str]:
        """Return the names in a folder, last first."""
        prefix = f"{path.relative_to(FOLDER)}/"
        names = [name[len(prefix) :] for name in self._files if name.startswith(prefix)]
        if not names:
            raise FileNotFoundError(2, "none")
        return sorted(names, reverse=True)

    def sources(self, env: Mapping[str, str] | None = None, *, as_root: bool = True) -> Sources:
        """Return these files and the environment as the loader takes them."""
        return Sources(env=env or {}, read=self.read, listing=self.listing, as_root=as_root)

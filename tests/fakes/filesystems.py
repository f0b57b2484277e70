"""Filesystems that only note that they were synced."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Mapping


class FakeFilesystems:
    """The memory twin of ``KernelFilesystems``.

    Args:
        missing: paths that do not exist.
        failing: errno of the sync, by path.
    """

    def __init__(
        self, *, missing: Collection[str] = (), failing: Mapping[str, int] | None = None
    ) -> None:
        self._failing = dict.fromkeys(missing, errno.ENOENT) | dict(failing or {})
        self.synced: list[str] = []

    def sync(self, path: str) -> None:
        """Note the path, or fail as told."""
        if number := self._failing.get(path):
            raise OSError(number, os.strerror(number), path)
        self.synced.append(path)

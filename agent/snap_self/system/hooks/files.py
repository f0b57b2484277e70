"""Looks at hook files and reports every link that it follows."""

from __future__ import annotations

import os
from collections.abc import Sequence

from snap_self.model.trust import PathHop
from snap_self.system.textfile import read_text_file
from snap_self.system.trust import walk


class SystemHookFiles:
    """Implement ``ports.HookFiles``."""

    def walk(self, path: str) -> Sequence[PathHop]:
        """Return every directory, link and file on the path, resolved as the kernel does.

        Raises:
            OSError: it does not exist, or its links form a loop.
        """
        return walk(path)

    def names(self, folder: str) -> Sequence[str]:
        """Return the names in a folder.

        Raises:
            OSError: it is not there or not readable.
        """
        return os.listdir(folder)  # noqa: PTH208

    def read(self, path: str) -> str:
        """Return a text file of at most 1 MiB.

        Raises:
            OSError: as ``read_text_file``.
        """
        return read_text_file(path).text

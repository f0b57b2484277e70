"""Looks at the files of hooks without following what it does not report."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence

from snap_self.model.hooks import PathHop, PathKind
from snap_self.system.textfile import read_text_file

MAX_LINKS = 40
"""As many as the kernel follows (path_resolution(7))."""


class SystemHookFiles:
    """Implement ``ports.HookFiles``."""

    def walk(self, path: str) -> Sequence[PathHop]:
        """Return every directory, link and file on the way, resolved as the kernel does.

        Raises:
            OSError: it does not exist, or its links lead round in a circle.
        """
        here, hops, links = "/", [_hop("/")], 0
        names = path.split("/")[::-1]
        while names:
            name = names.pop()
            if name in ("", ".", ".."):
                here = os.path.dirname(here) if name == ".." else here  # noqa: PTH120
                continue
            place = f"{here.rstrip('/')}/{name}"
            hops.append(_hop(place))
            if hops[-1].kind is not PathKind.LINK:
                here = place
                continue
            links += 1
            if links > MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            target = os.readlink(place)  # noqa: PTH115  (a trailing slash counts)
            here = "/" if target.startswith("/") else here
            names.extend(target.split("/")[::-1])
        if here != hops[-1].path:
            hops.append(_hop(here))  # the way ended on `..` or on a link to a directory above
        return hops

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


def _hop(path: str) -> PathHop:
    status = os.lstat(path)
    return PathHop(
        path=path,
        kind=_kind(status.st_mode),
        mode=stat.S_IMODE(status.st_mode),
        owner=status.st_uid,
    )


def _kind(mode: int) -> PathKind:
    if stat.S_ISDIR(mode):
        return PathKind.FOLDER
    if stat.S_ISLNK(mode):
        return PathKind.LINK
    return PathKind.FILE if stat.S_ISREG(mode) else PathKind.OTHER

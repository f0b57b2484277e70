"""Where a server of the MySQL family keeps its files, by its own word.

The kernel tells of open files only, and a server with more tables than innodb_open_files, or one
that does not validate their paths at its start, leaves those shut that nobody uses.

Source: MySQL 8.0 reference manual, "Creating Tables Externally": what lies outside of the data
directory lies in a directory that innodb_directories, or one of the others, names.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from snap_self.errors import UsageError
from snap_self.quiesce.applications.base import Limit, Server, Tools

# Folders; empty or "./" is the data directory.
FOLDERS = ("innodb_data_home_dir", "innodb_log_group_home_dir", "innodb_undo_directory")
LISTED_FOLDERS = "innodb_directories"
# The beginning of each file's path.
BEGINNINGS = ("log_bin_basename",)
VARIABLES = (*FOLDERS, LISTED_FOLDERS, *BEGINNINGS)


def folders_of(variables: Mapping[str, str], files: Sequence[str] | None) -> Iterator[str]:
    """Yield the folders that hold a server's files; some may be relative to its data directory.

    Args:
        files: of all tablespaces; None where the agent's user may not ask for them.
    """
    for name in FOLDERS:
        yield variables.get(name, "")
    for name in BEGINNINGS:
        yield posixpath.dirname(variables.get(name, ""))
    if files is None:
        yield from variables.get(LISTED_FOLDERS, "").split(";")
    else:
        yield from map(posixpath.dirname, files)


def left_out(server: Server, tools: Tools, folders: Iterable[str], limit: Limit) -> Sequence[str]:
    """Return the folders that get no snapshot; what is not there any more is none.

    Raises:
        QuiesceFailed: there is no time to look at them all.
    """
    full = (posixpath.normpath(posixpath.join(server.data_dir, folder)) for folder in folders)
    found = []
    for folder in dict.fromkeys(full):
        limit.left()
        with suppress(UsageError):
            if not server.covers(tools.locate(server.process.pid, folder)):
                found.append(folder)
    return found

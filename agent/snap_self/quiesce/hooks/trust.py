"""Decides which files may be run as root.

A program is started by its path, not by a descriptor: with ``/proc/self/fd`` a script's ``$0``
would not lead to its folder, which published hooks use. The path is as safe, since only root can
change any directory or link on it; that is checked right before.
"""

from __future__ import annotations

from collections.abc import Sequence

from snap_self.model.shell import command
from snap_self.model.trust import (
    ANY_BY_OTHERS,
    STICKY,
    Distrust,
    PathHop,
    PathKind,
    judge_way,
)

EXECUTE = 0o111
SCRIPTS = "/etc/snap-self/scripts"
ROOTS_ALONE = ("-o", "root", "-g", "root", "-m", "0700")

_WRONG_KIND = {
    PathKind.FOLDER: "is a folder",
    PathKind.LINK: "is a link that leads nowhere",
    PathKind.SOCKET: "is a socket",
    PathKind.OTHER: "is not a regular file",
}


def judge(hops: Sequence[PathHop], *, executable: bool, private: bool) -> tuple[str, str]:
    """Return why the file may not be run, and a hint; two empty texts if it may.

    Args:
        hops: the whole path, from ``/`` to the file.
        private: only the owner may have any permission on the file.
    """
    why, hint = judge_folder(hops)
    if why:
        return why, hint
    end = hops[-1]
    if end.kind is not PathKind.FILE:
        return f"{end.path} {_WRONG_KIND[end.kind]}", "name a script or program"
    if private and end.mode & ANY_BY_OTHERS:
        return (
            f"{end.path} has permissions for users other than its owner (mode {end.mode:04o})",
            command("chmod", "go=", end.path),
        )
    if executable and not end.mode & EXECUTE:
        return f"{end.path} is not executable", command("chmod", "u+x", end.path)
    return "", ""


def judge_folder(hops: Sequence[PathHop]) -> tuple[str, str]:
    """Return why files in a folder cannot be run, and a hint; two empty texts if they can."""
    found = judge_way(hops)
    return ("", "") if found is None else (found.why, _hint(found))


def _hint(found: Distrust) -> str:
    hop = found.hop
    if hop.owner == 0 and hop.kind is PathKind.FOLDER and hop.mode & STICKY:
        return (
            "look at what the scripts do, then import them into a folder of root's: "
            f"install -d -m 0700 {SCRIPTS} && "
            + command("install", *ROOTS_ALONE, f"{hop.path.rstrip('/')}/SCRIPT", f"{SCRIPTS}/")
        )
    return found.hint

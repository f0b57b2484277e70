"""Which files may be run as root: pure rules over the way that leads to a file.

A program is started by its path, not by a descriptor: through ``/proc/self/fd`` a script's ``$0``
would not lead to the folder it lies in, which published hooks look into. That is as safe, since
nobody but root can change any directory or link on the way, which is what is checked right before.

The group's write bit also stands for every entry of an access control list: it holds their mask
(acl(5)).
"""

from __future__ import annotations

from collections.abc import Sequence

from snap_self.model.hooks import PathHop, PathKind

WRITABLE_BY_OTHERS = 0o022
ANY_BY_OTHERS = 0o077
STICKY = 0o1000
EXECUTE = 0o111

_WRONG_KIND = {
    PathKind.FOLDER: "is a folder",
    PathKind.LINK: "is a link that leads nowhere",
    PathKind.OTHER: "is no regular file",
}


def judge(hops: Sequence[PathHop], *, executable: bool, private: bool) -> tuple[str, str]:
    """Return why the file may not be run, and a hint; two empty texts when it may.

    Args:
        hops: the whole way, from ``/`` to the file.
        private: only the owner may have any permission on the file.
    """
    for hop in hops:
        why, hint = _changeable(hop)
        if why:
            return why, hint
    end = hops[-1]
    if end.kind is not PathKind.FILE:
        return f"{end.path} {_WRONG_KIND[end.kind]}", "name a script or program"
    if private and end.mode & ANY_BY_OTHERS:
        return (
            f"{end.path} has permissions for others than its owner (mode {end.mode:04o})",
            f"chmod go= {end.path}",
        )
    if executable and not end.mode & EXECUTE:
        return f"{end.path} is not executable", f"chmod u+x {end.path}"
    return "", ""


def judge_folder(hops: Sequence[PathHop]) -> tuple[str, str]:
    """Return why what lies in a folder cannot be trusted, and a hint; two empty texts if it can."""
    return next((found for found in map(_changeable, hops) if found[0]), ("", ""))


def _changeable(hop: PathHop) -> tuple[str, str]:
    """Return why others than root can change what lies there, and a hint."""
    if hop.owner != 0:
        return f"{hop.path} belongs to user id {hop.owner}, not to root", f"chown root {hop.path}"
    # The mode of a symbolic link means nothing (symlink(7)).
    if hop.kind is PathKind.LINK or not hop.mode & WRITABLE_BY_OTHERS:
        return "", ""
    why = f"{hop.path} can be changed by others than root (mode {hop.mode:04o})"
    if hop.kind is PathKind.FOLDER and hop.mode & STICKY:
        return why, (
            "look at what the scripts do, then import them into a folder of root's: "
            "install -d -m 0700 /etc/snap-self/scripts && "
            f"install -o root -g root -m 0700 {hop.path.rstrip('/')}/SCRIPT /etc/snap-self/scripts/"
        )
    return why, f"chmod go-w {hop.path}"

"""What is never brought back, by its path, and what an error of the kernel means."""

from __future__ import annotations

import errno
from types import TracebackType

from snap_self.model.copying import Leaving, LeftOut
from snap_self.system.copying.walking import Refused

# Names that begin so are ours: temporary files, and what earlier restores keep.
OWN_NAMES = ".snap-self-"
KEPT_BY_RESTORES = ".snap-self-replaced"
# What lies there is lost at a restart, which is fine where somebody names the place.
IN_MEMORY = "tmpfs"
# A part of a database is worth nothing, and a whole one contradicts the files it describes.
PACKAGE_DATABASES = (
    *("/var/lib/dpkg", "/var/lib/rpm", "/usr/lib/sysimage/rpm", "/var/lib/pacman"),
    "/usr/share/rpm",
)
_DATABASE_TOPS = tuple(f"{each}/" for each in PACKAGE_DATABASES)
_LOCKS = (
    *("/etc/.pwd.lock", "/var/lib/apt/lists/lock", "/var/cache/apt/archives/lock"),
    *("/var/lib/apt/daily_lock", "/var/cache/debconf/config.dat.lock"),
    *("/var/lib/dnf/rpmdb_lock.pid", "/var/cache/dnf/metadata_lock.pid", "/var/run/yum.pid"),
)
_LOCK_NAMES = ("db.lck", "lock-frontend", ".rpm.lock")
# They are made anew at each start; what lies there is in no snapshot.
VOLATILE = frozenset(
    (
        *("autofs", "bdev", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs"),
        *("devpts", "devtmpfs", "efivarfs", "fusectl", "hugetlbfs", "mqueue", "nsfs", "proc"),
        *("pstore", "ramfs", "rpc_pipefs", "securityfs", "selinuxfs", "sysfs", "tmpfs", "tracefs"),
    )
)

_MEANINGS = {
    errno.ENOSPC: (Leaving.NO_ROOM, "has no room on its filesystem"),
    errno.EDQUOT: (Leaving.QUOTA, "goes over a quota"),
    errno.EROFS: (Leaving.READ_ONLY, "lies on a read-only filesystem"),
    errno.EIO: (Leaving.IO_ERROR, "cannot be read or written: the disk reports errors"),
    errno.EXDEV: (Leaving.MOUNT_POINT, "has another filesystem mounted on it"),
    errno.ELOOP: (Leaving.CHANGING, "became a link meanwhile"),
    errno.ENOTDIR: (Leaving.CHANGING, "is no directory any more"),
    errno.ENOENT: (Leaving.CHANGING, "vanished meanwhile"),
    errno.ESTALE: (Leaving.CHANGING, "was exchanged for something else meanwhile"),
    errno.ENOTEMPTY: (Leaving.CHANGING, "was filled meanwhile"),
    errno.EPERM: (Leaving.IMMUTABLE, "must not be changed (see lsattr)"),
    errno.EMFILE: (Leaving.TOO_DEEP, "lies too deep"),
}


def below(path: str, top: str) -> bool:
    """Tell whether a path is another one or lies below it."""
    return path == top or path.startswith(top.rstrip("/") + "/")


def refusal_of(path: str, own: tuple[str, ...], *, elsewhere: bool = False) -> LeftOut | None:
    """Return why a path of the running system is never a target; None if it may be.

    Args:
        own: where snap-self keeps its own state, each with a slash at its end.
        elsewhere: nothing is there in its own place, so no program looks for a lock there.
    """
    # All are looked for by one call, as this is asked of every file.
    at = f"{path}/"
    if at.startswith(_DATABASE_TOPS):
        why = "belongs to the database of a package manager, which must fit what is installed"
        return LeftOut(path=path, why=why, code=Leaving.PACKAGE_DATABASE)
    if at.startswith(own):
        why = "is what snap-self knows of its own snapshots"
        return LeftOut(path=path, why=why, code=Leaving.OWN_STATE)
    if path in _LOCKS or (not elsewhere and path.rpartition("/")[2] in _LOCK_NAMES):
        why = "is a lock of a program that ran then"
        return LeftOut(path=path, why=why, code=Leaving.LOCK_FILE)
    return None


def left_out(path: str, error: OSError) -> LeftOut:
    """Return what an error at a path means."""
    code, why = _MEANINGS.get(error.errno or 0, (Leaving.FAILED, ""))
    return LeftOut(path=path, why=why or f"was refused: {error.strerror or error}", code=code)


class LeavingOut:
    """Turns what fails at a path into a line about it, and lets the rest go on.

    Args:
        told: where the line is added.
    """

    __slots__ = ("_path", "_told")

    def __init__(self, told: list[LeftOut], path: str) -> None:
        self._told = told
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if error is None:
            return False
        if isinstance(error, Refused):
            self._told.append(LeftOut(path=self._path, why=error.why, code=error.code))
            return True
        if isinstance(error, OSError):
            self._told.append(left_out(self._path, error))
            return True
        return False

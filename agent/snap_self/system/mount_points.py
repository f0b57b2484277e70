"""Directories at which a copy is mounted, and the timer that ends it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from contextlib import suppress
from pathlib import Path

from snap_self.errors import PreconditionRefused
from snap_self.model.trust import Distrusted
from snap_self.system.environment import program_environment
from snap_self.system.inhibitor import SYSTEMD
from snap_self.system.opening.stacked import visible_mounts
from snap_self.system.state.files import make_run_folder
from snap_self.system.trust import check_trusted

RUN_FOLDER = Path("/run/snap-self/copies")
TIMER = "snap-self-unmount@{}.timer"
SERVICE_FILE = "snap-self-unmount@.service"
UNIT_FOLDERS = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
# Where systemd reads what is true until the next boot.
DROP_INS = Path("/run/systemd/system")
# To read its units anew takes systemd half a minute on a machine that is busy.
SYSTEMCTL_S = 60.0


class MountPoints:
    """Implement ``ports_looking_back.MountPoints``."""

    def usual(self, name: str) -> str:
        """Return where a copy of that name is mounted if nobody says another place."""
        return str(RUN_FOLDER / name)

    def check(self, path: str) -> bool:
        """Tell whether a directory has to be made.

        Raises:
            PreconditionRefused: nothing can be mounted there.
        """
        place = Path(path)
        try:
            if not place.exists():
                if place.parent != RUN_FOLDER:
                    _trusted(place.parent)
                    _private(place)
                return True
            if not place.is_dir() or place.is_symlink():
                raise PreconditionRefused(f"{path} is no directory", hint="name another with --at")
            if place.is_mount():
                raise PreconditionRefused(
                    f"something is mounted at {path} already", hint="name another with --at"
                )
            if any(place.iterdir()):
                raise PreconditionRefused(
                    f"{path} is not empty", hint="name an empty directory with --at, or a new one"
                )
            _trusted(place)
            if place.parent != RUN_FOLDER:
                _private(place)
        except OSError as error:
            raise PreconditionRefused(
                f"{path} cannot be looked at: {error.strerror}", hint="name another with --at"
            ) from error
        return False

    def make(self, path: str) -> None:
        """Make a directory that only root may enter.

        Raises:
            PreconditionRefused: it cannot be made.
        """
        place = Path(path)
        try:
            if place.parent == RUN_FOLDER:
                make_run_folder(RUN_FOLDER.parent)
                make_run_folder(RUN_FOLDER)
            place.mkdir(mode=0o700)
        except FileExistsError:
            return
        except Distrusted as error:
            raise PreconditionRefused(
                f"{path} is not used: {error.found.why}", hint=error.found.hint
            ) from None
        except OSError as error:
            raise PreconditionRefused(
                f"{path} cannot be made: {error.strerror}", hint="name another with --at"
            ) from error

    def remove(self, path: str) -> None:
        """Remove a directory that was made, if nothing is in it."""
        with suppress(OSError):
            os.rmdir(path)  # noqa: PTH106

    def is_mounted(self, path: str) -> bool:
        """Tell whether anything is mounted there; never waits for what is."""
        # Not by stat(2): a disk that does not answer may be below it.
        return any(each.place == path for each in visible_mounts())

    def end_after(self, restore_id: str, seconds: int) -> bool:
        """Have systemd end a copy after that time; tell whether it will."""
        known = any((Path(folder) / SERVICE_FILE).exists() for folder in UNIT_FOLDERS)
        if not (known and SYSTEMD.is_dir() and shutil.which("systemctl")):
            return False
        folder = DROP_INS / f"{TIMER.format(restore_id)}.d"
        try:
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            text = f"[Timer]\nOnActiveSec=\nOnActiveSec={seconds}s\n"
            (folder / "for.conf").write_text(text, encoding="ascii")
        except OSError:
            return False
        timer = TIMER.format(restore_id)
        return _systemctl("daemon-reload") and _systemctl("restart", timer)

    def end_no_more(self, restore_id: str) -> None:
        """Stop that timer; none is fine."""
        folder = DROP_INS / f"{TIMER.format(restore_id)}.d"
        if not folder.is_dir():
            return
        with suppress(OSError):
            shutil.rmtree(folder)
        _systemctl("stop", "--no-block", TIMER.format(restore_id))


def _trusted(place: Path) -> None:
    """Refuse a place that others can exchange while it is mounted on.

    Raises:
        PreconditionRefused: it is one.
    """
    try:
        check_trusted(str(place))
    except Distrusted as error:
        raise PreconditionRefused(
            f"{place} is not used: {error.found.why}", hint=error.found.hint
        ) from None


def _private(place: Path) -> None:
    """Refuse a place to which all users could come.

    A copy shows each file with the permissions of then, also one that was made private since. What
    counts is what lies above: the permissions of the place itself are hidden by those of the copy.

    Raises:
        PreconditionRefused: it is one.
    """
    if not any(keeps_others_out(folder) for folder in place.absolute().resolve().parents):
        raise PreconditionRefused(
            f"{place} is not used: all users could read there what was not private then",
            hint="leave out --at, or name a place in a directory that only root may enter, such as "
            "/root",
        )


def keeps_others_out(folder: Path) -> bool:
    """Tell whether nobody but root, and who runs this, can come to what is in a folder.

    Raises:
        OSError: it cannot be looked at.
    """
    found = folder.stat()
    if found.st_uid not in (0, os.geteuid()) or found.st_mode & stat.S_IXOTH:
        return False
    return not found.st_mode & stat.S_IXGRP or (found.st_gid == 0 and not _has_list(folder))


def _has_list(folder: Path) -> bool:
    """Tell whether the group's bits may stand for others in an access control list (acl(5))."""
    with suppress(OSError):
        return "system.posix_acl_access" in os.listxattr(folder)
    return False


def _systemctl(*words: str) -> bool:
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            ("systemctl", *words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=SYSTEMCTL_S,
            env=program_environment(),
            check=False,
        )
        return done.returncode == 0
    return False

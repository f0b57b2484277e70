"""What the agent keeps between a package manager's calls: state in ``/run``, a log by the journal.

Nothing here may fail a change: what cannot be read counts as missing, and what cannot be written is
left out. Nothing slow is imported.
"""

from __future__ import annotations

import os

from snap_self import __version__
from snap_self.model.manager_facts import STANDINGS, Kept
from snap_self.model.manager_settings import parse_settings, settings_text
from snap_self.system.managers.outside import read_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from snap_self.model.manager_facts import Asked
    from snap_self.model.manager_settings import ManagerSettings
    from snap_self.model.packages import Transaction

RUN_FOLDER = "/run/snap-self"
CONFIG_FOLDER = "/etc/snap-self"
# The guard reads this, since it needs a limit before the agent has started. The file holds only
# seconds: the usual limit, and the limit when nobody waits at a terminal.
LIMIT_FILE = "/var/lib/snap-self/hook-limit"
# What the guard allows beyond the limit, so that the agent can end on its own.
LIMIT_SPARE_S = 5
MAX_KEPT = 64
# Folders of rehearsals, and the note that a call leaves there.
STAGE = "rehearsal-"
NOTE = "note"
MAX_LOGS = 1000
MAX_LOG_BYTES = 4 << 20
_PRIVATE = 0o700
_BY_OTHERS = 0o022
_MODE_BITS = 0o7777
_FOLDER = 0o040000


class ManagerState:
    """Files of the package managers' calls; a folder of another user is not used.

    Args:
        run: the folder below ``/run``.
        config: where the configuration is.
    """

    def __init__(
        self,
        run: str = RUN_FOLDER,
        config: str = CONFIG_FOLDER,
        limit_file: str = LIMIT_FILE,
    ) -> None:
        self._run = run
        self._folder = f"{run}/hooks"
        self._config = config
        self._limit_file = limit_file

    def signature(self) -> str:
        """Return a text that changes with the configuration's files; empty if there are none."""
        extra = f"{self._config}/conf.d"
        try:
            names = sorted(os.listdir(extra))  # noqa: PTH208  # pathlib takes too long to load
        except OSError:
            names = []
        paths = [f"{extra}/{name}" for name in names if name.endswith(".toml")]
        found = [_file_mark(path) for path in (f"{self._config}/config.toml", *paths)]
        marks = [mark for mark in found if mark]
        return " ".join((__version__, str(os.geteuid()), *marks)) if marks else ""

    def read_settings(self, signature: str) -> ManagerSettings | None:
        """Return the settings that were kept for this signature."""
        text = self._read("settings")
        head, _, rest = text.partition("\n")
        return parse_settings(rest) if head == signature else None

    def keep_settings(self, signature: str, settings: ManagerSettings) -> None:
        """Keep the settings, and tell the guard its limit."""
        self._write("settings", f"{signature}\n{settings_text(settings)}")
        longest_s = max(settings.limit_s, settings.throttled_limit_s) + settings.spread_s
        limit = f"{settings.limit_s + LIMIT_SPARE_S}\n{longest_s + LIMIT_SPARE_S}\n"
        if os.geteuid() or read_bytes(self._limit_file) == limit.encode():
            return
        if _is_own(self._limit_file.rpartition("/")[0]):
            _replace(self._limit_file, limit, mode=0o644)

    def forget_limit(self) -> None:
        """Remove the guard's limit of an earlier configuration, now that there is none."""
        there = os.path.lexists(self._limit_file)
        if there and os.geteuid() == 0 and _is_own(self._limit_file.rpartition("/")[0]):
            try:
                os.unlink(self._limit_file)  # noqa: PTH108
            except OSError:
                return

    def kept(self) -> Sequence[Kept]:
        """Return the results of the calls since the machine started, as far as they are kept."""
        found = []
        for line in self._read("calls").split("\n"):
            try:
                found.append(_kept(line.split("\t")))
            except ValueError:
                continue
        return found

    def keep(self, one: Kept) -> None:
        """Keep the result of a call."""
        lines = [_kept_line(each) for each in [*self.kept(), one][-MAX_KEPT:]]
        self._write("calls", "".join(lines))

    def asked_by(self, folder: str, pid: int) -> Asked | None:
        """Return what a process asked the cloud for without seeing the end, from the journal.

        Args:
            folder: the state directory.
        """
        from snap_self.system.managers.journal import asked_by

        return asked_by(folder, pid)

    def private_folder(self) -> str:
        """Return the folder in ``/run``, created if needed; empty if it is not our own."""
        _make(self._run, _PRIVATE)
        _make(self._folder, _PRIVATE)
        return self._folder if self._is_own() else ""

    def rehearsal_of(self, keys: Sequence[str]) -> str:
        """Return the folder of the rehearsal that one of these processes runs; else empty."""
        if not self._is_own():
            return ""
        try:
            names = os.listdir(self._folder)  # noqa: PTH208
        except OSError:
            return ""
        stages = {stage_name(key) for key in keys}
        return next((f"{self._folder}/{name}" for name in names if name in stages), "")

    def note_rehearsal(self, place: str, skipped: str, *, whole: bool) -> None:
        """Leave a note that the package manager called the agent.

        Args:
            skipped: why a change would get no snapshot; empty if it would.
            whole: the list of packages was whole.
        """
        _replace(f"{place}/{NOTE}", f"{'whole' if whole else 'cut'}\n{_one_line(skipped)}\n")

    def skip_until(self) -> float:
        """Return the time in ``skip-until`` in seconds since 1970; 0 if there is none."""
        path = f"{self._run}/skip-until"
        text = read_bytes(path, 64).decode("ascii", "replace").strip()
        if not text or not _is_trusted(path):
            return 0.0
        if text.isdigit():
            return float(text)
        from datetime import datetime

        try:
            return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
        except ValueError:
            return 0.0

    def log(self, folder: str, run_id: str, transaction: Transaction) -> None:
        """Log the packages for which a run's snapshot was taken."""
        if not run_id.replace("-", "").isalnum():
            return
        import json
        import time

        entry = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "manager": transaction.manager,
            "program": transaction.program,
            "packages": [
                {"name": p.name, "action": p.action, "arch": p.arch, "from": p.old, "to": p.new}
                for p in transaction.packages
            ],
        }
        _append(f"{folder}/changes/{run_id}.jsonl", json.dumps(entry) + "\n")

    def _read(self, name: str) -> str:
        path = f"{self._folder}/{name}"
        return os.fsdecode(read_bytes(path)) if self._is_own() else ""

    def _write(self, name: str, text: str) -> None:
        if folder := self.private_folder():
            _replace(f"{folder}/{name}", text)

    def _is_own(self) -> bool:
        """Return whether nobody else can read, change or replace the folder."""
        return _is_own(self._run) and _mode_of_own(self._folder) == _PRIVATE


def _kept(fields: Sequence[str]) -> Kept:
    """Return the result in a line's fields. Raises ValueError."""
    # Earlier versions wrote only the first five.
    key, at, took, run_id, text, standing, ids = (*fields, "", "")[: max(7, len(fields))]
    return Kept(
        key,
        float(at),
        run_id=run_id,
        took_s=float(took),
        text=text,
        standing=standing if standing in STANDINGS else "",
        ids=ids.split(),
    )


def _kept_line(one: Kept) -> str:
    ids = " ".join(one.ids)
    fields = (one.key, f"{one.at:.1f}", f"{one.took_s:.1f}", one.run_id, one.text, one.standing)
    return "\t".join(_one_line(each) for each in (*fields, ids)) + "\n"


def stage_name(key: str) -> str:
    """Return the name of the folder for a process's rehearsal."""
    return STAGE + key.replace(":", "-")


def _file_mark(path: str) -> str:
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return ""
    times = f"{found.st_mtime_ns}:{found.st_ctime_ns}"
    return f"{path}:{found.st_ino}:{found.st_size}:{times}:{found.st_mode}:{found.st_uid}"


def _is_trusted(path: str) -> bool:
    from snap_self.system.trust import distrust  # rarely needed, and slow to load

    try:
        return distrust(path) is None
    except OSError:
        return False


def _mode_of_own(folder: str) -> int | None:
    """Return the permission bits of our own folder; None if it is a link or another user's."""
    try:
        found = os.lstat(folder)
    except OSError:
        return None
    own = (found.st_mode & ~_MODE_BITS, found.st_uid) == (_FOLDER, os.geteuid())
    return found.st_mode & _MODE_BITS if own else None


def _is_own(folder: str) -> bool:
    mode = _mode_of_own(folder)
    return mode is not None and not mode & _BY_OTHERS


def _make(folder: str, mode: int) -> None:
    try:
        os.mkdir(folder, mode)  # noqa: PTH102
    except OSError:
        return  # it exists, or the code that needs it reports the error


def _replace(path: str, text: str, *, mode: int = 0o600) -> None:
    beside = f"{path}.{os.getpid()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        if os.path.lexists(beside):  # left by a killed process that had the same id
            os.unlink(beside)  # noqa: PTH108
        descriptor = os.open(beside, flags, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.fsencode(text))
        os.replace(beside, path)  # noqa: PTH105
    except OSError:
        return


def _append(path: str, text: str) -> None:
    from pathlib import Path

    from snap_self.errors import StateUnusable
    from snap_self.system.state.files import make_private_subfolder, open_private_file

    log = Path(path)
    try:
        make_private_subfolder(log.parent)
        descriptor = open_private_file(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        with os.fdopen(descriptor, "wb") as file:
            if os.fstat(descriptor).st_size < MAX_LOG_BYTES:
                file.write(os.fsencode(text))
        _drop_oldest(str(log.parent))
    except (OSError, StateUnusable):
        return


def _drop_oldest(folder: str) -> None:
    """Keep as many logs as the journal keeps runs; run ids begin with the time. Raises OSError."""
    for name in sorted(os.listdir(folder))[:-MAX_LOGS]:  # noqa: PTH208
        os.unlink(f"{folder}/{name}")  # noqa: PTH108


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)

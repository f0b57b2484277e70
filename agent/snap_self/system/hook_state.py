"""What hooks keep from one call to the next: in ``/run`` the state, in the journal's folder a log.

Nothing here may fail a change: what cannot be read counts as not there, what cannot be written is
left out. Nothing slow is imported.
"""

from __future__ import annotations

import os

from snap_self import __version__
from snap_self.model.hook_facts import Kept
from snap_self.model.hook_settings import parse_settings, settings_text
from snap_self.system.hook_outside import read_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from snap_self.model.hook_settings import HookSettings
    from snap_self.model.packages import Transaction

RUN_FOLDER = "/run/snap-self"
CONFIG_FOLDER = "/etc/snap-self"
# Read by the guard, which needs a limit before the agent has started; seconds, and nothing else.
LIMIT_FILE = "/var/lib/snap-self/hook-limit"
# What the guard allows beyond the limit, so that the agent can end by itself.
LIMIT_SPARE_S = 5
MAX_KEPT = 64
MAX_LOGS = 1000
MAX_LOG_BYTES = 4 << 20
# How the journal's sentence about an upload begins that left nothing, or not all, to go back to.
SPOILED = ("failed", "deleted")
_PRIVATE = 0o700


class HookState:
    """Files of the hooks; another user's folder is not used.

    Args:
        run: the folder below ``/run``.
        config: where the configuration lies.
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
        """Return what changes with the configuration's files; empty where there are none."""
        extra = f"{self._config}/conf.d"
        try:
            names = sorted(os.listdir(extra))  # noqa: PTH208  # pathlib takes too long to load
        except OSError:
            names = []
        paths = [f"{extra}/{name}" for name in names if name.endswith(".toml")]
        found = [_file_mark(path) for path in (f"{self._config}/config.toml", *paths)]
        marks = [mark for mark in found if mark]
        return " ".join((__version__, str(os.geteuid()), *marks)) if marks else ""

    def read_settings(self, signature: str) -> HookSettings | None:
        """Return what was kept of the configuration with this signature."""
        text = self._read("settings")
        head, _, rest = text.partition("\n")
        return parse_settings(rest) if head == signature else None

    def keep_settings(self, signature: str, settings: HookSettings) -> None:
        """Keep it, and tell the guard its limit."""
        self._write("settings", f"{signature}\n{settings_text(settings)}")
        limit = f"{settings.limit_s + LIMIT_SPARE_S}\n"
        if os.geteuid() == 0 and read_bytes(self._limit_file) != limit.encode():
            _replace(self._limit_file, limit, mode=0o644)

    def kept(self) -> Sequence[Kept]:
        """Return what came of the calls since the machine started, as far as it is kept."""
        found = []
        for line in self._read("calls").splitlines():
            fields = line.split("\t")
            try:
                key, at, took, run_id, text = fields
                found.append(Kept(key, float(at), run_id=run_id, took_s=float(took), text=text))
            except ValueError:
                continue
        return found

    def keep(self, one: Kept) -> None:
        """Keep what came of a call."""
        lines = [
            f"{k.key}\t{k.at:.1f}\t{k.took_s:.1f}\t{k.run_id}\t{_one_line(k.text)}\n"
            for k in [*self.kept(), one][-MAX_KEPT:]
        ]
        self._write("calls", "".join(lines))

    def spoiled(self, folder: str, run_id: str) -> str:
        """Return what the journal says became of a run's snapshots, if they are of no use."""
        import json

        try:
            upload = json.loads(read_bytes(f"{folder}/runs/{run_id}.json"))["upload"]
            ended = not upload["going_on"]
            return str(upload["text"]) if ended and upload["text"].startswith(SPOILED) else ""
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return ""  # nothing is known against them

    def skip_until(self) -> float:
        """Return what ``skip-until`` says in seconds since 1970; 0 where it says nothing."""
        path = f"{self._run}/skip-until"
        text = read_bytes(path, 64).decode("ascii", "replace").strip()
        if not text or not _only_root_writes(path):
            return 0.0
        if text.isdigit():
            return float(text)
        from datetime import datetime

        try:
            return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
        except ValueError:
            return 0.0

    def log(self, folder: str, run_id: str, transaction: Transaction) -> None:
        """Write down which packages a run's snapshot was made for."""
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
        where = f"{folder}/changes"
        if not _make_private(folder) or not _make_private(where):
            return
        _append(f"{where}/{run_id}.jsonl", json.dumps(entry) + "\n")
        _drop_oldest(where)

    def _read(self, name: str) -> str:
        path = f"{self._folder}/{name}"
        return os.fsdecode(read_bytes(path)) if _is_private(self._folder) else ""

    def _write(self, name: str, text: str) -> None:
        if not os.path.lexists(self._run):
            _make(self._run, 0o755)
        if _make_private(self._folder):
            _replace(f"{self._folder}/{name}", text)


def _file_mark(path: str) -> str:
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return ""
    times = f"{found.st_mtime_ns}:{found.st_ctime_ns}"
    return f"{path}:{found.st_ino}:{found.st_size}:{times}:{found.st_mode}:{found.st_uid}"


def _only_root_writes(path: str) -> bool:
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return False
    return found.st_uid in (0, os.geteuid()) and not found.st_mode & 0o022


def _is_private(folder: str) -> bool:
    try:
        found = os.lstat(folder)
    except OSError:
        return False
    return (found.st_mode, found.st_uid) == (0o040000 | _PRIVATE, os.geteuid())


def _make_private(folder: str) -> bool:
    _make(folder, _PRIVATE)
    return _is_private(folder)


def _make(folder: str, mode: int) -> None:
    try:
        os.mkdir(folder, mode)  # noqa: PTH102
    except OSError:
        return  # there already, or told by whoever needs it


def _replace(path: str, text: str, *, mode: int = 0o600) -> None:
    beside = f"{path}.{os.getpid()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(beside, flags, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.fsencode(text))
        os.replace(beside, path)  # noqa: PTH105
    except OSError:
        return


def _append(path: str, text: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            if os.fstat(descriptor).st_size < MAX_LOG_BYTES:
                file.write(os.fsencode(text))
    except OSError:
        return


def _drop_oldest(folder: str) -> None:
    """Keep as many logs as the journal keeps runs; run ids begin with the time."""
    try:
        for name in sorted(os.listdir(folder))[:-MAX_LOGS]:  # noqa: PTH208
            os.unlink(f"{folder}/{name}")  # noqa: PTH108
    except OSError:
        return


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)

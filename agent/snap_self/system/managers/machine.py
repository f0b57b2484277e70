"""Reads where the agent runs and below which processes, before it acts for a package manager."""

from __future__ import annotations

import os
import time

from snap_self.model.manager_facts import Ancestor, Facts, Mounted
from snap_self.system.managers.outside import ManagerOutside, has_terminal, read_bytes, stat_of
from snap_self.system.mangled import unmangled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from snap_self.model.packages import Transaction

MAX_ANCESTORS = 64
CONTAINER_FILES = ("/run/.containerenv", "/.dockerenv", "/run/systemd/container")
# Container runtimes set these for what they start. Only process 1 is checked: any script may have
# a variable with such a name.
CONTAINER_VARIABLES = (b"container", b"KUBERNETES_SERVICE_HOST")
CLOUD_INIT = "/run/cloud-init"
# cloud-init notes each of its stages. If a stage takes longer, cloud-init was killed or switched
# off before its last stage, and the machine has long been in use.
CLOUD_INIT_STAGE_S = 2 * 3600
POLICY = "/usr/sbin/policy-rc.d"
OFFLINE_UPDATE = ("/system-update", "/etc/system-update")
PRODUCT = "/sys/class/dmi/id/product_name"
ASK_S = 2.0
_ALL_USERS = ["0", "0", "4294967295"]
_METADATA = ("SNAP_SELF_METADATA_URL", "SNAP_SELF_NETWORK_METADATA_URL")


class ManagerMachine:
    """Reads the facts from a machine.

    Args:
        env: the environment that the package manager gave.
        root: where the machine's root directory is.
    """

    def __init__(self, env: Mapping[str, str], outside: ManagerOutside, root: str = "") -> None:
        self._env = env
        self._outside = outside
        self._root = root

    def facts(self, transaction: Transaction, *, skip_until: float, metadata_named: bool) -> Facts:
        """Return what decides whether a snapshot is taken at all."""
        marks = self._container_marks()
        users = self._users_of_its_own()
        return Facts(
            variable=self._env.get("SNAP_SELF_SKIP", ""),
            told=transaction.skip,
            root=transaction.root,
            skip_until=skip_until,
            now=time.time(),
            container=users or next(iter(marks), ""),
            container_sure=bool(users) or len(marks) > 1,
            chroot=self._chroot(),
            building=self._building(),
            product=self._product(),
            metadata_named=metadata_named or any(self._env.get(name) for name in _METADATA),
            stopping=self._stopping(),
        )

    def ancestors(self) -> Sequence[Ancestor]:
        """Return the processes above this one, its parent first."""
        found: list[Ancestor] = []
        pid = os.getppid()
        while pid > 0 and len(found) < MAX_ANCESTORS:
            facts = stat_of(pid, f"{self._root}/proc")
            if facts is None:
                break
            name, parent, started = facts
            arguments = self._outside.arguments(pid)
            found.append(
                Ancestor(
                    pid,
                    started,
                    name,
                    arguments,
                    stdin=self._stdin(pid),
                    terminal=has_terminal(pid, f"{self._root}/proc"),
                )
            )
            pid = parent
        return found

    def _stdin(self, pid: int) -> str:
        try:
            return os.readlink(f"{self._root}/proc/{pid}/fd/0")  # noqa: PTH115
        except OSError:
            return ""

    def mounts(self) -> Sequence[Mounted]:
        """Return what is mounted in this process's namespace."""
        found = []
        for line in read_bytes(f"{self._root}/proc/self/mountinfo", 8 << 20).split(b"\n"):
            # Source: proc_pid_mountinfo(5): the type follows a lone hyphen.
            head, _, tail = line.partition(b" - ")
            fields, kinds = head.split(b" "), tail.split(b" ")
            if len(fields) > 4:
                path = unmangled(os.fsdecode(fields[4]))
                found.append(Mounted(path, os.fsdecode(kinds[0])))
        return found

    def uptime_s(self) -> float:
        """Return the seconds since the machine started, including suspend."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def _container_marks(self) -> Sequence[str]:
        """Return the signs of a container, one of each kind: a file, process 1, the root."""
        files = [path for path in CONTAINER_FILES if os.path.lexists(self._root + path)][:1]
        pairs = read_bytes(f"{self._root}/proc/1/environ").split(b"\0")
        names = [pair.partition(b"=")[0] for pair in pairs]
        variables = [f"{os.fsdecode(n)} of process 1" for n in names if n in CONTAINER_VARIABLES]
        mounts = read_bytes(f"{self._root}/proc/self/mounts").split(b"\n")
        kinds = [line.split(b" ")[2] for line in mounts if line.split(b" ")[1:2] == [b"/"]]
        overlay = ["/ is an overlay"] if kinds[-1:] == [b"overlay"] else []
        return (*files, *variables[:1], *overlay)

    def _users_of_its_own(self) -> str:
        users = self._text("/proc/self/uid_map").split()
        return "users of its own" if users and users != _ALL_USERS else ""

    def _product(self) -> str | None:
        return self._text(PRODUCT) if os.path.exists(self._root + PRODUCT) else None  # noqa: PTH110

    def _chroot(self) -> bool:
        try:
            own = os.stat(f"{self._root}/")  # noqa: PTH116  # pathlib takes too long to load
            of_first = os.stat(f"{self._root}/proc/1/root/.")  # noqa: PTH116
        except FileNotFoundError:
            return True  # only a chroot has no /proc
        except OSError:
            return False
        return (own.st_dev, own.st_ino) != (of_first.st_dev, of_first.st_ino)

    def _building(self) -> str:
        if self._env.get("PACKER_BUILD_NAME"):
            return "PACKER_BUILD_NAME is set"
        if self._cloud_init_works():
            return "cloud-init is still setting the machine up"
        # Like invoke-rc.d, which does not run a policy script that is not executable.
        lines = self._text(POLICY).split("\n") if os.access(self._root + POLICY, os.X_OK) else []
        if [line.strip() for line in lines if line.strip() and line[0] != "#"] == ["exit 101"]:
            return f"{POLICY} lets no service start"
        return ""

    def _cloud_init_works(self) -> bool:
        try:
            noted = os.stat(f"{self._root}{CLOUD_INIT}/status.json").st_mtime  # noqa: PTH116
        except OSError:
            return False
        ended = os.path.lexists(f"{self._root}{CLOUD_INIT}/result.json")
        return not ended and time.time() - noted < CLOUD_INIT_STAGE_S

    def _stopping(self) -> bool:
        if any(os.path.lexists(self._root + path) for path in OFFLINE_UPDATE):
            return True
        argv = ["systemctl", "show", "--property", "SystemState", "--value"]
        return (self._outside.ask(argv, limit_s=ASK_S) or "").strip() == "stopping"

    def _text(self, path: str) -> str:
        return read_bytes(self._root + path, 4096).decode("utf-8", "replace")

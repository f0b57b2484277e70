"""What a hook learns of the machine before it acts: where it runs, and below which processes."""

from __future__ import annotations

import os
import time

from snap_self.model.hook_facts import Ancestor, Facts
from snap_self.system.hook_outside import HookOutside, read_bytes, stat_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from snap_self.model.packages import Transaction

MAX_ANCESTORS = 64
CONTAINER_FILES = ("/run/.containerenv", "/.dockerenv", "/run/systemd/container")
# Set by container runtimes in what they start.
CONTAINER_VARIABLES = ("container", "KUBERNETES_SERVICE_HOST")
CLOUD_INIT = "/run/cloud-init"
# It notes each of its stages. What stands still for longer was killed or switched off before its
# last one, and the machine has long been in use.
CLOUD_INIT_STAGE_S = 2 * 3600
POLICY = "/usr/sbin/policy-rc.d"
OFFLINE_UPDATE = ("/system-update", "/etc/system-update")
PRODUCT = "/sys/class/dmi/id/product_name"
ASK_S = 2.0
_ALL_USERS = ["0", "0", "4294967295"]
_METADATA = ("SNAP_SELF_METADATA_URL", "SNAP_SELF_NETWORK_METADATA_URL")


class HookMachine:
    """Reads it from a machine.

    Args:
        env: the hook's environment.
        root: where the machine's own root is seen.
    """

    def __init__(self, env: Mapping[str, str], outside: HookOutside, root: str = "") -> None:
        self._env = env
        self._outside = outside
        self._root = root

    def facts(self, transaction: Transaction, *, skip_until: float, metadata_named: bool) -> Facts:
        """Return what decides whether a snapshot is to be made at all."""
        return Facts(
            variable=self._env.get("SNAP_SELF_SKIP", ""),
            told=transaction.skip,
            root=transaction.root,
            skip_until=skip_until,
            now=time.time(),
            container=self._container(),
            chroot=self._chroot(),
            building=self._building(),
            product=self._text(PRODUCT),
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
            found.append(Ancestor(pid, started, name, self._outside.arguments(pid)))
            pid = parent
        return found

    def uptime_s(self) -> float:
        """Return the seconds since the machine started, sleep included."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def _container(self) -> str:
        for path in CONTAINER_FILES:
            if os.path.lexists(self._root + path):
                return path
        for name in CONTAINER_VARIABLES:
            if self._env.get(name):
                return name
        above = read_bytes(f"{self._root}/proc/1/environ").split(b"\0")
        if any(each.startswith(b"container=") for each in above):
            return "container= of process 1"
        users = self._text("/proc/self/uid_map").split()
        if users and users != _ALL_USERS:
            return "users of its own"
        mounts = read_bytes(f"{self._root}/proc/self/mounts").splitlines()
        kinds = [line.split(b" ")[2] for line in mounts if line.split(b" ")[1:2] == [b"/"]]
        return "/ is an overlay" if kinds[-1:] == [b"overlay"] else ""

    def _chroot(self) -> bool:
        try:
            own = os.stat(f"{self._root}/")  # noqa: PTH116  # pathlib takes too long to load
            of_first = os.stat(f"{self._root}/proc/1/root/.")  # noqa: PTH116
        except FileNotFoundError:
            return True  # no /proc: nothing but a chroot lacks it
        except OSError:
            return False
        return (own.st_dev, own.st_ino) != (of_first.st_dev, of_first.st_ino)

    def _building(self) -> str:
        if self._env.get("PACKER_BUILD_NAME"):
            return "PACKER_BUILD_NAME is set"
        if self._cloud_init_works():
            return "cloud-init is still setting the machine up"
        lines = self._text(POLICY).splitlines()
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

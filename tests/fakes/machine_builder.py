"""Build what the kernel would say of a machine that is not at hand.

Attribute sets, link targets and number ranges follow sysfs of Linux 5.10 to 6.8.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from snap_self.model.disks import Filesystem, Layout
from snap_self.model.machine import MachineText

SECTORS_PER_GIB = 2 * 1024 * 1024
CLASS = "sys/class/block/"
NVME_MODEL = "nvme-Alibaba_Cloud_Elastic_Block_Storage_"
OWN = "self"


class MachineBuilder:
    """Collects devices and mounts; ``text()`` gives the machine."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {
            "proc/swaps": "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n",
            "sys/class/dmi/id/product_name": "Alibaba Cloud ECS\n",
        }
        self.links: dict[str, str] = {}
        self.failures: dict[str, str] = {}
        self._real: dict[str, str] = {}  # device name to directory below /sys
        self._numbers: dict[str, str] = {}
        self._lines: dict[str, list[str]] = {OWN: []}
        self._tops: dict[str, dict[str, int]] = {}  # namespace to mount point to topmost mount
        self._mount_ids = 20
        self._anonymous = 20

    def text(self) -> MachineText:
        """Return the machine."""
        files = dict(self.files)
        for namespace, lines in self._lines.items():
            place = "proc/self" if namespace == OWN else f"proc/ns/{namespace}"
            files[f"{place}/mountinfo"] = "".join(f"{line}\n" for line in lines)
        return MachineText(files=files, links=dict(self.links), failures=dict(self.failures))

    def number(self, name: str) -> str:
        """Return the device's ``major:minor``."""
        return self._numbers[name]

    def device(
        self, name: str, real: str, *, number: str, sectors: int, whole: bool = True
    ) -> None:
        """Add what every block device has."""
        self._real[name] = real
        self._numbers[name] = number
        self.links[CLASS + name] = f"../../{real}"
        self.files[f"{CLASS}{name}/dev"] = f"{number}\n"
        self.files[f"{CLASS}{name}/size"] = f"{sectors}\n"
        if whole:
            self.files[f"{CLASS}{name}/hidden"] = "0\n"

    def virtio(self, name: str, gib: int, serial: str = "", *, linked: bool = True) -> None:
        """Add a virtio-blk disk; its serial comes without a newline."""
        slot = len(self._real) + 4
        real = f"devices/pci0000:00/0000:00:{slot:02x}.0/virtio{slot - 2}/block/{name}"
        minor = 16 * _disk_index(name)
        self.device(name, real, number=f"253:{minor}", sectors=gib * SECTORS_PER_GIB)
        self.links[f"{CLASS}{name}/device"] = f"../../../virtio{slot - 2}"
        self.files[f"{CLASS}{name}/serial"] = serial
        if serial and linked:
            self.by_id(f"virtio-{serial}", name)

    def nvme(self, controller: int, gib: int, serial: str, *, minor: int) -> None:
        """Add an NVMe disk with one namespace; its serial is padded and has a newline."""
        name = f"nvme{controller}n1"
        real = f"devices/pci0000:00/0000:00:{controller + 6:02x}.0/nvme/nvme{controller}/{name}"
        self.device(name, real, number=f"259:{minor}", sectors=gib * SECTORS_PER_GIB)
        self.links[f"{CLASS}{name}/device"] = f"../../nvme{controller}"
        self.files[f"{CLASS}{name}/device/serial"] = f"{serial}\n"
        if serial:
            self.by_id(f"{NVME_MODEL}{serial}", name)
            self.by_id(f"{NVME_MODEL}{serial}_1", name)

    def partition(self, disk: str, index: int, gib: int, *, minor: int | None = None) -> str:
        """Add a partition; return its name."""
        name = f"{disk}p{index}" if disk[-1].isdigit() else f"{disk}{index}"
        major, first = self._numbers[disk].split(":")
        number = f"{major}:{int(first) + index if minor is None else minor}"
        self.device(
            name,
            f"{self._real[disk]}/{name}",
            number=number,
            sectors=gib * SECTORS_PER_GIB,
            whole=False,
        )
        self.files[f"{CLASS}{name}/partition"] = f"{index}\n"
        for path, target in list(self.links.items()):
            if path.startswith("dev/disk/by-id/") and target == f"../../{disk}":
                self.links[f"{path}-part{index}"] = f"../../{name}"
        return name

    def by_id(self, label: str, device: str) -> None:
        """Add one of udev's links."""
        self.links[f"dev/disk/by-id/{label}"] = f"../../{device}"

    def virtual(self, name: str, *, number: str, sectors: int, lower: Sequence[str] = ()) -> None:
        """Add a device without hardware, stacked on others."""
        self.device(name, f"devices/virtual/block/{name}", number=number, sectors=sectors)
        for member in lower:
            self.stacked(name, member)

    def stacked(self, upper: str, lower: str) -> None:
        """Add the links between a device and one it lies on."""
        self.links[f"{CLASS}{upper}/slaves/{lower}"] = self._relative(f"{upper}/slaves", lower)
        self.links[f"{CLASS}{lower}/holders/{upper}"] = self._relative(f"{lower}/holders", upper)

    def mapper(self, index: int, name: str, uuid: str, *, gib: int, lower: Sequence[str]) -> str:
        """Add a device-mapper device; return its kernel name."""
        kernel = f"dm-{index}"
        self.virtual(kernel, number=f"252:{index}", sectors=gib * SECTORS_PER_GIB, lower=lower)
        self.files[f"{CLASS}{kernel}/dm/name"] = f"{name}\n"
        self.files[f"{CLASS}{kernel}/dm/uuid"] = f"{uuid}\n"
        self.by_id(f"dm-name-{name}", kernel)
        return kernel

    def md(self, name: str, level: str, *, gib: int, lower: Sequence[str]) -> None:
        """Add an md array."""
        index = int(name.removeprefix("md"))
        self.virtual(name, number=f"9:{index}", sectors=gib * SECTORS_PER_GIB, lower=lower)
        self.files[f"{CLASS}{name}/md/level"] = f"{level}\n"
        self.files[f"{CLASS}{name}/md/raid_disks"] = f"{len(lower)}\n"

    def loop(self, index: int, backing: str, *, sectors: int) -> str:
        """Add a loop device on a file; return its name."""
        name = f"loop{index}"
        self.virtual(name, number=f"7:{index}", sectors=sectors)
        self.files[f"{CLASS}{name}/loop/backing_file"] = f"{backing}\n"
        return name

    def bcache(self, index: int, *, backing: str, cache: str, gib: int) -> str:
        """Add a cached device: a backing device and a cache set of one device."""
        name, cache_set = f"bcache{index}", "8f7d2f0e-5a55-4d35-a6a5-3e7c1a1d0c0b"
        self.virtual(name, number=f"251:{index * 128}", sectors=gib * SECTORS_PER_GIB)
        self.stacked(name, backing)
        self.stacked(name, cache)
        self.links[f"{CLASS}{backing}/bcache/dev"] = self._relative(f"{backing}/bcache", name)
        up = "../" * (self._real[backing].count("/") + 2)
        self.links[f"{CLASS}{backing}/bcache/cache"] = f"{up}fs/bcache/{cache_set}"
        self.links[f"{CLASS}{cache}/bcache/set"] = f"{up}fs/bcache/{cache_set}"
        return name

    def btrfs(self, fsid: str, members: Sequence[str]) -> None:
        """Add the kernel's list of the members of a mounted btrfs."""
        for member in members:
            target = f"../../../../{self._real[member]}"
            self.links[f"sys/fs/btrfs/{fsid}/devices/{member}"] = target

    def alive(self, fstype: str, name: str) -> None:
        """Have the kernel list a superblock: by its device, or a btrfs by its id."""
        listed = self.files.setdefault("sys/fs/superblocks", "")
        self.files["sys/fs/superblocks"] = f"{listed}{fstype} {name}\n"

    def swap(self, path: str, kind: str) -> None:
        """Add a swap area; ``kind`` is ``partition`` or ``file``."""
        self.files["proc/swaps"] += f"{path:<40}{kind}\t2097148\t\t0\t\t-2\n"

    def mount(
        self,
        path: str,
        fstype: str,
        source: str,
        *,
        device: str = "",
        number: str = "",
        root: str = "/",
        options: str = "rw,relatime",
        extra: str = "rw",
        namespace: str = OWN,
    ) -> int:
        """Mount something; return the mount id. Paths are written as given, escapes too."""
        if device:
            number = self._numbers[device]
        if not number:
            self._anonymous += 1
            number = f"0:{self._anonymous}"
        self._mount_ids += 1
        lines = self._lines.setdefault(namespace, [])
        parent = self._parent(path, namespace)
        self._tops.setdefault(namespace, {})[path] = self._mount_ids
        lines.append(
            f"{self._mount_ids} {parent} {number} {root} {path} {options} shared:{self._mount_ids}"
            f" - {fstype} {source} {extra}"
        )
        return self._mount_ids

    def pseudo(self, namespace: str = OWN) -> None:
        """Mount what every distribution mounts without a disk."""
        self.mount("/sys", "sysfs", "sysfs", namespace=namespace)
        self.mount("/proc", "proc", "proc", namespace=namespace)
        self.mount("/dev", "devtmpfs", "udev", extra="rw,mode=755", namespace=namespace)
        self.mount("/dev/pts", "devpts", "devpts", namespace=namespace)
        self.mount("/run", "tmpfs", "tmpfs", extra="rw,mode=755", namespace=namespace)
        self.mount("/sys/fs/cgroup", "cgroup2", "cgroup2", namespace=namespace)

    def _parent(self, path: str, namespace: str) -> int:
        """Return the mount that a new one at this path is attached to."""
        tops = self._tops.get(namespace, {})
        while path not in tops and path != "/":
            path = path.rpartition("/")[0] or "/"
        return tops.get(path, 1)

    def _relative(self, place: str, device: str) -> str:
        name, _, folder = place.partition("/")
        return posixpath.relpath(self._real[device], f"{self._real[name]}/{folder}")


def docker_host(overlays: int, *, disks: int = 2) -> MachineBuilder:
    """Return a host with containers on the last of its disks, and nothing on those between."""
    machine = MachineBuilder()
    for index in range(disks):
        machine.virtio(disk_name(index), 40, serial(index + 1))
    root = machine.partition("vda", 1, 39)
    machine.mount("/", "ext4", f"/dev/{root}", device=root)
    machine.pseudo()
    data = disk_name(disks - 1)
    machine.mount("/var/lib/docker", "xfs", f"/dev/{data}", device=data)
    for index in range(1, disks - 1):
        name = disk_name(index)
        machine.mount(f"/srv/{name}", "ext4", f"/dev/{name}", device=name)
    store = "/var/lib/docker/overlay2"
    for index in range(overlays):
        lower = ":".join(f"{store}/l/{layer:026X}" for layer in range(index, index + 6))
        folder = f"{store}/{index:064x}"
        machine.mount(
            f"{folder}/merged",
            "overlay",
            "overlay",
            number=f"0:{1000 + index}",
            extra=f"rw,lowerdir={lower},upperdir={folder}/diff,workdir={folder}/work",
        )
    return machine


def serial(index: int) -> str:
    """Return the serial number of the machine's disk of that number."""
    return f"bp1aaaabbbbccccddd{index:02}"


def disk_name(index: int) -> str:
    """Return ``vda``, ``vdb`` … ``vdaa`` as the kernel names its disks."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(ord("a") + rest) + letters
    return f"vd{letters}"


def _disk_index(name: str) -> int:
    index = 0
    for letter in name[2:]:
        index = index * 26 + ord(letter) - ord("a") + 1
    return index - 1


def machine_with_disks(count: int = 3) -> MachineBuilder:
    """Return a machine with so many virtio disks of 40 GiB, at most four, the root on the first."""
    found = MachineBuilder()
    for number, name in enumerate(("vda", "vdb", "vdc", "vdd")[:count], start=1):
        found.virtio(name, 40, serial(number))
    found.mount("/", "ext4", "/dev/vda", device="vda")
    return found


def filesystem_at(layout: Layout, path: str) -> Filesystem:
    """Return the filesystem of a layout that is mounted there."""
    (filesystem,) = [
        each
        for each in layout.filesystems.values()
        if any(mount.path == path for mount in each.mounts)
    ]
    return filesystem

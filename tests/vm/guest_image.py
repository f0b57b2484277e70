"""Build the guest's disk image from Debian's packages, once, and keep it.

The result is a disk that boots itself, partitioned as a cloud image is: GRUB in the boot sector and
the gap behind it, one partition with the root filesystem. It trusts the certificate authority of
the simulated clouds, in the way that every Debian is told to trust one. A build needs root and the
package mirror of this machine's own apt; nothing is mounted and no loop device is used.

Variants: ``base``; ``databases`` has MariaDB and PostgreSQL as well; ``btrfs`` has its root
filesystem on btrfs; ``lvm`` has it on a logical volume.

``PYTHONPATH=agent:tests python tests/vm/guest_image.py [VARIANT]`` builds it and prints where.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import guest_lvm

import kept_builds
from ecs_simulator import tls
from ecs_simulator.storage.guest import ASSISTANT_PORT
from kept_builds import CannotBuild, checked, locked, remove_old, tail

# Raise it when images are to be made anew although nothing below tells.
_FORM = 1
SUITE = "bookworm"
ROOT_UUID = "5ec5a1f0-0000-4000-8000-00000000ec50"
PARTITION_AT = 1 << 20
SECTOR = 512
DISK_BYTES = 4 << 30
CA_TARGET = "usr/local/share/ca-certificates/cloud.crt"
REGION = "cn-hangzhou"
# What the VPC's name server would say; the address leads to the simulated ECS.
API_ADDRESS = "100.100.100.50"
API_NAMES = (f"ecs-vpc.{REGION}.aliyuncs.com", f"ecs.{REGION}.aliyuncs.com")

BASE = (
    *("systemd", "systemd-sysv", "udev", "dbus", "libpam-systemd"),
    *("linux-image-cloud-amd64", "initramfs-tools", "busybox", "zstd", "grub-pc", "kmod"),
    *("python3", "ca-certificates", "openssl", "curl"),
    *("openssh-server", "qemu-guest-agent"),
    *("lvm2", "mdadm", "cryptsetup", "btrfs-progs", "xfsprogs", "e2fsprogs", "fdisk"),
    *("rsyslog", "auditd", "cron", "unattended-upgrades", "apt-utils"),
    *("iproute2", "procps", "psmisc", "less"),
)
DATABASES = ("mariadb-server", "postgresql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """What guests differ in.

    Args:
        root: type of the root filesystem.
        volume: it lies on a logical volume.
    """

    packages: tuple[str, ...] = BASE
    root: str = "ext4"
    volume: bool = False

    @property
    def initrd_modules(self) -> tuple[str, ...]:
        """Return what the root filesystem may lie on, and no more: it is unpacked in emulation."""
        mapper = ("dm_mod",) if self.volume else ()
        return ("virtio_pci", "virtio_blk", "nvme", *mapper, self.root)

    @property
    def grub_modules(self) -> tuple[str, ...]:
        """Return what the boot loader's core has in it."""
        reader = {"ext4": "ext2"}.get(self.root, self.root)
        mapper = ("lvm",) if self.volume else ()
        return (
            *("biosdisk", "part_msdos", *mapper, reader, "normal", "configfile", "search"),
            *("search_fs_uuid", "linux", "gzio", "echo", "test", "serial", "terminal", "halt"),
            *("reboot", "ls", "cat"),
        )

    @property
    def files(self) -> dict[str, str]:
        """Return what is written over Debian's own files."""
        options, check = {"ext4": ("errors=remount-ro", 1)}.get(self.root, ("defaults", 0))
        fstab = f"UUID={ROOT_UUID} / {self.root} {options} 0 {check}\n"
        device = guest_lvm.DEVICE if self.volume else f"UUID={ROOT_UUID}"
        own = {FSTAB: fstab, GRUB_CFG: MENU.format(root=device)}
        return {name: own.get(name, text) for name, text in FILES.items()}

    @property
    def boot_folder(self) -> str:
        """Return where the boot loader finds its modules, as it names it."""
        place = f"lvm/{guest_lvm.GROUP}-{guest_lvm.VOLUME}" if self.volume else "hd0,msdos1"
        return f"({place})/boot/grub"


VARIANTS = {
    "base": Variant(),
    "databases": Variant(packages=(*BASE, *DATABASES)),
    "btrfs": Variant(root="btrfs"),
    "lvm": Variant(volume=True),
}
MENU = f"""\
serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
set timeout=0
menuentry Debian {{{{
    search --no-floppy --fs-uuid --set=root {ROOT_UUID}
    linux /vmlinuz root={{root}} ro console=ttyS0 quiet mitigations=off
    initrd /initrd.img
}}}}
"""
FSTAB = "etc/fstab"
GRUB_CFG = "boot/grub/grub.cfg"
FILES = {
    "etc/hostname": "guest\n",
    "etc/hosts": f"127.0.0.1 localhost\n127.0.1.1 guest\n{API_ADDRESS} {' '.join(API_NAMES)}\n",
    "etc/resolv.conf": "nameserver 127.0.0.1\n",
    "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    FSTAB: "",
    "etc/systemd/network/80-dhcp.network": "[Match]\nType=ether\n[Network]\nDHCP=yes\n",
    "etc/default/grub": (
        "GRUB_DEFAULT=0\nGRUB_TIMEOUT=0\nGRUB_DISTRIBUTOR=Debian\n"
        'GRUB_CMDLINE_LINUX="console=ttyS0"\nGRUB_CMDLINE_LINUX_DEFAULT="quiet mitigations=off"\n'
        "GRUB_TERMINAL=serial\nGRUB_DISABLE_OS_PROBER=true\n"
    ),
    "etc/apt/sources.list": "",
    # Of no use in here, and slow to load in emulation.
    "etc/modprobe.d/guest.conf": "blacklist kvm_amd\nblacklist kvm_intel\nblacklist sr_mod\n",
    GRUB_CFG: "",
    # What stands in for Cloud Assistant: as that, it is there late in the boot, and says little.
    "etc/systemd/system/cloud-assistant.service": (
        "[Unit]\nDescription=Cloud Assistant\nAfter=network.target\nStartLimitIntervalSec=0\n"
        "[Service]\nRestart=always\nRestartSec=1\nLogLevelMax=notice\n"
        "RuntimeDirectory=cloud-assistant\n"
        f"ExecStart=/usr/sbin/qemu-ga -m virtio-serial -p /dev/virtio-ports/{ASSISTANT_PORT}"
        " -f /run/cloud-assistant/pid -t /run/cloud-assistant\n"
        "[Install]\nWantedBy=multi-user.target\n"
    ),
    # A root shell on the console, as an operator has it who opened one in time.
    "etc/systemd/system/serial-getty@ttyS0.service.d/autologin.conf": (
        "[Service]\nExecStart=\n"
        "ExecStart=-/sbin/agetty --autologin root --keep-baud 115200 %I $TERM\n"
    ),
}
MASKED = (
    *("apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_reap.service"),
    *("systemd-binfmt.service", "proc-sys-fs-binfmt_misc.automount", "modprobe@drm.service"),
)
ENABLED = ("systemd-networkd", "serial-getty@ttyS0", "cloud-assistant")


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestImage:
    """A guest's disk, never written to: guests get an overlay.

    Args:
        disk: raw image of the whole disk.
        ssh_key: private key that logs in as root.
    """

    disk: Path
    ssh_key: Path


def authority() -> Path:
    """Return the folder of the certificate authority of all simulated clouds for guests."""
    folder = cache_folder() / "authority"
    with locked(cache_folder() / "authority.lock"):
        tls.kept_authority(folder)
    return folder


def cache_folder() -> Path:
    """Return where images are kept."""
    return kept_builds.cache_folder("vm")


def image(variant: str = "base") -> GuestImage:
    """Return a variant's image; build it where there is none yet.

    Raises:
        CannotBuild: this machine lacks something, or a step failed.
    """
    mirrors = debian_mirrors()
    ca = (authority() / "ca.pem").read_bytes()
    chosen = VARIANTS[variant]
    own = (chosen.packages, chosen.initrd_modules, chosen.grub_modules, chosen.files)
    inputs = repr((_FORM, *own, MASKED, ENABLED, DISK_BYTES, mirrors, ca))
    name = f"{variant}-{hashlib.sha256(inputs.encode()).hexdigest()[:16]}"
    folder = cache_folder() / name
    with locked(cache_folder() / "lock"):
        if not (folder / "disk.raw").exists():
            remove_old(cache_folder(), but=name)
            _build(folder, chosen, mirrors, ca)
    os.utime(folder)
    return GuestImage(disk=folder / "disk.raw", ssh_key=folder / "ssh_key")


def debian_mirrors() -> str:
    """Return this machine's own apt sources for Debian's packages, one a line."""
    lines = [f"deb {source}" for source in kept_builds.debian_sources()]
    fit = [line for line in lines if f" {SUITE}" in line and "main" in line]
    if not fit:
        raise CannotBuild(f"apt has no sources for Debian {SUITE} (or was never updated)")
    return "\n".join(fit) + "\n"


def missing_to_build() -> str:
    """Return what this machine lacks for a build; empty if nothing."""
    if os.geteuid() != 0:
        return "not root"
    programs = ("mmdebstrap", "mkfs.ext4", "mkfs.btrfs", "ssh-keygen", "apt-get")
    lacking = [name for name in programs if shutil.which(name) is None]
    return f"no {', '.join(lacking)}" if lacking else ""


def _build(folder: Path, variant: Variant, mirrors: str, ca: bytes) -> None:
    missing = missing_to_build()
    if missing:
        raise CannotBuild(missing)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="building-") as name:
        work = Path(name)
        _unpack(work, variant, mirrors)
        _customise(work / "root", work, variant.files, ca)
        _write_disk(work / "root", work / "disk.raw", variant)
        shutil.rmtree(work / "root")
        (work / "sources.list").unlink()
        # A folder with a disk in it is whole: the rename is the last step.
        work.rename(folder)
        work.mkdir()  # for the context's own removal
    print(f"guest image {folder.name}: built in {time.monotonic() - begun:.0f} s", flush=True)


def _unpack(work: Path, variant: Variant, mirrors: str) -> None:
    (work / "sources.list").write_text(mirrors, encoding="utf-8")
    modules = "\\n".join(variant.initrd_modules)
    initrd = (
        'mkdir -p "$1/etc/initramfs-tools/conf.d"'
        ' && printf "MODULES=list\\nCOMPRESS=zstd\\n" >"$1/etc/initramfs-tools/conf.d/guest"'
        f' && printf "{modules}\\n" >"$1/etc/initramfs-tools/modules"'
    )
    log = work / "mmdebstrap.log"
    with log.open("w", encoding="utf-8") as out:
        done = subprocess.run(
            [
                *("mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory"),
                "--aptopt=Acquire::Check-Valid-Until false",
                *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "locale")),
                f"--essential-hook={initrd}",
                f"--include={','.join(variant.packages)}",
                *(SUITE, str(work / "root"), str(work / "sources.list")),
            ],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
            # Debian keeps initramfs-tools' modules file when asked for nothing.
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
    if done.returncode != 0:
        raise CannotBuild(f"mmdebstrap: {tail(log)}")


def _customise(root: Path, work: Path, files: Mapping[str, str], ca: bytes) -> None:
    for name, text in files.items():
        path = root / name
        if path.is_symlink():
            path.unlink()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (root / "etc/apt/sources.list.d/0000sources.list").unlink(missing_ok=True)
    (root / "var/log/journal").mkdir(exist_ok=True)
    checked(
        "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "tests", "-f", str(work / "ssh_key")
    )
    ssh = root / "root/.ssh"
    ssh.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(work / "ssh_key.pub", ssh / "authorized_keys")
    units = root / "etc/systemd/system"
    for unit in MASKED:
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")
    checked("chroot", str(root), "systemctl", "enable", *ENABLED)
    (root / CA_TARGET).write_bytes(ca)
    checked("chroot", str(root), "update-ca-certificates")


def _write_disk(root: Path, disk: Path, variant: Variant) -> None:
    """Make the disk: boot sector, boot loader's core behind it, one partition."""
    loader = root / "usr/lib/grub/i386-pc"
    checked(
        *("chroot", str(root), "grub-mkimage", "-O", "i386-pc", "-o", "/boot/grub/core.img"),
        *("-p", variant.boot_folder, *variant.grub_modules),
    )
    target = root / "boot/grub/i386-pc"
    target.mkdir(parents=True, exist_ok=True)
    for module in (*loader.glob("*.mod"), *loader.glob("*.lst")):
        shutil.copy(module, target)
    core = (root / "boot/grub/core.img").read_bytes()
    if len(core) > PARTITION_AT - SECTOR:
        raise CannotBuild(f"the boot loader's core takes {len(core)} bytes, more than its gap")
    with disk.open("wb") as file:
        file.truncate(DISK_BYTES)
        file.write(_boot_sector((loader / "boot.img").read_bytes()))
        file.write(core)
    if variant.root == "btrfs":
        _write_btrfs(root, disk)
    elif variant.volume:
        _write_volume(root, disk)
    else:
        _write_ext4(root, disk, PARTITION_AT, DISK_BYTES - PARTITION_AT)


def _write_btrfs(root: Path, disk: Path) -> None:
    partition = disk.with_suffix(".partition")
    with partition.open("wb") as file:
        file.truncate(DISK_BYTES - PARTITION_AT)
    checked("mkfs.btrfs", "-q", "-L", "root", "-U", ROOT_UUID, "-r", str(root), str(partition))
    copied = ("bs=1M", f"seek={PARTITION_AT >> 20}", "conv=sparse,notrunc")
    checked("dd", f"if={partition}", f"of={disk}", *copied)
    partition.unlink()


def _write_volume(root: Path, disk: Path) -> None:
    size = DISK_BYTES - PARTITION_AT
    with disk.open("r+b") as file:
        file.seek(PARTITION_AT)
        file.write(guest_lvm.group(size))
    _write_ext4(root, disk, PARTITION_AT + guest_lvm.START_BYTES, guest_lvm.volume_bytes(size))


def _write_ext4(root: Path, disk: Path, at: int, size: int) -> None:
    checked(
        *("mkfs.ext4", "-q", "-F", "-L", "root", "-U", ROOT_UUID, "-d", str(root)),
        # The boot loader of this Debian cannot read filesystems with these.
        *("-O", "^metadata_csum_seed,^orphan_file"),
        *("-E", f"offset={at},lazy_itable_init=1,lazy_journal_init=1"),
        *(str(disk), f"{size // 1024}k"),
    )


def _boot_sector(boot: bytes) -> bytes:
    """Return GRUB's first sector with one active Linux partition that fills the disk.

    Source: GRUB's ``i386/pc/boot.h``: the core image begins in sector 1 unless told otherwise.
    """
    first, sectors = PARTITION_AT // SECTOR, (DISK_BYTES - PARTITION_AT) // SECTOR
    entry = bytes.fromhex("80feffff83feffff")
    entry += first.to_bytes(4, "little") + sectors.to_bytes(4, "little")
    return boot[:440] + b"\x5e\xc5\x5e\x1f\0\0" + entry + bytes(48) + b"\x55\xaa"


if __name__ == "__main__":
    try:
        print(image(*sys.argv[1:2]).disk)
    except CannotBuild as error:
        sys.exit(f"no guest image: {error}")

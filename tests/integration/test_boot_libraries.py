"""The libraries that this machine's own programs need to boot, to log in and to be mended."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from snap_self.changes.risk import judge
from snap_self.model.manager_settings import ManagerSettings
from snap_self.model.packages import UPGRADE, Package, Transaction

PROGRAMS = (
    *("/lib/systemd/systemd", "/lib/systemd/systemd-udevd", "/lib/systemd/systemd-journald"),
    *("/lib/systemd/systemd-logind", "/lib/systemd/systemd-networkd", "/bin/mount", "/bin/kmod"),
    *("/usr/bin/dbus-daemon", "/sbin/agetty", "/sbin/fsck", "/sbin/e2fsck", "/sbin/xfs_repair"),
    *("/bin/btrfs", "/sbin/lvm", "/sbin/dmsetup", "/sbin/cryptsetup", "/sbin/mdadm"),
    *("/sbin/blkid", "/bin/ip", "/usr/sbin/nft", "/sbin/dhclient", "/bin/login", "/bin/bash"),
    *("/bin/dash", "/bin/su", "/usr/bin/sudo", "/usr/sbin/sshd", "/usr/sbin/sulogin"),
    *("/usr/bin/passwd", "/bin/ls", "/bin/cp", "/bin/tar", "/usr/bin/dpkg", "/usr/bin/dpkg-deb"),
    *("/usr/bin/apt-get",),
)


def libraries() -> Iterator[Path]:
    """Yield every library that the loader maps for these programs and the PAM and NSS modules."""
    modules = (*Path("/lib").glob("*/security/*.so"), *Path("/lib").glob("*/libnss_*.so.2"))
    there = [path for path in (*map(Path, PROGRAMS), *modules) if path.exists()]
    said = subprocess.run(["ldd", *there], capture_output=True, text=True, check=False).stdout
    for name in sorted(set(re.findall(r"=> (/\S+)", said))):
        yield Path(name).resolve()


def package_of(library: Path) -> str:
    """Return the package that a library belongs to; /lib may be a link to /usr/lib."""
    for path in (library, Path(str(library).replace("/usr/", "/", 1))):
        done = subprocess.run(
            ["dpkg-query", "-S", path], capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return done.stdout.partition(":")[0]
    return ""


@pytest.mark.skipif(not shutil.which("dpkg-query"), reason="no Debian or Ubuntu")
def test_every_library_of_boot_and_log_in_is_risky() -> None:
    packages = sorted({package_of(library) for library in libraries()} - {""})
    assert len(packages) > 20
    harmless = [
        name
        for name in packages
        if not judge(
            Transaction("apt", [Package(name, UPGRADE, old="1", new="2")]), ManagerSettings()
        )
    ]
    assert harmless == []

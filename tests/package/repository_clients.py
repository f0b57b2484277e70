"""Machines that take snap-self from a signed repository, by the machine's own package managers.

Each is this machine's files under overlays (:mod:`install_rig`); nothing is installed on it.
"""

from __future__ import annotations

import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from debian_repository import make_database
from install_rig import Machine, machine_running
from repository_rig import Packages

# Where the repository lies on a machine, and what it is told to be found at.
PLACE = "/var/www/snap-self"
URL = f"file://{PLACE}"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
KEY = "/etc/pki/rpm-gpg/RPM-GPG-KEY-snap-self"


class Client(ABC):
    """A machine with one package manager."""

    PROGRAM: ClassVar[str]
    # Lines of a shell: what it is to forget of this machine, how a person makes it trust the
    # repository, and what they call then.
    PREPARE: ClassVar[str]
    TRUST: ClassVar[str]
    INSTALL: ClassVar[str]
    UPGRADE: ClassVar[str]
    DOWNGRADE: ClassVar[str]
    # What it says of a signature by an unknown key, of an expired key, of a bad signature, of a
    # package that is not what the lists say, and of one without a good signature.
    UNKNOWN: ClassVar[str]
    EXPIRED: ClassVar[str]  # empty: it goes on
    BAD: ClassVar[str]
    OTHER_CONTENT: ClassVar[str]
    UNSIGNED: ClassVar[str] = ""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def prepare(self) -> None:
        """Have nothing installed and no other repository."""
        self.done("rm -rf /run/systemd/system", self.PREPARE)

    @abstractmethod
    def have_shell(self, packages: Packages) -> None:
        """Have the package manager know of the shell that is there, if it wants one."""

    def serve(self, repository: Path) -> None:
        """Have the repository as it is now at its address."""
        place = self.machine.path(PLACE)
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(repository, place)

    def trust(self) -> None:
        """Take key and settings over, as the documents say."""
        self.done(self.TRUST)

    def sh(self, *lines: str, later: str = "") -> subprocess.CompletedProcess[str]:
        """Run lines of a shell, on a day that ``later`` names."""
        moved = ("faketime", later) if later else ()
        return self.machine.run(*moved, "sh", "-euxc", "\n".join(lines))

    def done(self, *lines: str) -> str:
        """Run lines that must succeed; return what they print."""
        done = self.sh(*lines)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def install(self, *, later: str = "") -> subprocess.CompletedProcess[str]:
        """Read the lists and install."""
        return self.sh(self.INSTALL, later=later)

    @abstractmethod
    def version(self) -> str:
        """Return which version is installed; empty where none is."""


class Apt(Client):
    """Debian's apt."""

    PROGRAM = "apt-get"
    PREPARE = """
rm -rf /etc/apt /var/lib/apt /var/lib/dpkg /var/cache/apt
for name in apt.conf.d preferences.d sources.list.d trusted.gpg.d; do mkdir -p /etc/apt/$name; done
mkdir -p /var/lib/apt/lists/partial /var/cache/apt/archives/partial
"""
    TRUST = f"""
install -D -m 644 {PLACE}/snap-self.gpg /etc/apt/keyrings/snap-self.gpg
install -m 644 {PLACE}/snap-self.sources /etc/apt/sources.list.d/snap-self.sources
"""
    INSTALL = "apt-get update; apt-get -y install snap-self"
    UPGRADE = "apt-get update; apt-get -y upgrade"
    DOWNGRADE = "apt-get -y --allow-downgrades install snap-self=1.0"
    UNKNOWN = "NO_PUBKEY"
    EXPIRED = "EXPKEYSIG"
    BAD = "Hash Sum mismatch|File has unexpected size"
    OTHER_CONTENT = "Hash Sum mismatch|File has unexpected size"

    def prepare(self) -> None:
        super().prepare()
        make_database(self.machine.path("/var/lib/dpkg"), ())

    def have_shell(self, packages: Packages) -> None:
        del packages  # our package depends on nothing

    def version(self) -> str:
        form = "${db:Status-Status} ${Version}"
        done = self.machine.run("dpkg-query", "-W", "-f", form, "snap-self")
        status, _, version = done.stdout.partition(" ")
        return version if status == "installed" else ""


class _Rpm(Client):
    # Debian's rpm keeps its database in the home directory; elsewhere it is here.
    PREPARE = """
rm -rf /var/lib/rpm /etc/dnf /etc/yum.repos.d /var/lib/dnf /var/cache/dnf /usr/lib/zypp
rm -rf /etc/zypp /var/lib/zypp /var/cache/zypp
mkdir -p /etc/rpm /etc/dnf /etc/yum.repos.d /etc/zypp/repos.d
echo "%_dbpath /var/lib/rpm" >/etc/rpm/macros
printf '[main]\nmodule_platform_id=platform:el9\n' >/etc/dnf/dnf.conf
echo '[main]' >/etc/zypp/zypp.conf
"""

    def have_shell(self, packages: Packages) -> None:
        shell = packages.rpm("1.0", name="some-shell", tags="Provides: /bin/sh")
        self.machine.path("/var/shell.rpm").write_bytes(shell.read_bytes())
        self.done("rpm --install /var/shell.rpm")

    def version(self) -> str:
        done = self.machine.run("rpm", "-q", "--qf", "%{VERSION}", "snap-self")
        return done.stdout if done.returncode == 0 else ""


class Dnf(_Rpm):
    """dnf 4."""

    PROGRAM = "dnf"
    TRUST = f"""
install -D -m 644 {PLACE}/snap-self.asc {KEY}
install -m 644 {PLACE}/snap-self.repo /etc/yum.repos.d/snap-self.repo
"""
    INSTALL = "dnf -y --refresh install snap-self"
    UPGRADE = "dnf -y --refresh upgrade snap-self"
    DOWNGRADE = "dnf -y downgrade snap-self-1.0"
    UNKNOWN = EXPIRED = "Bad GPG signature"
    BAD = "Bad GPG signature"
    OTHER_CONTENT = "incorrect checksum"
    UNSIGNED = "GPG check FAILED|not signed"


class Zypper(_Rpm):
    """zypper."""

    PROGRAM = "zypper"
    TRUST = f"""
install -D -m 644 {PLACE}/snap-self.asc {KEY}
install -m 644 {PLACE}/snap-self.repo /etc/zypp/repos.d/snap-self.repo
rpm --import {KEY}
"""
    INSTALL = "zypper --non-interactive refresh; zypper --non-interactive install snap-self"
    UPGRADE = "zypper --non-interactive refresh; zypper --non-interactive update snap-self"
    DOWNGRADE = "zypper --non-interactive install --oldpackage snap-self=1.0"
    UNKNOWN = "Signature verification failed for repomd.xml"
    EXPIRED = ""
    BAD = "Signature verification failed for repomd.xml"
    OTHER_CONTENT = "seems to be corrupted"
    UNSIGNED = "Signature verification failed|not signed"


@contextmanager
def client_running(kind: type[Client], folder: Path) -> Iterator[Client]:
    """Run a machine inside the block; nothing of it is left afterwards."""
    environment = {"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": "/var/lib/home"}
    environment["DEBIAN_FRONTEND"] = "noninteractive"
    with machine_running(folder, environment) as machine:
        machine.path("/var/lib/home").mkdir()
        client = kind(machine)
        client.prepare()
        yield client

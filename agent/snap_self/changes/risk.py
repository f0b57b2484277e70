"""Whether a transaction is risky, and why: one policy for all package managers.

Pure, and without a slow import: it is asked before every transaction of the machine.
"""

from __future__ import annotations

from snap_self.changes.patterns import Patterns
from snap_self.model.packages import INSTALL, REINSTALL, REMOVE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from snap_self.model.hook_settings import HookSettings
    from snap_self.model.packages import Package, Transaction

# Without these the machine does not start, or cannot be reached: names of Debian, Ubuntu, the
# Red Hat family with Alibaba Cloud Linux and Anolis, SUSE and Arch.
KINDS = {
    "kernel": (
        *("linux-image-*", "linux-modules-*", "linux-generic*", "linux-virtual*", "linux-aliyun*"),
        *("kernel", "kernel-core", "kernel-modules*", "kernel-uek*", "kernel-lt", "kernel-lt-core"),
        *("kernel-ml", "kernel-ml-core", "kernel-rt*", "kernel-plus", "kernel-livepatch*"),
        *("kernel-default*", "kernel-azure*", "kernel-kvmsmall*", "kernel-64k*", "kernel-PAE"),
        *("kernel-debug", "kernel-debug-core", "kernel-longterm*", "kernel-vanilla*"),
        *("kpatch-patch*", "kmod-*", "*-dkms", "nvidia-driver*", "zfsutils-linux", "zfs"),
        *("linux", "linux-lts", "linux-zen", "linux-hardened", "linux-rt", "linux-rt-lts"),
        *("intel-microcode", "amd64-microcode", "microcode_ctl", "ucode-*"),
        *("intel-ucode", "amd-ucode"),
    ),
    "boot loader": (
        *("grub", "grub-*", "grub2", "grub2-*", "grubby", "shim", "shim-*", "systemd-boot*"),
        *("sdbootutil*", "efibootmgr", "syslinux*", "extlinux*", "refind", "limine"),
        *("perl-Bootloader", "update-bootloader*"),
    ),
    "initramfs": (
        *("initramfs-tools*", "dracut*", "mkinitcpio*", "booster", "kmod", "suse-module-tools*"),
    ),
    "C library": (
        *("libc6", "libc6-i386", "libc-bin", "glibc", "glibc-common", "glibc32", "musl"),
        *("libgcc", "libgcc-s1", "libgcc_s1", "gcc-libs", "libcrypt1", "libxcrypt*"),
    ),
    "base system": (*("bash", "dash", "coreutils*", "rust-coreutils", "filesystem", "usrmerge"),),
    "init system": (
        *("systemd", "systemd-*", "libsystemd*", "libudev1", "udev", "dbus", "dbus-broker"),
        *("init", "sysvinit*", "upstart", "openrc"),
    ),
    "crypto": (
        *("openssl", "openssl-libs", "openssl1*", "openssl3*", "libssl1*", "libssl3*"),
        *(
            "libopenssl*",
            "libcrypto1*",
            "libcrypto3*",
            "gnutls",
            "libgnutls30*",
            "libgcrypt*",
            "nss",
            "nss-*",
        ),
        *("crypto-policies*", "cryptsetup*", "libcryptsetup*", "krb5-libs", "libkrb5-3", "krb5"),
    ),
    "storage": (
        *("lvm2*", "liblvm2*", "mdadm", "device-mapper*", "dmsetup", "libdevmapper*"),
        *("multipath-tools*", "kpartx", "e2fsprogs", "xfsprogs", "btrfs-progs", "btrfsprogs"),
        *("util-linux*", "libblkid", "libblkid1", "libmount", "libmount1", "mount", "nvme-cli"),
    ),
    "package manager": (
        *("dpkg", "apt", "libapt-pkg*", "rpm", "rpm-libs", "librpm*", "dnf", "libdnf*", "dnf5"),
        *("yum", "zypper", "libzypp", "libsolv*", "pacman"),
    ),
}
# The same, but what is only now installed breaks nothing that runs.
KINDS_IF_THERE = {
    "login": (
        *("openssh-server", "openssh", "openssh-clients", "sudo", "pam", "libpam*", "pam-config"),
        *("shadow", "shadow-utils", "login", "passwd", "sssd*", "authselect*"),
        *("nslcd", "dropbear*", "selinux-policy*"),
    ),
    "network": (
        *("network-manager", "NetworkManager", "networkmanager", "netplan.io", "ifupdown*"),
        *("wicked*", "network-scripts", "initscripts", "cloud-init", "iptables*", "nftables"),
        *("firewalld", "netcfg", "ufw", "dhcpcd*", "dhcp-client", "isc-dhcp-client"),
    ),
    "database server": (
        *("mysql-server*", "mysql-community-server*", "mysql", "mariadb", "mariadb-server*"),
        *("mariadb10*", "mariadb11*", "percona-server*", "percona-xtradb*", "galera*"),
        *("postgresql", "postgresql-server", "postgresql??-server", "postgresql-?", "postgresql??"),
        *("postgresql-??", "postgresql-??-*", "postgresql-server-*", "timescaledb*", "pgbouncer"),
        *("redis", "redis-server", "redis?", "valkey*", "mongodb*", "etcd", "etcd-server"),
        *("elasticsearch", "opensearch", "clickhouse-server", "clickhouse-common-static"),
        *("cassandra", "couchdb", "influxdb*", "rabbitmq-server", "kafka", "zookeeper*", "neo4j"),
        *(
            "MariaDB-server*",
            "MariaDB-Galera-server*",
            "mysql-commercial-server*",
            "greatsql-server",
        ),
        *("percona-postgresql*", "oceanbase*"),
        *("mssql-server", "slapd", "openldap-servers", "389-ds-base"),
    ),
    "containers": (
        *("docker", "docker-ce", "docker.io", "docker-engine", "containerd", "containerd.io"),
        *("runc", "podman", "cri-o", "kubelet", "kubeadm", "k3s"),
    ),
}
# Their version is the system's own.
RELEASE_PACKAGES = Patterns(
    (
        *("base-files", "redhat-release", "centos-release", "centos-linux-release"),
        *("centos-stream-release", "rocky-release", "almalinux-release", "oraclelinux-release"),
        *("fedora-release-common", "alinux-release", "anolis-release", "system-release"),
        *("openSUSE-release", "Leap-release", "sles-release", "SLES-release", "openEuler-release"),
    )
)
_ALL = Patterns(pattern for patterns in KINDS.values() for pattern in patterns)
_ALL_IF_THERE = Patterns(pattern for patterns in KINDS_IF_THERE.values() for pattern in patterns)


class Risk:
    """What makes a transaction risky.

    Args:
        reasons: why, for people, the gravest first; empty where it is not risky.
        packages: those that are the reason.
        own_snapshot: an earlier snapshot does not serve.
    """

    __slots__ = ("own_snapshot", "packages", "reasons")

    def __init__(
        self, reasons: Sequence[str], packages: Sequence[Package], *, own_snapshot: bool = False
    ) -> None:
        self.reasons = tuple(reasons)
        self.packages = tuple(packages)
        self.own_snapshot = own_snapshot

    def __bool__(self) -> bool:
        return bool(self.reasons)


def judge(transaction: Transaction, settings: HookSettings) -> Risk:
    """Return what makes a transaction risky; ``never`` is beaten by ``always`` alone."""
    always, never = Patterns(settings.always), Patterns(settings.never)
    wanted = [p for p in transaction.packages if always.match(p.name)]
    counted = [p for p in transaction.packages if not never.match(p.name)]
    counted += [p for p in wanted if never.match(p.name)]
    named = [p for p in counted if _is_known(p)]
    own = Patterns(settings.risky)
    ruled = [p for p in counted if own.match(p.name)]
    essential = [
        p for p in counted if p.action == REMOVE and p.name in frozenset(transaction.essential)
    ]
    reasons = [*_whole(transaction, counted, settings)]
    if essential:
        reasons.append(f"essential packages are removed: {_names(essential)}")
    reasons += [f"{kind}: {_names(packages)}" for kind, packages in _by_kind(named).items()]
    if ruled:
        reasons.append(f"risky by the configuration: {_names(ruled)}")
    if wanted:
        reasons.append(f"always by the configuration: {_names(wanted)}")
    return Risk(reasons, _once(essential, wanted, named, ruled), own_snapshot=bool(wanted))


def unreadable(why: str) -> Risk:
    """Return the risk of a transaction that could not be understood."""
    return Risk([f"what changes could not be read: {why}"], ())


def _whole(
    transaction: Transaction, counted: Sequence[Package], settings: HookSettings
) -> Sequence[str]:
    """Return what is risky about the transaction as a whole."""
    reasons = []
    if settings.release_upgrade:
        if transaction.release_upgrade:
            reasons.append("an upgrade of the whole release")
        else:
            reasons += [
                f"another release: {p.name} {p.old} becomes {p.new}"
                for p in counted
                if RELEASE_PACKAGES.match(p.name) and _other_release(p)
            ]
    if transaction.truncated:
        reasons.append("the list of packages is not complete")
    if 0 < settings.threshold <= len(counted):
        reasons.append(f"{len(counted)} packages at once")
    return reasons


def _is_known(package: Package) -> bool:
    return _ALL.match(package.name) or (
        package.action != INSTALL and _ALL_IF_THERE.match(package.name)
    )


def _by_kind(packages: Sequence[Package]) -> dict[str, list[Package]]:
    """Sort the few that are known by what they are."""
    kinds = {kind: Patterns(patterns) for kind, patterns in {**KINDS, **KINDS_IF_THERE}.items()}
    found: dict[str, list[Package]] = {}
    for kind, patterns in kinds.items() if packages else ():
        if members := [package for package in packages if patterns.match(package.name)]:
            found[kind] = members
    return found


def _other_release(package: Package) -> bool:
    if package.old is None or package.new is None or package.action == REINSTALL:
        return False
    return _major(package.old) != _major(package.new)


def _major(version: str) -> str:
    """Return the digits that a version begins with, after its epoch."""
    plain = version.partition(":")[2] or version
    digits = plain.lstrip("0123456789")
    return plain[: len(plain) - len(digits)]


def _names(packages: Sequence[Package], most: int = 3) -> str:
    names = list(dict.fromkeys(package.name for package in packages))
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _once(*several: Sequence[Package]) -> Sequence[Package]:
    return tuple(dict.fromkeys(package for packages in several for package in packages))

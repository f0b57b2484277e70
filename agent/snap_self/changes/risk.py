"""Whether a transaction is risky, and why: one policy for all package managers.

Pure, and without a slow import: it is asked before every transaction of the machine.
"""

from __future__ import annotations

from snap_self.changes.boot_libraries import LIBRARIES
from snap_self.changes.patterns import Patterns
from snap_self.model.packages import (
    CHANGE,
    INSTALL,
    MANAGERS,
    REINSTALL,
    REMOVE,
    UPGRADE,
    Package,
    Transaction,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from snap_self.model.manager_settings import ManagerSettings

# Without these the machine does not start, or cannot be reached: names of Debian, Ubuntu, the
# Red Hat family with Alibaba Cloud Linux and Anolis, SUSE and Arch.
KINDS = {
    "kernel": (
        *("linux-image-*", "linux-modules-*", "linux-generic*", "linux-virtual*", "linux-aliyun*"),
        *("kernel", "kernel-core", "kernel-modules*", "kernel-uek*", "kernel-lt", "kernel-lt-core"),
        *("kernel-ml", "kernel-ml-core", "kernel-rt*", "kernel-plus", "kernel-livepatch*"),
        *("kernel-default*", "kernel-azure*", "kernel-kvmsmall*", "kernel-64k*", "kernel-PAE"),
        *("kernel-debug", "kernel-debug-core", "kernel-longterm*", "kernel-vanilla*"),
        *("kernel-preempt*", "kernel-xen*", "kernel-pae*", "kernel-uki-virt*", "kernel-hotfix-*"),
        *("kpatch-patch*", "kmod-*", "akmod-*", "*-dkms", "zfsutils-linux", "zfs", "zfs-linux*"),
        *("nvidia-driver*", "nvidia-dkms-*", "nvidia-headless-*", "nvidia", "nvidia-lts"),
        *("nvidia-open*", "linux", "linux-lts", "linux-zen", "linux-hardened", "linux-rt"),
        *("linux-rt-lts", "linux-cachyos*", "linux-xanmod*", "linux-lqx*", "linux-firmware*"),
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
        *("busybox-initramfs", "klibc-utils", "libklibc"),
    ),
    "C library": (
        *("libc6", "libc6-i386", "libc-bin", "glibc", "glibc-common", "glibc32", "musl"),
        *("libgcc", "libgcc-s1", "libgcc_s1", "gcc-libs", "libcrypt1", "libxcrypt*"),
    ),
    "base system": (
        *("bash", "dash", "coreutils*", "rust-coreutils", "gnu-coreutils", "filesystem"),
        *("usrmerge", "setup", "aaa_base", "base-passwd", "perl-base"),
    ),
    "init system": (
        *("systemd", "systemd-*", "libsystemd*", "libudev1", "udev", "dbus", "dbus-broker"),
        *("dbus-daemon", "dbus-common", "dbus-system-bus-common"),
        *("init", "sysvinit*", "upstart", "openrc"),
    ),
    "crypto": (
        *(
            "openssl",
            "openssl-libs",
            "openssl-fips-provider*",
            "openssl1*",
            "openssl3*",
            "libssl1*",
            "libssl3*",
        ),
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
        *("multipath-tools*", "kpartx", "util-linux*", "libblkid", "libblkid1", "libmount"),
        *("libmount1", "mount"),
    ),
    "package manager": (
        *("dpkg", "apt", "libapt-pkg*", "rpm", "rpm-libs", "librpm*", "dnf", "libdnf*", "dnf5"),
        *("yum", "zypper", "libzypp", "libsolv*", "pacman", "librepo", "libmodulemd"),
        # dnf and yum are written in Python.
        *("platform-python*", "python3-libs", "python-libs", "python3-dnf", "python3-hawkey"),
        *("python3-libdnf*", "python3-rpm", "python"),
    ),
}
# The same, but what is only now installed breaks nothing that runs.
KINDS_IF_THERE = {
    "login": (
        *("openssh-server", "openssh", "openssh-clients", "openssh-common", "sudo", "sudo-rs"),
        *(
            "sudo-ldap",
            "pam",
            "pam_*",
            "pambase",
            "libpam*",
            "pam-config",
            "libnss-systemd",
            "libnss-sss",
        ),
        *("shadow", "shadow-utils", "login", "passwd", "sssd*", "authselect*"),
        *("nslcd", "dropbear*", "selinux-policy*"),
    ),
    "network": (
        *("network-manager", "NetworkManager", "networkmanager", "netplan.io", "libnetplan*"),
        *("netplan-generator", "ifupdown*", "wicked*", "network-scripts", "initscripts"),
        *("cloud-init*", "iptables*", "nftables", "firewalld", "netcfg", "ufw", "dhcpcd*"),
        *("dhclient", "dhcp-client", "isc-dhcp-client", "iproute", "iproute2", "resolvconf"),
        *("sysconfig", "sysconfig-netconfig", "sysconfig-network"),
    ),
    "storage tools": (*("e2fsprogs", "xfsprogs", "btrfs-progs", "btrfsprogs", "nvme-cli"),),
    "boot and log-in libraries": tuple(name for names in LIBRARIES.values() for name in names),
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
        *("Percona-Server-server*", "mysql?.?-server*", "mysql-cluster-community-server*"),
        *("percona-postgresql*", "oceanbase*"),
        *("mssql-server", "slapd", "openldap-servers", "389-ds-base"),
    ),
    "containers": (
        *("docker", "docker-ce", "docker.io", "docker-engine", "containerd", "containerd.io"),
        *("runc", "crun", "podman", "cri-o", "kubelet", "kubeadm", "k3s", "moby-engine", "lxd"),
        *("incus",),
    ),
}
# What fits a pattern above and does not run at boot: for people, for building, for a desktop.
HARMLESS = Patterns(
    (
        *("*-dev", "*-devel", "*-devel-*", "*-headers", "*-source", "*-static", "*-doc", "*-docs"),
        *("*-help", "*-examples", "*-dbg", "*-dbgsym", "*-debuginfo", "*-debugsource", "*-tests"),
        *("*-locales", "*-lang", "*-l10n", "*-bash-completion", "*-zsh-completion"),
        *("*-fish-completion", "postgresql-server-dev-*", "grub-theme-*", "grub2-theme-*"),
        *("grub-customizer", "systemd-cron", "nss-mdns", "nss-tools", "nss-plugin-pem"),
        *("libgcrypt-bin", "gnutls-bin"),
    )
)
# Their version is the system's own.
RELEASE_PACKAGES = Patterns(
    (
        *("base-files", "redhat-release", "centos-release", "centos-linux-release"),
        *("centos-stream-release", "rocky-release", "almalinux-release", "oraclelinux-release"),
        *("fedora-release-common", "alinux-release", "anolis-release", "system-release"),
        *("openSUSE-release", "Leap-release", "sles-release", "SLES-release", "openEuler-release"),
    )
)
# SUSE's second number is a service pack, for which the whole system is upgraded.
SERVICE_PACKS = Patterns(("openSUSE-release", "Leap-release", "sles-release", "SLES-release"))
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


def judge(transaction: Transaction, settings: ManagerSettings) -> Risk:
    """Return what makes a transaction risky; ``never`` is beaten by ``always`` alone."""
    always, never = Patterns(settings.always), Patterns(settings.never)
    wanted = [p for p in transaction.packages if always.match(p.name)]
    counted = [p for p in transaction.packages if not never.match(p.name)]
    counted += [p for p in wanted if never.match(p.name)]
    named = [p for p in counted if _is_known(p)]
    own = Patterns(settings.risky)
    ruled = [p for p in counted if own.match(p.name)]
    removed = [p for p in counted if p.action == REMOVE]
    essential = [p for p in removed if p.name in transaction.essential]
    unasked = [p for p in removed if p.name in transaction.unasked]
    reasons = [*_whole(transaction, counted, settings)]
    if essential:
        reasons.append(f"essential packages are removed: {_names(essential)}")
    if unasked:
        reasons.append(f"removed, and not known whether essential: {_names(unasked)}")
    reasons += [f"{kind}: {_names(packages)}" for kind, packages in _by_kind(named).items()]
    if ruled:
        reasons.append(f"risky by the configuration: {_names(ruled)}")
    if wanted:
        reasons.append(f"always by the configuration: {_names(wanted)}")
    return Risk(reasons, _once(essential, unasked, wanted, named, ruled), own_snapshot=bool(wanted))


def nothing_is_risky(settings: ManagerSettings) -> bool:
    """Tell whether the configuration takes even the gravest change out of account."""
    gravest = ("linux-image-6.1.0-1", "kernel-core", "linux", "libc6", "glibc", "systemd")
    packages = [Package(name, UPGRADE, old="1", new="2") for name in gravest]
    return not judge(Transaction(MANAGERS[0], packages), settings)


def unreadable(why: str) -> Risk:
    """Return the risk of a transaction that could not be understood."""
    return Risk([f"what changes could not be read: {why}"], ())


def _whole(
    transaction: Transaction, counted: Sequence[Package], settings: ManagerSettings
) -> Sequence[str]:
    """Return what is risky about the transaction as a whole."""
    reasons = []
    if settings.release_upgrade:
        if transaction.release_upgrade:
            reasons.append("an upgrade of the whole release")
        else:
            reasons += [
                f"another release: {p.name} {p.old or 'of an unknown version'} becomes {p.new}"
                for p in counted
                if RELEASE_PACKAGES.match(p.name) and _other_release(p)
            ]
    if transaction.truncated:
        reasons.append("the list of packages is not complete")
    if 0 < settings.threshold <= len(counted):
        reasons.append(f"{len(counted)} packages at once")
    return reasons


def _is_known(package: Package) -> bool:
    if package.action == INSTALL:
        found = _ALL.match(package.name)
    else:
        found = _ALL.match(package.name) or _ALL_IF_THERE.match(package.name)
    return found and not HARMLESS.match(package.name)


def _by_kind(packages: Sequence[Package]) -> dict[str, list[Package]]:
    """Sort the few that are known by what they are."""
    kinds = {kind: Patterns(patterns) for kind, patterns in {**KINDS, **KINDS_IF_THERE}.items()}
    found: dict[str, list[Package]] = {}
    for kind, patterns in kinds.items() if packages else ():
        if members := [package for package in packages if patterns.match(package.name)]:
            found[kind] = members
    return found


def _other_release(package: Package) -> bool:
    if package.new is None or package.action == REINSTALL:
        return False
    if package.old is None:
        # zypper does not say what is installed; what is new for certain is no upgrade.
        return package.action == CHANGE
    by_minor = SERVICE_PACKS.match(package.name)
    return _release(package.old, by_minor=by_minor) != _release(package.new, by_minor=by_minor)


def _release(version: str, *, by_minor: bool) -> str:
    """Return what tells the release of a version: its first number, or 15.6, or Ubuntu's 13.6."""
    plain = version.partition(":")[2] or version
    upstream, ubuntu, _ = plain.partition("ubuntu")
    if ubuntu:
        return upstream
    if by_minor:
        return plain.partition("-")[0]
    digits = plain.lstrip("0123456789")
    return plain[: len(plain) - len(digits)]


def _names(packages: Sequence[Package], most: int = 3) -> str:
    names = list(dict.fromkeys(package.name for package in packages))
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _once(*several: Sequence[Package]) -> Sequence[Package]:
    return tuple(dict.fromkeys(package for packages in several for package in packages))

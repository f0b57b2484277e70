"""What is risky: kinds of packages, own rules, counts, releases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snap_self.changes.risk import (
    KINDS,
    KINDS_IF_THERE,
    judge,
    nothing_is_risky,
    unreadable,
)
from snap_self.model.manager_settings import ManagerSettings
from snap_self.model.packages import (
    CHANGE,
    DOWNGRADE,
    INSTALL,
    MANAGERS,
    REINSTALL,
    REMOVE,
    UPGRADE,
    Package,
    Transaction,
)

USUAL = ManagerSettings()


def upgrade(*names: str, **more: object) -> Transaction:
    return Transaction("apt", [Package(name, UPGRADE, old="1", new="2") for name in names])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("linux-image-6.1.0-28-amd64", "kernel"),
        ("linux-image-generic-hwe-24.04", "kernel"),
        ("kernel-core", "kernel"),
        ("kernel-modules-extra", "kernel"),
        ("kernel-default", "kernel"),
        ("linux-lts", "kernel"),
        ("microcode_ctl", "kernel"),
        ("kernel-debug-core", "kernel"),
        ("kpatch-patch-5_14_0-427", "kernel"),
        ("kmod-nvidia-latest-dkms", "kernel"),
        ("zfs-dkms", "kernel"),
        ("update-bootloader", "boot loader"),
        ("coreutils-common", "base system"),
        ("filesystem", "base system"),
        ("util-linux-core", "storage"),
        ("selinux-policy-targeted", "login"),
        ("isc-dhcp-client", "network"),
        ("MariaDB-server", "database server"),
        ("mysql-commercial-server", "database server"),
        ("oceanbase-ce", "database server"),
        ("grub-efi-amd64-signed", "boot loader"),
        ("grub2-tools", "boot loader"),
        ("shim-x64", "boot loader"),
        ("initramfs-tools-core", "initramfs"),
        ("dracut", "initramfs"),
        ("mkinitcpio", "initramfs"),
        ("libc6", "C library"),
        ("glibc", "C library"),
        ("systemd", "init system"),
        ("systemd-libs", "init system"),
        ("libudev1", "init system"),
        ("libssl3t64", "crypto"),
        ("openssl-libs", "crypto"),
        ("libopenssl3", "crypto"),
        ("lvm2", "storage"),
        ("dpkg", "package manager"),
        ("openssh-server", "login"),
        ("libpam-modules", "login"),
        ("netplan.io", "network"),
        ("mysql-server-8.0", "database server"),
        ("mariadb-server", "database server"),
        ("postgresql-15", "database server"),
        ("postgresql-16-postgis-3", "database server"),
        ("postgresql16-server", "database server"),
        ("redis", "database server"),
        ("redis6", "database server"),
        ("mongodb-org-server", "database server"),
        ("containerd.io", "containers"),
        # Names of Alibaba Cloud Linux, Ubuntu, SUSE, Arch and their third parties.
        ("kernel-hotfix-13108708-5.10.134-13.1", "kernel"),
        ("kernel-preempt", "kernel"),
        ("nvidia-dkms-535", "kernel"),
        ("nvidia-headless-535", "kernel"),
        ("nvidia-open", "kernel"),
        ("linux-cachyos", "kernel"),
        ("linux-firmware", "kernel"),
        ("kernel-uki-virt", "kernel"),
        ("busybox-initramfs", "initramfs"),
        ("dbus-daemon", "init system"),
        ("pambase", "login"),
        ("klibc-utils", "initramfs"),
        ("gnu-coreutils", "base system"),
        ("setup", "base system"),
        ("aaa_base", "base system"),
        ("sudo-rs", "login"),
        ("dhclient", "network"),
        ("iproute2", "network"),
        ("netplan-generator", "network"),
        ("sysconfig-netconfig", "network"),
        ("platform-python", "package manager"),
        ("python3-libs", "package manager"),
        ("Percona-Server-server-57", "database server"),
        ("mysql8.4-server", "database server"),
        ("mysql-cluster-community-server", "database server"),
        ("moby-engine", "containers"),
        ("crun", "containers"),
        ("incus", "containers"),
        ("xfsprogs", "storage tools"),
        ("libselinux1", "boot and log-in libraries"),
        ("libpcre2-8-0", "boot and log-in libraries"),
        ("libtinfo6", "boot and log-in libraries"),
        ("zlib-ng-compat", "boot and log-in libraries"),
        ("xz-libs", "boot and log-in libraries"),
        ("audit-libs", "boot and log-in libraries"),
        ("ncurses-libs", "boot and log-in libraries"),
    ],
)
def test_package_is_risky_as_what_it_is(name: str, kind: str) -> None:
    risk = judge(upgrade("hello", name), USUAL)
    assert risk.reasons == (f"{kind}: {name}",)
    assert [package.name for package in risk.packages] == [name]


@pytest.mark.parametrize(
    "name",
    [
        *("hello", "vim", "linux-libc-dev", "linux-doc", "linux-tools-common", "kernel-headers"),
        *("kernel-devel", "kernel-srpm-macros", "libc6-dev", "glibc-langpack-en", "libssl-dev"),
        *("openssl-devel", "postgresql-client-common", "postgresql-libs", "redis-tools"),
        *("mysql-client", "mariadb-client", "python3-systemd", "g++", "grubfs", "tzdata"),
        *("libsystemd-dev", "libgcrypt20-dev", "libopenssl-devel", "kernel-default-devel"),
        *("kernel-uek-devel", "linux-image-6.1.0-28-amd64-dbg", "librpm-dev", "libapt-pkg-dev"),
        *("libpam-doc", "mysql-server-doc", "postgresql-15-dbgsym", "grub-theme-starfield"),
        *("grub-customizer", "kmod-tests", "systemd-cron", "nss-mdns", "nss-tools", "systemd-lang"),
        *("util-linux-locales", "systemd-bash-completion", "postgresql-server-dev-15"),
        *(
            "kernel-64k-devel-matched",
            "glibc-debuginfo",
            "libselinux1-dev",
            "pcre2-tools",
            "libgcrypt-bin",
            "nss-plugin-pem",
        ),
        *("libcrypto++8", "libcryptominisat5-5.11", "kernel-debug-devel", "dkms", "MariaDB-client"),
    ],
)
def test_package_that_only_sounds_like_one_is_not_risky(name: str) -> None:
    assert not judge(upgrade(name), USUAL)


@pytest.mark.parametrize("action", [INSTALL, UPGRADE, DOWNGRADE, REINSTALL, REMOVE])
def test_kernel_is_risky_whatever_happens_to_it(action: str) -> None:
    assert judge(Transaction("apt", [Package("linux-image-6", action)]), USUAL)


@pytest.mark.parametrize("name", ["mariadb-server", "xfsprogs", "nvme-cli", "libzstd1"])
@pytest.mark.parametrize("action", [INSTALL, UPGRADE, DOWNGRADE, REINSTALL, REMOVE])
def test_what_runs_nothing_before_is_risky_unless_it_is_new(name: str, action: str) -> None:
    risk = judge(Transaction("apt", [Package(name, action)]), USUAL)
    assert bool(risk) == (action != INSTALL)


def test_no_kind_is_empty_and_no_pattern_fits_everything() -> None:
    patterns = [each for kind in (*KINDS.values(), *KINDS_IF_THERE.values()) for each in kind]
    wild = [pattern for pattern in patterns if "*" in pattern or "?" in pattern]
    assert min(len(pattern.strip("*?")) for pattern in wild) >= 3
    assert len(set(patterns)) == len(patterns)


@pytest.mark.parametrize(("count", "risky"), [(24, False), (25, True), (2000, True)])
def test_many_packages_are_risky_by_their_number(count: int, risky: bool) -> None:
    risk = judge(upgrade(*(f"font-{n}" for n in range(count))), USUAL)
    assert risk.reasons == ((f"{count} packages at once",) if risky else ())


def test_threshold_of_zero_is_never_reached() -> None:
    assert not judge(upgrade(*(f"font-{n}" for n in range(99))), ManagerSettings(threshold=0))


def test_own_pattern_makes_a_package_risky() -> None:
    risk = judge(upgrade("nginx-core", "hello"), ManagerSettings(risky=("nginx*",)))
    assert risk.reasons == ("risky by the configuration: nginx-core",)


def test_never_beats_what_is_known_and_what_is_configured() -> None:
    settings = ManagerSettings(risky=("nginx",), never=("linux-*", "nginx"))
    assert not judge(upgrade("linux-image-6", "nginx"), settings)


@pytest.mark.parametrize(
    ("settings", "nothing"),
    [
        (ManagerSettings(), False),
        (ManagerSettings(never=("linux-*", "kernel*")), False),
        (ManagerSettings(never=("*",)), True),
        (ManagerSettings(never=("*",), always=("libc6",)), False),
    ],
)
def test_configuration_that_leaves_nothing_risky_is_known(
    settings: ManagerSettings, nothing: bool
) -> None:
    assert nothing_is_risky(settings) == nothing


def test_never_is_not_counted() -> None:
    settings = ManagerSettings(threshold=2, never=("font-*",))
    assert not judge(upgrade("font-a", "font-b", "hello"), settings)


def test_always_beats_never_and_wants_a_snapshot_of_its_own() -> None:
    settings = ManagerSettings(always=("linux-*",), never=("linux-*",))
    risk = judge(upgrade("linux-image-6"), settings)
    assert risk.own_snapshot
    assert "always by the configuration: linux-image-6" in risk.reasons


def test_known_package_is_content_with_an_earlier_snapshot() -> None:
    assert not judge(upgrade("linux-image-6"), USUAL).own_snapshot


def test_removal_of_which_is_not_known_whether_it_is_essential_is_risky() -> None:
    packages = [Package("sysv-rc", REMOVE, old="1"), Package("hello", REMOVE, old="1")]
    transaction = Transaction("apt", packages, unasked=["sysv-rc", "hello"])
    assert judge(transaction, ManagerSettings(never=("hello",))).reasons == (
        "removed, and not known whether essential: sysv-rc",
    )


def test_removal_of_an_essential_package_is_risky() -> None:
    packages = [Package("sysv-rc", REMOVE), Package("hello", UPGRADE)]
    risk = judge(Transaction("apt", packages, essential=["sysv-rc", "hello"]), USUAL)
    assert risk.reasons == ("essential packages are removed: sysv-rc",)


@pytest.mark.parametrize("manager", MANAGERS)
def test_release_upgrade_is_risky_with_any_package(manager: str) -> None:
    transaction = Transaction(manager, [Package("hello", UPGRADE)], release_upgrade=True)
    assert judge(transaction, USUAL).reasons == ("an upgrade of the whole release",)
    assert not judge(transaction, ManagerSettings(release_upgrade=False))


@pytest.mark.parametrize(
    ("name", "old", "new", "risky"),
    [
        ("base-files", "12.4+deb12u5", "13.8", True),
        ("base-files", "12.4+deb12u5", "12.4+deb12u9", False),
        ("alinux-release", "2:3.2-1", "2:4.0-1", True),
        ("redhat-release", "9.4-1", "9.5-1", False),
        ("SLES-release", None, "15.6", True),
        ("SLES-release", "15.5-150500.43.2", "15.6-150600.1.1", True),
        ("Leap-release", "15.6-1", "15.6-2", False),
        ("base-files", "13ubuntu10.1", "13.6ubuntu2", True),
        ("base-files", "13ubuntu10.1", "13ubuntu10.2", False),
    ],
)
def test_other_release_is_known_by_its_own_package(
    name: str, old: str | None, new: str, risky: bool
) -> None:
    action = UPGRADE if old else CHANGE
    transaction = Transaction("apt", [Package(name, action, old=old, new=new)])
    before = old or "of an unknown version"
    expected = (f"another release: {name} {before} becomes {new}",) if risky else ()
    assert not judge(Transaction("apt", [Package(name, INSTALL, new=new)]), USUAL)
    assert judge(transaction, USUAL).reasons == expected


def test_list_that_is_not_whole_is_risky() -> None:
    transaction = Transaction("apt", [Package("hello", UPGRADE)], truncated=True)
    assert judge(transaction, USUAL).reasons == ("the list of packages is not complete",)


def test_reason_names_three_and_counts_the_others() -> None:
    names = [f"linux-image-{n}" for n in range(5)]
    assert judge(upgrade(*names), USUAL).reasons == (
        "kernel: linux-image-0, linux-image-1, linux-image-2 and 2 more",
    )


def test_what_cannot_be_read_is_risky() -> None:
    assert unreadable("version 9").reasons == ("what changes could not be read: version 9",)


@given(
    names=st.lists(st.text(max_size=20), max_size=30),
    patterns=st.lists(st.text(alphabet="ab*?-", min_size=1, max_size=5), max_size=3),
)
def test_any_transaction_is_judged_and_never_leaves_out_what_is_named(
    names: list[str], patterns: list[str]
) -> None:
    transaction = upgrade(*names, "linux-image-6")
    wide = ManagerSettings(risky=tuple(patterns), always=tuple(patterns), threshold=1)
    assert judge(transaction, wide).reasons
    none = ManagerSettings(risky=tuple(patterns), never=("*",), threshold=1)
    assert not judge(transaction, none)


def test_each_package_that_is_a_reason_is_named_once_the_gravest_first() -> None:
    removed = [Package(name, REMOVE, old="1", new=None) for name in ("essential-a", "unasked-b")]
    changed = [Package(name, UPGRADE, old="1", new="2") for name in ("always-c", "libc6", "own-d")]
    transaction = Transaction(
        "apt", [*changed, *removed], essential={"essential-a"}, unasked={"unasked-b"}
    )
    risk = judge(transaction, ManagerSettings(always=("always-c", "own-d"), risky=("own-d",)))
    names = [package.name for package in risk.packages]
    assert names == ["essential-a", "unasked-b", "always-c", "own-d", "libc6"]
    assert risk.own_snapshot


def test_own_rule_is_a_reason_by_itself() -> None:
    risk = judge(upgrade("own-d"), ManagerSettings(risky=("own-d",)))
    assert [package.name for package in risk.packages] == ["own-d"]
    assert not risk.own_snapshot
    assert not unreadable("").own_snapshot


@pytest.mark.parametrize(
    "name", ["linux-image-6.1.0-1", "kernel-core", "linux", "libc6", "glibc", "systemd"]
)
def test_configuration_that_leaves_one_of_the_gravest_leaves_something(name: str) -> None:
    assert nothing_is_risky(ManagerSettings(never=("*",)))
    assert not nothing_is_risky(ManagerSettings(never=("*",), always=(name,)))


def test_threshold_of_one_makes_every_change_risky() -> None:
    assert judge(upgrade("hello"), ManagerSettings(threshold=1)).reasons == ("1 packages at once",)


@pytest.mark.parametrize(
    ("name", "action", "old", "new", "other"),
    [
        ("base-files", UPGRADE, "12.1", "13.1", True),
        ("base-files", REINSTALL, "12.1", "13.1", False),
        ("base-files", REINSTALL, None, "13.1", False),
        ("base-files", REMOVE, "12.1", None, False),
        ("base-files", UPGRADE, "1:13:2", "1:14:2", True),
        ("base-files", UPGRADE, "13ubuntu9ubuntu1", "13ubuntu10ubuntu1", False),
        ("base-files", UPGRADE, "12X1", "12X2", False),
        ("openSUSE-release", UPGRADE, "15.6-lp156.1-1", "15.6-lp156.2-1", False),
        ("openSUSE-release", UPGRADE, "15.5-lp155.1-1", "15.6-lp156.1-1", True),
    ],
)
def test_another_release_is_known_by_what_tells_it_alone(
    name: str, action: str, old: str | None, new: str | None, *, other: bool
) -> None:
    transaction = Transaction("apt", [Package(name, action, old=old, new=new)])
    reasons = judge(transaction, USUAL).reasons
    assert any(reason.startswith("another release") for reason in reasons) is other


@pytest.mark.parametrize(("count", "said"), [(3, "a-1, a-2, a-3"), (4, "a-1, a-2, a-3 and 1 more")])
def test_three_names_are_told_and_the_number_of_the_others(count: int, said: str) -> None:
    names = [f"a-{number}" for number in range(1, count + 1)]
    risk = judge(upgrade(*names), ManagerSettings(risky=("a-*",)))
    assert risk.reasons == (f"risky by the configuration: {said}",)

"""What is risky: kinds of packages, own rules, counts, releases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snap_self.changes.risk import KINDS, KINDS_IF_THERE, judge, unreadable
from snap_self.model.hook_settings import HookSettings
from snap_self.model.packages import (
    DOWNGRADE,
    INSTALL,
    MANAGERS,
    REINSTALL,
    REMOVE,
    UPGRADE,
    Package,
    Transaction,
)

USUAL = HookSettings()


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
        *("libcrypto++8", "libcryptominisat5-5.11", "kernel-debug-devel", "dkms", "MariaDB-client"),
    ],
)
def test_package_that_only_sounds_like_one_is_not_risky(name: str) -> None:
    assert not judge(upgrade(name), USUAL)


@pytest.mark.parametrize("action", [INSTALL, UPGRADE, DOWNGRADE, REINSTALL, REMOVE])
def test_kernel_is_risky_whatever_happens_to_it(action: str) -> None:
    assert judge(Transaction("apt", [Package("linux-image-6", action)]), USUAL)


@pytest.mark.parametrize("action", [INSTALL, UPGRADE, DOWNGRADE, REINSTALL, REMOVE])
def test_server_is_risky_unless_it_is_new(action: str) -> None:
    risk = judge(Transaction("apt", [Package("mariadb-server", action)]), USUAL)
    assert bool(risk) == (action != INSTALL)


def test_no_kind_is_empty_and_no_pattern_fits_everything() -> None:
    patterns = [each for kind in (*KINDS.values(), *KINDS_IF_THERE.values()) for each in kind]
    assert min(len(pattern.strip("*?")) for pattern in patterns) >= 3
    assert len(set(patterns)) == len(patterns)


@pytest.mark.parametrize(("count", "risky"), [(24, False), (25, True), (2000, True)])
def test_many_packages_are_risky_by_their_number(count: int, risky: bool) -> None:
    risk = judge(upgrade(*(f"font-{n}" for n in range(count))), USUAL)
    assert risk.reasons == ((f"{count} packages at once",) if risky else ())


def test_threshold_of_zero_is_never_reached() -> None:
    assert not judge(upgrade(*(f"font-{n}" for n in range(99))), HookSettings(threshold=0))


def test_own_pattern_makes_a_package_risky() -> None:
    risk = judge(upgrade("nginx-core", "hello"), HookSettings(risky=("nginx*",)))
    assert risk.reasons == ("risky by the configuration: nginx-core",)


def test_never_beats_what_is_known_and_what_is_configured() -> None:
    settings = HookSettings(risky=("nginx",), never=("linux-*", "nginx"))
    assert not judge(upgrade("linux-image-6", "nginx"), settings)


def test_never_is_not_counted() -> None:
    settings = HookSettings(threshold=2, never=("font-*",))
    assert not judge(upgrade("font-a", "font-b", "hello"), settings)


def test_always_beats_never_and_wants_a_snapshot_of_its_own() -> None:
    settings = HookSettings(always=("linux-*",), never=("linux-*",))
    risk = judge(upgrade("linux-image-6"), settings)
    assert risk.own_snapshot
    assert "always by the configuration: linux-image-6" in risk.reasons


def test_known_package_is_content_with_an_earlier_snapshot() -> None:
    assert not judge(upgrade("linux-image-6"), USUAL).own_snapshot


def test_removal_of_an_essential_package_is_risky() -> None:
    packages = [Package("sysv-rc", REMOVE), Package("hello", UPGRADE)]
    risk = judge(Transaction("apt", packages, essential=["sysv-rc", "hello"]), USUAL)
    assert risk.reasons == ("essential packages are removed: sysv-rc",)


@pytest.mark.parametrize("manager", MANAGERS)
def test_release_upgrade_is_risky_with_any_package(manager: str) -> None:
    transaction = Transaction(manager, [Package("hello", UPGRADE)], release_upgrade=True)
    assert judge(transaction, USUAL).reasons == ("an upgrade of the whole release",)
    assert not judge(transaction, HookSettings(release_upgrade=False))


@pytest.mark.parametrize(
    ("name", "old", "new", "risky"),
    [
        ("base-files", "12.4+deb12u5", "13.8", True),
        ("base-files", "12.4+deb12u5", "12.4+deb12u9", False),
        ("alinux-release", "2:3.2-1", "2:4.0-1", True),
        ("redhat-release", "9.4-1", "9.5-1", False),
    ],
)
def test_other_release_is_known_by_its_own_package(
    name: str, old: str, new: str, risky: bool
) -> None:
    transaction = Transaction("apt", [Package(name, UPGRADE, old=old, new=new)])
    expected = (f"another release: {name} {old} becomes {new}",) if risky else ()
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
    wide = HookSettings(risky=tuple(patterns), always=tuple(patterns), threshold=1)
    assert judge(transaction, wide).reasons
    none = HookSettings(risky=tuple(patterns), never=("*",), threshold=1)
    assert not judge(transaction, none)

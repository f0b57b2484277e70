"""What speaks against a freeze."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fakes.freezing import filesystem, freeze_target
from snap_self.model.freezing import (
    FreezeFacts,
    LoopImage,
    OwnPlace,
    RunningDatabase,
    hangs_io_uring_writers,
    kernel_version,
    upstream_version,
)
from snap_self.quiesce.freeze.order import FreezeOrder, freeze_order
from snap_self.quiesce.freeze.preflight import (
    Finding,
    Severity,
    check_freeze,
)

ORDER = FreezeOrder(targets=(freeze_target("/data"), freeze_target("/srv")), left_out=())
GOOD = FreezeFacts(release="6.12.9-amd64")
DATABASE = RunningDatabase(
    pid=812, name="mariadbd", io_uring=True, keys=frozenset({"key:/data", "key:/else"})
)
R, W = Severity.REFUSE, Severity.WARN


def found(facts: FreezeFacts, order: FreezeOrder = ORDER) -> list[tuple[Severity, str]]:
    return [(f.severity, f.code) for f in check_freeze(order, facts, hold_s=10)]


def only(facts: FreezeFacts, order: FreezeOrder = ORDER) -> Finding:
    (finding,) = check_freeze(order, facts, hold_s=10)
    return finding


def test_nothing_speaks_against_a_plain_machine() -> None:
    assert found(GOOD) == []


def test_loop_image_on_a_target_is_refused_naming_image_and_target() -> None:
    loop = LoopImage(device="/dev/loop0", image="/data/x.img", holder="key:/data")
    finding = only(replace(GOOD, loops=(loop,)))
    assert (finding.severity, finding.code) == (R, "loop-image-on-target")
    assert "/data/x.img on /data" in finding.what


def test_loop_image_elsewhere_is_no_matter() -> None:
    loop = LoopImage(device="/dev/loop0", image="/else/x.img", holder="key:/else")
    assert found(replace(GOOD, loops=(loop,))) == []


@pytest.mark.parametrize("kind", ["nbd", "fuse", "iscsi"])
def test_device_served_by_a_program_is_refused(kind: str) -> None:
    finding = only(replace(GOOD, user_space_devices={"key:/srv": kind, "key:/else": kind}))
    assert (finding.severity, finding.code) == (R, "user-space-device")
    assert f"/srv lies on a {kind} device" in finding.what


def test_own_place_on_a_target_is_refused_naming_it() -> None:
    place = OwnPlace(what="log file", path="/srv/log", key="key:/srv")
    finding = only(replace(GOOD, own_places=(place,)))
    assert (finding.severity, finding.code) == (R, "own-place-on-target")
    assert "log file /srv/log" in finding.what


def test_filesystem_without_a_journal_is_told_by_name() -> None:
    finding = only(replace(GOOD, unjournaled=frozenset({"key:/srv"})))
    assert (finding.severity, finding.code) == (Severity.WARN, "no-journal")
    assert finding.what.startswith("/srv (")
    assert "not cleanly unmounted" in finding.what


def test_marker_on_a_target_is_refused() -> None:
    assert found(replace(GOOD, markers_key="key:/data")) == [(R, "marker-on-target")]


@pytest.mark.parametrize(
    "kernel",
    [
        ("5.10.134-16.al8.x86_64", ""),
        ("5.15.0-91-generic", ""),
        ("6.1.0-18-amd64", "6.1.115"),
        ("6.6.59", ""),
        ("6.8.0-45", "6.8.12"),
        ("6.11.6", ""),
    ],
)
def test_io_uring_database_on_an_affected_kernel_is_refused(kernel: tuple[str, str]) -> None:
    facts = replace(GOOD, release=kernel[0], upstream=kernel[1], databases=(DATABASE,))
    assert (R, "io-uring-writer") in found(facts)


@pytest.mark.parametrize(
    "kernel",
    [
        ("4.18.0-553.el8", ""),
        ("5.10.230", ""),
        ("5.15.0-130-generic", "5.15.173"),
        ("6.1.0-32-amd64", "6.1.116"),
        ("6.6.102-5.an23.x86_64", ""),
        ("6.12.0", ""),
        ("7.0", ""),
    ],
)
def test_io_uring_database_on_another_kernel_is_not_refused(kernel: tuple[str, str]) -> None:
    facts = replace(GOOD, release=kernel[0], upstream=kernel[1], databases=(DATABASE,))
    assert (R, "io-uring-writer") not in found(facts)


@pytest.mark.parametrize(
    ("last_good", "first_bad", "last_bad", "first_mended"),
    [
        ("5.0.21", "5.1.0", "5.10.229", "5.10.230"),
        ("5.10.250", "5.11.0", "5.15.171", "5.15.172"),
        ("5.15.200", "5.16.0", "6.1.115", "6.1.116"),
        ("6.1.150", "6.2.0", "6.6.59", "6.6.60"),
        ("6.6.90", "6.7.0", "6.11.6", "6.11.7"),
    ],
)
def test_branch_of_the_kernel_hangs_from_its_first_version_until_it_was_mended(
    last_good: str, first_bad: str, last_bad: str, first_mended: str
) -> None:
    versions = (last_good, first_bad, last_bad, first_mended)
    assert [hangs_io_uring_writers(version) for version in versions] == [False, True, True, False]
    # Ubuntu's releases name the branch's first version, and may come without a signature.
    assert hangs_io_uring_writers(f"{first_bad}-26-generic")


@pytest.mark.parametrize(
    ("build", "signature", "version"),
    [
        ("#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-10-01)\n", "", "6.1.192"),
        ("#40~22.04-Ubuntu SMP", "Ubuntu 6.8.0-40.40~22.04.3-generic 6.8.12\n", "6.8.12"),
        ("#1 SMP PREEMPT_DYNAMIC Thu Jan 1 00:00:00 UTC 2026", "", ""),
    ],
)
def test_stable_version_is_read_where_the_distribution_tells_it(
    build: str, signature: str, version: str
) -> None:
    assert upstream_version(build, signature) == version


def test_database_without_io_uring_is_a_warning() -> None:
    facts = replace(GOOD, release="6.8.0", databases=(replace(DATABASE, io_uring=False),))
    assert found(facts) == [(W, "database-on-old-kernel")]


def test_database_on_other_filesystems_is_no_matter() -> None:
    elsewhere = replace(DATABASE, keys=frozenset({"key:/else"}))
    assert found(replace(GOOD, release="6.8.0", databases=(elsewhere,))) == []


def test_shared_hosting_stack_is_refused() -> None:
    assert found(replace(GOOD, tmp_on_loop=True, bind_mounts=40)) == [(R, "shared-hosting-stack")]


def test_loop_tmp_without_bind_mounts_is_no_matter() -> None:
    assert found(replace(GOOD, tmp_on_loop=True)) == []


@pytest.mark.parametrize(
    ("timeout_s", "expected"), [(120.0, W), (15.0, R), (0.0, W)], ids=["long", "short", "off"]
)
def test_panic_on_blocked_tasks_is_refused_when_it_could_come(
    timeout_s: float, expected: Severity
) -> None:
    facts = replace(GOOD, hung_task_panic=True, hung_task_timeout_s=timeout_s)
    assert found(facts) == [(expected, "hung-task-panic")]


@pytest.mark.parametrize("release", ["4.19.91-al7", "5.10.134", "5.16.1"])
def test_kernel_before_5_17_is_a_warning(release: str) -> None:
    assert found(replace(GOOD, release=release)) == [(W, "kernel-before-5.17")]


def test_root_is_refused_until_it_was_tried() -> None:
    order = freeze_order([filesystem("/")])
    assert found(GOOD, order) == [(R, "root-not-tested")]
    assert found(replace(GOOD, root_tested=True), order) == []


def test_left_out_filesystem_that_weakens_is_a_warning() -> None:
    order = freeze_order([filesystem("/efi", fstype="vfat")])
    assert found(GOOD, order) == [(W, "cannot-freeze")]


def test_refusals_come_before_warnings() -> None:
    facts = replace(GOOD, release="5.10.1", markers_key="key:/data")
    assert [severity for severity, _ in found(facts)] == [R, W]


def test_every_finding_has_a_hint() -> None:
    facts = replace(
        GOOD, release="5.15.1", markers_key="key:/data", databases=(DATABASE,), hung_task_panic=True
    )
    assert all(finding.hint for finding in check_freeze(ORDER, facts, hold_s=10))


@pytest.mark.parametrize(
    ("release", "version"),
    [("6.1.0-18-amd64", (6, 1)), ("5.10.134-16.1.al8", (5, 10)), ("odd", (0, 0))],
)
def test_kernel_version_is_read_from_the_release(release: str, version: tuple[int, int]) -> None:
    assert kernel_version(release) == version


def test_own_place_on_a_tested_root_is_no_matter_for_there_is_no_other() -> None:
    order = FreezeOrder(targets=(freeze_target("/"),), left_out=())
    place = OwnPlace(what="state directory", path="/var/lib/snap-self", key="key:/")
    assert found(replace(GOOD, own_places=(place,), root_tested=True), order) == []

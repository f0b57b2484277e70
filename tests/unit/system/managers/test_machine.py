"""What a hook learns of the machine, from a copy of the places where it looks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from fakes.hook_outside import FakeOutside
from snap_self.model.manager_facts import Facts
from snap_self.model.packages import Transaction
from snap_self.system.managers.machine import ManagerMachine
from snap_self.system.managers.outside import ManagerOutside, stat_of

CHANGE = Transaction("apt", (), skip="told", root="/mnt")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return an ECS instance's own root."""
    write(tmp_path, "sys/class/dmi/id/product_name", "Alibaba Cloud ECS\n")
    write(tmp_path, "proc/self/uid_map", "         0          0 4294967295\n")
    write(tmp_path, "proc/self/mounts", "proc /proc proc rw 0 0\n/dev/vda1 / ext4 rw 0 0\n")
    (tmp_path / "proc/1").mkdir()
    (tmp_path / "proc/1/root").symlink_to(tmp_path)
    return tmp_path


def write(root: Path, name: str, text: str = "") -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def facts(
    root: Path, env: Mapping[str, str] | None = None, outside: FakeOutside | None = None
) -> Facts:
    machine = ManagerMachine(env or {}, cast(ManagerOutside, outside or FakeOutside()), str(root))
    return machine.facts(CHANGE, skip_until=5.0, metadata_named=False)


def test_mounts_are_those_of_the_process_with_their_types(root: Path) -> None:
    lines = (
        "22 1 252:1 / / rw,relatime shared:1 master:2 - ext4 /dev/vda1 rw",
        "23 22 0:5 / /var/with\\040space rw - xfs /dev/vdb rw",
        "torn",
    )
    write(root, "proc/self/mountinfo", "\n".join(lines))
    machine = ManagerMachine({}, cast(ManagerOutside, FakeOutside()), str(root))
    found = [(one.path, one.fstype) for one in machine.mounts()]
    assert found == [("/", "ext4"), ("/var/with space", "xfs")]


def test_instance_with_its_own_system_shows_nothing_against_it(root: Path) -> None:
    seen = facts(root)
    assert seen.product == "Alibaba Cloud ECS\n"
    assert (seen.container, seen.chroot, seen.building, seen.stopping) == ("", False, "", False)
    assert (seen.told, seen.root, seen.skip_until, seen.variable) == ("told", "/mnt", 5.0, "")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("run/.containerenv", ""),
        (".dockerenv", ""),
        ("run/systemd/container", "lxc"),
        ("proc/1/environ", "PATH=/bin\0container=lxc\0"),
        ("proc/self/uid_map", "0 1000 1\n"),
        ("proc/self/mounts", "/dev/vda1 / ext4 rw 0 0\noverlay / overlay rw 0 0\n"),
    ],
)
def test_container_is_known_by_each_of_its_marks(root: Path, name: str, text: str) -> None:
    write(root, name, text)
    seen = facts(root)
    assert seen.container
    # One mark may be a left-over file; users of its own are the kernel's word.
    assert seen.container_sure == (name == "proc/self/uid_map")


def test_two_marks_of_a_container_are_sure(root: Path) -> None:
    write(root, ".dockerenv")
    write(root, "run/.containerenv")
    assert not facts(root).container_sure
    write(root, "proc/self/mounts", "overlay / overlay rw 0 0\n")
    assert facts(root).container_sure


@pytest.mark.parametrize("variable", ["container", "KUBERNETES_SERVICE_HOST"])
def test_variable_says_container_only_in_the_environment_of_process_1(
    root: Path, variable: str
) -> None:
    assert facts(root, {variable: "x"}).container == ""
    write(root, "proc/1/environ", f"PATH=/bin\0{variable}=x\0")
    assert facts(root).container == f"{variable} of process 1"


def test_firmware_that_cannot_be_asked_is_not_one_that_names_another_machine(root: Path) -> None:
    (root / "sys/class/dmi/id/product_name").unlink()
    assert facts(root).product is None


def test_overlay_elsewhere_is_no_container(root: Path) -> None:
    write(root, "proc/self/mounts", "/dev/vda1 / ext4 rw 0 0\noverlay /merged overlay rw 0 0\n")
    assert facts(root).container == ""


def test_other_root_than_that_of_process_1_is_a_chroot(root: Path) -> None:
    (root / "other").mkdir()
    (root / "proc/1/root").unlink()
    (root / "proc/1/root").symlink_to(root / "other")
    assert facts(root).chroot


def test_root_without_proc_is_a_chroot(tmp_path: Path) -> None:
    assert facts(tmp_path).chroot


@pytest.mark.parametrize(
    ("files", "env", "building"),
    [
        ({}, {"PACKER_BUILD_NAME": "web"}, True),
        ({"run/cloud-init/status.json": "{}"}, {}, True),
        ({"run/cloud-init/status.json": "", "run/cloud-init/result.json": ""}, {}, False),
        ({"usr/sbin/policy-rc.d": "#!/bin/sh\n\n# why\nexit 101\n"}, {}, True),
        ({"usr/sbin/policy-rc.d": "#!/bin/sh\nexec /own/policy\nexit 101\n"}, {}, False),
        ({"usr/sbin/policy-rc.d": "#!/bin/sh\nexit 0\n"}, {}, False),
    ],
)
def test_building_of_an_image_is_known(
    root: Path, files: Mapping[str, str], env: Mapping[str, str], building: bool
) -> None:
    for name, text in files.items():
        write(root, name, text)
        (root / name).chmod(0o755)
    assert bool(facts(root, env).building) == building


def test_policy_that_may_not_be_executed_builds_no_image(root: Path) -> None:
    write(root, "usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n")
    assert facts(root).building == ""


def test_cloud_init_that_never_came_to_its_end_builds_nothing_any_more(root: Path) -> None:
    write(root, "run/cloud-init/status.json", "{}")
    os.utime(root / "run/cloud-init/status.json", (0, 0))
    assert facts(root).building == ""


@pytest.mark.parametrize(("said", "stopping"), [("stopping\n", True), ("running\n", False)])
def test_system_that_stops_is_known(root: Path, said: str, stopping: bool) -> None:
    outside = FakeOutside(answers={"systemctl show": said})
    assert facts(root, outside=outside).stopping == stopping


def test_offline_update_counts_as_stopping(root: Path) -> None:
    (root / "system-update").symlink_to("/var/lib/system-update")
    assert facts(root).stopping


@pytest.mark.parametrize("name", ["SNAP_SELF_METADATA_URL", "SNAP_SELF_NETWORK_METADATA_URL"])
def test_metadata_service_named_by_the_environment_is_told(root: Path, name: str) -> None:
    assert facts(root, {name: "http://127.0.0.1:1"}).metadata_named
    assert not facts(root).metadata_named


def test_skip_variable_is_told(root: Path) -> None:
    assert facts(root, {"SNAP_SELF_SKIP": "1"}).variable == "1"


def test_ancestors_of_this_process_lead_to_the_first(root: Path) -> None:
    found = ManagerMachine({}, ManagerOutside()).ancestors()
    assert found[-1].pid == 1
    assert all(one.started >= 0 and one.name for one in found)
    assert found[0].arguments
    assert all(one.stdin for one in found if one.pid > 1)


def test_uptime_goes_on() -> None:
    machine = ManagerMachine({}, cast(Any, None))
    assert 0 < machine.uptime_s() <= machine.uptime_s()


def test_name_with_spaces_and_brackets_is_read(tmp_path: Path) -> None:
    tail = " ".join(str(n) for n in range(5, 23))
    write(tmp_path, "7/stat", f"7 (a) b (c)) S 3 {tail}\n")
    assert stat_of(7, str(tmp_path)) == ("a) b (c)", 3, 22)


@pytest.mark.parametrize("text", ["", "7", "7 (a) S", "7 (a) S x y"])
def test_process_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    write(tmp_path, "7/stat", text)
    assert stat_of(7, str(tmp_path)) is None
    assert stat_of(8, str(tmp_path)) is None

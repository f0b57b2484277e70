"""The worlds of these tests: a machine to who is inside, and nothing to the machine outside."""

from __future__ import annotations

from pathlib import Path

import pytest
from apt_world import World

pytestmark = pytest.mark.root


def test_world_is_no_container_and_no_chroot_to_the_system(world: World) -> None:
    look = "systemd-detect-virt --container; systemd-detect-virt --chroot && echo chroot; cd /; pwd"
    assert world.run("sh", "-c", look).out == "none\n/\n"


def test_world_says_it_is_an_ecs_instance(world: World) -> None:
    assert world.path("/sys/class/dmi/id/sys_vendor").read_text() == "Alibaba Cloud\n"


def test_packages_of_the_world_never_reach_the_machine(world: World) -> None:
    before = Path("/var/lib/dpkg/status").stat()
    done = world.apt("install", "tree-tool", "hello-harmless")
    assert done.status == 0, done.err
    assert (world.version("tree-tool"), world.version("hello-harmless")) == ("1.0", "2.0")
    assert Path("/var/lib/dpkg/status").stat().st_ino == before.st_ino
    assert not Path("/usr/share/snap-self-test").exists()
    assert not Path("/etc/snap-self").exists()

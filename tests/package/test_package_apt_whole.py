"""The real .deb in a world: apt installs it, is heard, and is left alone when it is removed."""

from __future__ import annotations

import pytest
from apt_world import GUARD, Cloud, World
from built_packages import deb

pytestmark = [pytest.mark.root, pytest.mark.slow]

OURS = ("/opt/snap-self", "/usr/bin/snap-self", "/etc/apt/apt.conf.d/65snap-self", GUARD)
HIDE_PYTHON = """
rm /usr/bin/python3*
for folder in /usr/lib/python3*; do mount -t tmpfs none "$folder"; done
"""
PLACE = "/tmp/snap-self.deb"


@pytest.fixture
def packaged(world: World) -> World:
    """Return a world in which the agent comes from the package, not from the checkout."""
    world.run("rm", "-rf", *OURS)
    world.path(PLACE).write_bytes(deb().read_bytes())
    done = world.apt("install", PLACE)
    assert done.status == 0, done.err
    return world


def test_package_brings_a_hook_that_works_without_the_systems_python(
    packaged: World, cloud: Cloud
) -> None:
    assert not cloud.asked_anything()  # its own installation is no risk
    packaged.run("sh", "-c", HIDE_PYTHON)
    assert packaged.run("python3", "-c", "pass").status != 0
    done = packaged.apt("install", "libc6")
    assert (done.status, packaged.version("libc6")) == (0, "2.36-10"), done.err
    assert cloud.befores() == ["apt: upgrade libc6"]
    # A row a run, however many disks it has.
    assert packaged.run("snap-self", "list").out.count("apt: upgrade libc6") == 1


def test_removed_package_leaves_an_apt_that_works(packaged: World, cloud: Cloud) -> None:
    assert packaged.apt("remove", "snap-self").status == 0
    assert packaged.path(GUARD).exists()
    cloud.begin_anew()
    done = packaged.apt("install", "libc6")
    assert (done.status, "snap-self" in done.err) == (0, False), done.err
    assert not cloud.asked_anything()
    assert packaged.apt("purge", "snap-self").status == 0
    assert not packaged.path(GUARD).exists()
    done = packaged.apt("install", "systemd")
    assert (done.status, done.err.count("not found")) == (0, 0), done.err

"""Other tools, vanished mounts, calls that hang, writers: what a freeze meets on a machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from freeze_images import WRITER, is_clean
from freeze_rig import SIZES_MIB, Disk, Rig, frozen_by_another, guard, rig, run, skip_reason

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(skip_reason()), reason=skip_reason() or "-"),
]


@pytest.fixture
def loops(tmp_path: Path) -> Iterator[Rig]:
    with rig(tmp_path) as made:
        yield made


def test_filesystem_frozen_by_another_tool_is_refused_and_left_to_it(loops: Rig) -> None:
    first, second = loops.disk(), loops.disk()
    agent = loops.agent(first, second)
    agent.do("prepare")
    with frozen_by_another(second):
        answer = agent.do("freeze")
        assert "another tool has frozen it already" in answer
        assert loops.writable(first, within_s=1)
        assert not loops.writable(second, within_s=0.3)
    assert loops.all_writable(within_s=1)
    assert loops.gone(loops.marker, within_s=1)


def test_thaw_by_another_tool_while_held_is_told(loops: Rig) -> None:
    first, second = loops.disk(), loops.disk()
    agent = loops.agent(first, second)
    agent.do("prepare")
    agent.do("freeze")
    run("fsfreeze", "--unfreeze", second.path)
    answer = agent.do("thaw")
    assert f"held=False frozen=[] s={answer.split('s=')[1].split()[0]}" in answer
    assert f"{second.path}: thawed by somebody else" in answer
    assert loops.all_writable(within_s=1)


def test_one_freeze_through_a_bind_mount_freezes_and_thaws_the_whole(loops: Rig) -> None:
    disk = loops.disk()
    (disk.path / "inner").mkdir()
    bound = loops.base / "bound"
    bound.mkdir()
    run("mount", "--bind", disk.path / "inner", bound)
    try:
        guard(bound)
        agent = loops.agent(bound)
        agent.do("prepare")
        assert agent.do("freeze") == "ok"
        assert not loops.writable(disk, within_s=0.3)
        assert "held=True" in agent.do("thaw")
        assert loops.writable(disk, within_s=1)
    finally:
        loops.thaw_all()
        agent.close()
        run("umount", bound)


def nested(loops: Rig) -> tuple[Disk, Path]:
    """Return a disk and a mount point on it that carries another: its parent is never ``/``."""
    outer, inner = loops.disk(), loops.disk()
    place = outer.path / "place"
    place.mkdir()
    run("umount", inner.path)
    run("mount", inner.device, place)
    return outer, place


def test_mount_gone_since_the_plan_is_refused_before_anything_is_frozen(loops: Rig) -> None:
    outer, place = nested(loops)
    agent = loops.agent(place)
    assert agent.do("check") == "False"  # by now it has looked at its target, as a plan does
    run("umount", place)
    assert "no longer the mount that the plan saw" in agent.do("prepare")
    assert loops.writable(outer, within_s=1)


def test_lazily_unmounted_mount_is_refused_and_its_parent_not_frozen(loops: Rig) -> None:
    outer, place = nested(loops)
    agent = loops.agent(place)
    agent.do("prepare")
    run("umount", "--lazy", place)
    assert "no longer mounted where it was" in agent.do("freeze")
    assert loops.writable(outer, within_s=1)
    assert loops.gone(loops.marker, within_s=1)


def test_unmount_while_prepared_is_refused_by_the_kernel(loops: Rig) -> None:
    disk = loops.disk()
    agent = loops.agent(disk)
    agent.do("prepare")
    tried = subprocess.run(["umount", str(disk.path)], capture_output=True, text=True)
    assert tried.returncode != 0
    assert agent.do("freeze") == "ok"
    assert "held=True" in agent.do("thaw")


def test_second_mount_over_a_frozen_one_does_not_hinder_the_thaw(loops: Rig) -> None:
    disk = loops.disk()
    agent = loops.agent(disk)
    agent.do("prepare")
    agent.do("freeze")
    run("mount", "-t", "tmpfs", "tmpfs", disk.path)
    try:
        answer = agent.do("thaw")
    finally:
        run("umount", disk.path)
    assert "held=True" in answer
    assert loops.writable(disk, within_s=1)


def test_freeze_call_that_hangs_does_not_keep_the_others_frozen(loops: Rig) -> None:
    # In the wrong order on purpose: an image cannot be frozen once the filesystem it lies on is,
    # for freezing it writes to it. The order module and the pre-flight both prevent this.
    backing = loops.disk(size_mib=256)
    image = loops.disk(store=backing.path)
    agent = loops.agent(backing, image, hold_s=1.5, in_order=True)
    agent.do("prepare")
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(image.path)])
    try:
        agent.tell("freeze")
        assert loops.blocked(backing, within_s=5)
        assert loops.all_writable(within_s=2.5)
        assert agent.answer().startswith("error quiesce-failed: the freeze reached its time limit")
    finally:
        loops.thaw_all()
        writer.kill()
        writer.wait()
    assert loops.all_writable(within_s=1)
    assert loops.gone(loops.marker, within_s=1)


def captured(loops: Rig, fstype: str, *, freeze: bool) -> list[bool]:
    """Return which images, copied under a writer, are clean without any replay."""
    disk = loops.disk(fstype)
    copy = loops.base / "store" / "copy"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(disk.path)], stderr=subprocess.DEVNULL
    )
    clean = []
    try:
        for _ in range(2):
            agent = loops.agent(disk, hold_s=8)
            agent.do("prepare")
            loops.busy(disk)
            if freeze:
                assert agent.do("freeze") == "ok"
            run("cp", "--sparse=always", disk.image, copy)
            if freeze:
                assert "held=True" in agent.do("thaw")
            clean.append(is_clean(fstype, copy))
            agent.close()
    finally:
        loops.thaw_all()
        writer.kill()
        writer.wait()
    return clean


@pytest.mark.slow
@pytest.mark.parametrize("fstype", sorted(SIZES_MIB))
def test_image_taken_while_held_under_a_writer_is_clean(loops: Rig, fstype: str) -> None:
    if reason := skip_reason((fstype,)):
        pytest.skip(reason)
    assert captured(loops, fstype, freeze=True) == [True, True]


@pytest.mark.slow
def test_image_taken_without_the_freeze_is_not_clean(loops: Rig) -> None:
    if shutil.which("mkfs.xfs") is None:
        pytest.skip("needs mkfs.xfs")
    unclean = [
        fstype for fstype in ("ext4", "xfs") if not all(captured(loops, fstype, freeze=False))
    ]
    assert unclean

"""Where a copy may be mounted, and whether anything is: told by the kernel's table."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from snap_self.errors import PreconditionRefused
from snap_self.system import mount_points
from snap_self.system.mount_points import MountPoints, keeps_others_out

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder away")


def test_new_place_to_which_all_users_could_come_is_refused() -> None:
    with pytest.raises(PreconditionRefused, match="all users") as caught:
        MountPoints().check("/usr/snap-self-no-such-folder")
    assert "/root" in caught.value.hint


def test_permissions_of_the_place_itself_do_not_help() -> None:
    # They are hidden by those of the copy's own root.
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        assert Path(place).stat().st_mode & 0o777 == 0o700
        with pytest.raises(PreconditionRefused, match="all users"):
            MountPoints().check(place)


def test_place_in_a_folder_that_others_cannot_enter_is_taken(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "open/there").mkdir(parents=True)
    closed.chmod(0o700)
    (closed / "open").chmod(0o755)
    assert MountPoints().check(str(closed / "open/new"))
    assert not MountPoints().check(str(closed / "open/there"))


def test_usual_place_is_taken() -> None:
    places = MountPoints()
    assert places.check(places.usual("no-such-copy"))


@pytest.mark.parametrize(
    ("mode", "group", "keeps"),
    [(0o700, 0, True), (0o750, 0, True), (0o750, 4, False), (0o701, 0, False), (0o711, 4, False)],
)
@AS_ROOT
def test_others_are_kept_out_by_the_bit_to_enter_alone(
    tmp_path: Path, mode: int, group: int, keeps: bool
) -> None:
    os.chown(tmp_path, 0, group)
    tmp_path.chmod(mode)
    assert keeps_others_out(tmp_path) is keeps


@AS_ROOT
def test_users_of_an_access_control_list_are_not_kept_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.chown(tmp_path, 0, 0)
    tmp_path.chmod(0o750)
    monkeypatch.setattr(os, "listxattr", lambda path: ["system.posix_acl_access"])
    assert not keeps_others_out(tmp_path)


@AS_ROOT
def test_folder_of_another_user_keeps_nobody_out(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    os.chown(tmp_path, 65534, 0)
    assert not keeps_others_out(tmp_path)


@pytest.mark.parametrize(("path", "mounted"), [("/proc", True), ("/proc/self", False)])
def test_what_is_mounted_is_known(path: str, *, mounted: bool) -> None:
    assert MountPoints().is_mounted(path) is mounted


def test_place_itself_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: object, **__: object) -> None:
        raise AssertionError("a disk that does not answer may be below it")

    monkeypatch.setattr("os.stat", hang)
    monkeypatch.setattr("os.lstat", hang)
    assert MountPoints().is_mounted("/proc")


def test_time_limit_is_set_where_systemd_takes_half_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[Sequence[str]] = []

    def busy(argv: Sequence[str], *, timeout: float, **_: Any) -> subprocess.CompletedProcess[str]:
        if timeout < 30:
            raise subprocess.TimeoutExpired(argv, timeout)
        ran.append(argv)
        return subprocess.CompletedProcess(argv, 0)

    (tmp_path / mount_points.SERVICE_FILE).touch()
    monkeypatch.setattr(mount_points, "UNIT_FOLDERS", (str(tmp_path),))
    monkeypatch.setattr(mount_points, "SYSTEMD", tmp_path)
    monkeypatch.setattr(mount_points, "DROP_INS", tmp_path / "run")
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(subprocess, "run", busy)

    assert MountPoints().end_after("r1", 60)

    timer = "snap-self-unmount@r1.timer"
    assert ran == [("systemctl", "daemon-reload"), ("systemctl", "restart", timer)]
    text = (tmp_path / "run" / f"{timer}.d" / "for.conf").read_text()
    assert text == "[Timer]\nOnActiveSec=\nOnActiveSec=60s\n"

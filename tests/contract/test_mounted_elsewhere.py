"""Disks that are mounted in another mount namespace, seen whatever the place is called."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from snap_self.system.going_back.users import mounted_by

pytestmark = pytest.mark.root

SCRIPT = 'mount -t tmpfs none "$0" && stat -c %Hd:%Ld "$0" && exec cat'


@pytest.mark.parametrize("name", ["plain", "a\rb", "a\x85b", "a\nb", "a b"])
def test_mount_is_seen_whatever_its_place_is_called(tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    place.mkdir()
    with subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", SCRIPT, str(place)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            device = process.stdout.readline().strip()
            assert [user.pid for user in mounted_by([device])] == [process.pid]
            assert [user.pid for user in mounted_by(["1:99"])] == []
        finally:
            process.kill()

"""Names of systemd's units for paths, as systemd itself spells them."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from snap_self.system.going_back.units import unit_of_path

pytestmark = pytest.mark.skipif(not shutil.which("systemd-escape"), reason="needs systemd-escape")


@pytest.mark.parametrize(
    "path",
    ["/srv/data", "/", "/srv//a-b/", "/.hidden/.x", "/srv/ü b", "/a\\b", "/dev/disk/by-label/x"],
)
def test_unit_of_a_path_is_spelt_as_systemd_does(path: str) -> None:
    told = subprocess.run(
        ["systemd-escape", "--path", "--suffix=mount", path],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == unit_of_path(path, "mount")

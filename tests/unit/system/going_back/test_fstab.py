"""What /etc/fstab says of disks that are to be away for a while."""

from __future__ import annotations

import pytest

from snap_self.system.going_back.fstab import has_kernel_name, lines_of

TEXT = """# <file system> <mount point> <type> <options> <dump> <pass>
UUID=0af1 / ext4 errors=remount-ro 0 1
UUID="0af2" /srv xfs defaults 0 2

/dev/vdb1 /srv/with\\040space ext4
LABEL=logs /var/log/app ext4 defaults,nofail 0 2
/dev/vdc none swap sw 0 0
"""
LINKS = {
    "/dev/disk/by-uuid/0af1": "/dev/vda1",
    "/dev/disk/by-uuid/0af2": "/dev/vdd",
    "/dev/disk/by-label/logs": "/dev/vde",
}


def real(path: str) -> str:
    return LINKS.get(path, path)


def test_line_is_found_by_its_place_or_by_its_device_whatever_names_it() -> None:
    found = lines_of(TEXT, {"/srv/with space"}, {"/dev/vdd", "/dev/vde"}, real=real)
    assert [(line.place, line.needed) for line in found] == [
        ("/srv", True),
        ("/srv/with space", True),
        ("/var/log/app", False),
    ]


@pytest.mark.parametrize("option", ["nofail", "noauto", "x-systemd.automount"])
def test_boot_does_not_wait_for_what_may_be_missing(option: str) -> None:
    (line,) = lines_of(f"/dev/vdb /srv xfs rw,{option} 0 2\n", {"/srv"}, ())
    assert not line.needed
    (line,) = lines_of("/dev/vdb /srv xfs rw 0 2\n", {"/srv"}, ())
    assert line.needed


def test_name_that_the_kernel_counts_is_told_from_one_that_lasts() -> None:
    found = lines_of(TEXT, {"/", "/srv", "/srv/with space"}, {"/dev/vdc"}, real=real)
    assert [line.node for line in found if has_kernel_name(line)] == ["/dev/vdb1", "/dev/vdc"]
    mapped = lines_of("/dev/mapper/vg0-data /srv xfs\n/dev/sr0 /cd iso9660\n", {"/srv", "/cd"}, ())
    assert not any(map(has_kernel_name, mapped))

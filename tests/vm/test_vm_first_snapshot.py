"""A stranger installs the package and snapshots the machine; a new guest boots from the images."""

from __future__ import annotations

from pathlib import Path

import pytest
from guest_driver import Disk, running
from guest_prepared import ROOT_GIB, Begin, Saved, install

pytestmark = [pytest.mark.vm, pytest.mark.slow]


def test_stranger_snapshots_the_machine_and_a_new_guest_boots_from_it(
    plain_guest: Saved, package: Path, begin: Begin, story_folder: Path
) -> None:
    guest = begin(plain_guest, Disk(bus="nvme"))
    guest.do(
        "mkfs.ext4 -q /dev/nvme0n1 && mkdir /srv/data && mount /dev/nvme0n1 /srv/data"
        " && echo '/dev/disk/by-label/data /srv/data ext4 defaults 0 2' >>/etc/fstab"
        " && e2label /dev/nvme0n1 data && echo precious >/srv/data/file"
    )
    install(guest, package)

    doctor = guest.run("snap-self doctor")
    assert doctor.status == 0, doctor.out + doctor.err

    report = guest.run("snap-self --before 'os upgrade' --json").checked().json
    assert report["consistency"]["reached"] == "flush"
    members = {shown["disk_id"]: shown for shown in report["snapshots"]}
    assert set(members) == set(guest.disk_ids)
    assert len({shown["group_id"] for shown in members.values()} - {None}) == 1
    guest.do("echo ruined >/srv/data/file; echo ruined >/root/after; sync")

    images = [guest.captured(members[disk]["snapshot_id"]) for disk in guest.disk_ids]
    with running(
        Disk(size_gib=ROOT_GIB, image=images[0]),
        Disk(image=images[1], bus="nvme"),
        folder=story_folder / "new",
        ssh_key=plain_guest.ssh_key,
        ca_dir=plain_guest.ca_dir,
    ) as new:
        assert new.do("cat /srv/data/file") == "precious\n"
        assert new.run("test -e /root/after").status != 0
        assert new.do("systemctl --failed --no-legend") == ""
        assert new.do("snap-self --version").startswith("snap-self ")

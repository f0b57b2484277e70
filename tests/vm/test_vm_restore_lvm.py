"""Snapshots of logical volumes opened beside their originals, by the real LVM, udev and systemd.

The group of the originals is asked as an administrator asks it, without any restriction: it must
be the same group before, meanwhile and after, and obey.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from guest_copies import LIMIT_S, left, mounted, serial_of, snapshot
from guest_driver import Disk, Guest, wait_until
from guest_prepared import Begin, Saved, resumed

from run_directory import RunDirectory

pytestmark = [pytest.mark.vm, pytest.mark.slow]

STORIES_LIMIT_S = 2400.0
WIDE, PARTED = "/srv/wide", "/srv/parted"
# {0} to {2} stand for the devices of the data disks.
LAYOUT = """
set -e
pvcreate -qq {0} {1}
vgcreate -qq data {0} {1}
lvcreate -qq -y -i 2 -n the-files -L 600M data
mkfs.ext4 -q /dev/data/the-files
printf ',\\n' | sfdisk -q {2}
for try in $(seq 60); do
    udevadm settle
    part=$(lsblk -nrpo NAME,TYPE {2} | awk '$2 == "part" {{print $1}}')
    [ -z "$part" ] || break
    sleep 1
    blockdev --rereadpt {2} || true
done
pvcreate -qq $part && vgcreate -qq parted $part && lvcreate -qq -y -n one -L 400M parted
mkfs.xfs -q /dev/parted/one
mkdir /srv/wide /srv/parted
mount /dev/data/the-files /srv/wide && mount /dev/parted/one /srv/parted
for top in /srv/wide /srv/parted; do
    mkdir $top/site && echo then >$top/site/page && chmod 640 $top/site/page
    dd if=/dev/urandom of=$top/site/picture bs=1M count=20 2>/dev/null
done
sync
"""
REPORTS = (
    "vgs -o vg_name,vg_uuid,vg_attr,pv_count,lv_count,vg_seqno,vg_size,vg_free",
    "pvs -o pv_name,pv_uuid,vg_name,pv_attr,pv_size,pv_free",
    "lvs -o vg_name,lv_name,lv_uuid,lv_attr,lv_size,devices",
)


@pytest.fixture(scope="module")
def guest(agent_guest: Saved, run_directory: RunDirectory) -> Iterator[Guest]:
    (run_directory.root / "vm").mkdir(exist_ok=True)
    folder = run_directory.new_folder("vm", "restore-lvm")
    disks = (Disk(), Disk(bus="nvme"), Disk())
    with resumed(agent_guest, *disks, folder=folder, limit_s=STORIES_LIMIT_S) as guest:
        guest.do(LAYOUT.format(*map(guest.device_of, guest.disk_ids[1:])))
        snapshot(guest, WIDE, PARTED)
        for top in (WIDE, PARTED):
            guest.do(f"echo now >{top}/site/page && rm {top}/site/picture")
        yield guest


def groups(guest: Guest) -> dict[str, str]:
    """Return what LVM tells of all groups without a word of warning, and what is mapped of them.

    That something of a copy is mapped is no secret; LVM does not see its group.
    """
    found = {}
    for report in REPORTS:
        said = guest.run(report).checked()
        assert said.err == "", said.err
        found[report] = said.out
    mapped = guest.do("dmsetup table").splitlines()
    found["mapped"] = "\n".join(line for line in mapped if not line.startswith("snapself_"))
    return found


def links(guest: Guest) -> str:
    """Return where all links by id lead."""
    return guest.do("udevadm settle; cd /dev/disk && ls -l by-uuid by-label 2>&1 | grep -- '->'")


@pytest.mark.parametrize("top", [WIDE, PARTED], ids=["ext4-over-two", "xfs-on-a-partition"])
def test_files_of_a_volume_are_brought_back_and_its_group_is_as_it_was(
    guest: Guest, top: str
) -> None:
    before, linked = groups(guest), links(guest)

    done = guest.run(f"snap-self restore last {top}/site --yes", timeout_s=LIMIT_S)

    assert done.status == 0, done.out + done.err
    assert guest.do(f"cat {top}/site/page") == "then\n"
    assert guest.do(f"stat -c '%a %s' {top}/site/page {top}/site/picture").split() == [
        *("640", "5"),
        *("644", str(20 << 20)),
    ]
    assert (groups(guest), links(guest)) == (before, linked)
    assert left(guest) == []
    guest.do(f"echo now >{top}/site/page")


@pytest.mark.parametrize("top", [WIDE, PARTED], ids=["ext4-over-two", "xfs-on-a-partition"])
def test_group_obeys_while_a_copy_of_it_is_mounted_and_afterwards(guest: Guest, top: str) -> None:
    volume = guest.do(f"findmnt -no SOURCE {top}").strip()
    before, linked = groups(guest), links(guest)

    place = mounted(guest, top)

    try:
        assert guest.do(f"cat {place}/site/page") == "then\n"
        assert guest.run(f"echo x >{place}/site/page").status != 0
        assert groups(guest) == before
        assert links(guest) == linked
        extended = guest.run(f"lvextend -r -L +40M {volume}")
        assert extended.status == 0, extended.err
        assert "duplicate" not in extended.out + extended.err
        assert guest.do(f"cat {place}/site/page {top}/site/page") == "then\nnow\n"
        kinds = {line.partition(" ")[0] for line in left(guest)}
        assert kinds >= {"disk", "record", "rule", "mount", "mapped"}
    finally:
        closed = guest.run(f"snap-self unmount {place}", timeout_s=LIMIT_S)
    assert closed.status == 0, closed.err
    assert left(guest) == []
    guest.do(f"lvextend -r -L +40M {volume}")


def test_devices_file_of_lvm_gets_no_entry_and_is_obeyed(guest: Guest) -> None:
    guest.do(
        "sed -i 's/^\\(\\s*\\)#* *use_devicesfile = .*/\\1use_devicesfile = 1/' /etc/lvm/lvm.conf"
        " && lvm vgimportdevices -a && grep IDNAME /etc/lvm/devices/system.devices"
    )
    try:
        told = guest.do("cat /etc/lvm/devices/system.devices")
        before = groups(guest)
        place = mounted(guest, WIDE)
        assert guest.do(f"cat {place}/site/page") == "then\n"
        assert groups(guest) == before
        guest.do(f"snap-self unmount {place}", timeout_s=LIMIT_S)
        assert guest.do("cat /etc/lvm/devices/system.devices") == told
        assert left(guest) == []
    finally:
        guest.do(
            "sed -i 's/use_devicesfile = 1/use_devicesfile = 0/' /etc/lvm/lvm.conf"
            " && rm -f /etc/lvm/devices/system.devices"
        )


def test_volume_that_somebody_uses_stays_and_goes_when_they_let_go(guest: Guest) -> None:
    before = groups(guest)
    place = mounted(guest, WIDE)
    pid = guest.start(f"exec sleep 3600 <{place}/site/page")
    wait_until(lambda: guest.run(f"ls /proc/{pid}/fd/0").status == 0, "the reader")

    refused = guest.run(f"snap-self unmount {place}", timeout_s=LIMIT_S)

    assert refused.status == 21, refused.out + refused.err
    assert f"sleep ({pid})" in refused.out + refused.err
    assert groups(guest) == before
    guest.do(f"kill {pid}")
    closed = guest.run("snap-self unmount --all", timeout_s=LIMIT_S)
    assert closed.status == 0, closed.out + closed.err
    assert left(guest) == []
    assert groups(guest) == before


def test_file_of_a_root_volume_comes_back_and_a_power_cut_beside_its_copy_is_survived(
    lvm_guest: Saved, begin: Begin
) -> None:
    guest = begin(lvm_guest)
    assert guest.do("findmnt -no SOURCE /").strip() == "/dev/mapper/system-root"
    guest.do("echo then >/root/file")
    snapshot(guest, "/")
    guest.do("echo now >/root/file && chmod 600 /root/file && sync")
    before, linked = groups(guest), links(guest)

    done = guest.run("snap-self restore last /root/file --yes", timeout_s=LIMIT_S)

    assert done.status == 0, done.out + done.err
    assert guest.do("cat /root/file && stat -c %a /root/file").split() == ["then", "644"]
    assert (groups(guest), links(guest)) == (before, linked)
    assert left(guest) == []

    # The copy has the root volume's group: of two by that name the machine could boot either.
    guest.do("echo now >/root/file && sync")
    place = mounted(guest, "/")
    assert guest.do(f"cat {place}/root/file") == "then\n"
    assert (groups(guest), links(guest)) == (before, linked)

    guest.crash()
    guest.power_on()

    assert serial_of(guest, "/") == guest.cloud.disks[0].serial
    assert guest.do("cat /root/file") == "now\n"
    assert left(guest) == []
    after = groups(guest)
    assert {each: after[each] for each in REPORTS} == {each: before[each] for each in REPORTS}

"""What carries what: real volume managers on real virtual disks, the plan held against the truth.

The truth is by construction: each filesystem is made on devices that were found by the serials of
known disks, by ``lsblk``, not by the agent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from guest_driver import Disk, Guest
from guest_prepared import Saved, resumed

from run_directory import RunDirectory

pytestmark = [pytest.mark.vm, pytest.mark.slow]

NVME_AT = (1, 8, 10)
DATA_DISKS = 11
WITHOUT_SERIAL = 11  # and the only one of its size
# {1} to {11} stand for the devices of the data disks.
LAYOUTS = """
set -e
mkdir -p /m/lvm /m/raid1 /m/raid0 /m/luks /m/btrfs /m/part1 /m/part2 /m/bind /m/old
pvcreate -qq {1} {2}
vgcreate -qq vg0 {1} {2}
lvcreate -qq -y --wipesignatures n -i 2 -n wide -l 100%FREE vg0
mkfs.ext4 -q /dev/vg0/wide && mount /dev/vg0/wide /m/lvm
mdadm --quiet --create /dev/md1 --level=1 --raid-devices=2 --metadata=1.2 --run {3} {4}
mkfs.xfs -q /dev/md1 && mount /dev/md1 /m/raid1
mdadm --quiet --create /dev/md0 --level=0 --raid-devices=2 --run {5} {6}
mkfs.ext4 -q /dev/md0 && mount /dev/md0 /m/raid0
pvcreate -qq {7} && vgcreate -qq vg1 {7} && lvcreate -qq -y -n secret -l 80%FREE vg1
printf pass | cryptsetup -q luksFormat --pbkdf pbkdf2 --pbkdf-force-iterations 1000 /dev/vg1/secret
printf pass | cryptsetup open --key-file - /dev/vg1/secret secret
mkfs.ext4 -q /dev/mapper/secret && mount /dev/mapper/secret /m/luks
mkfs.btrfs -q -d raid0 {8} {9} && mount {8} /m/btrfs
printf 'size=300M\\n+\\n' | sfdisk -q {10}
# While udev still probes the disk the kernel does not read its new table.
for try in $(seq 60); do
    udevadm settle
    set -- $(lsblk -nrpo NAME,TYPE {10} | awk '$2 == "part" {{print $1}}')
    [ $# -ne 2 ] || break
    sleep 1
    blockdev --rereadpt {10} || true
done
mkfs.ext4 -q $1 && mount $1 /m/part1
mkfs.xfs -q -f $2 && mount $2 /m/part2
mount --bind /m/lvm /m/bind
mkfs.ext4 -q {11} && mount {11} /m/old
"""


@pytest.fixture(scope="module")
def guest(agent_guest: Saved, run_directory: RunDirectory) -> Iterator[Guest]:
    (run_directory.root / "vm").mkdir(exist_ok=True)
    folder = run_directory.new_folder("vm", "mapping")
    disks = [Disk(bus="nvme" if n in NVME_AT else "virtio") for n in range(1, DATA_DISKS)]
    disks.append(Disk(size_gib=2, fields={"serial": ""}))
    with resumed(agent_guest, *disks, folder=folder) as guest:
        guest.do(LAYOUTS.format(*truth(guest).values()))
        yield guest


def truth(guest: Guest) -> dict[str, str]:
    """Return each disk's device now, found by serial; the one without a serial by its size."""
    found = guest.do("lsblk -dnbpo NAME,SIZE | awk '$2 == 2147483648 {print $1}'").strip()
    serial = [disk_id for place, disk_id in enumerate(guest.disk_ids) if place != WITHOUT_SERIAL]
    devices = {disk_id: guest.device_of(disk_id) for disk_id in serial}
    return {**devices, guest.disk_ids[WITHOUT_SERIAL]: found}


def plan(guest: Guest, *options: str) -> dict[str, Any]:
    """Return what the agent would do."""
    said = guest.run(f"snap-self plan --before test --json {' '.join(options)}")
    assert said.status in (0, 7), said.out + said.err
    shown: dict[str, Any] = said.json
    return shown


def targets(guest: Guest, *options: str) -> set[str]:
    """Return the disks the agent would snapshot."""
    return {disk["disk_id"] for disk in plan(guest, *options)["disks"]}


# Mount points and the data disks that carry them; 0 is the system disk.
TRUTH = {
    "/": (0,),
    "/m/lvm": (1, 2),
    "/m/bind": (1, 2),
    "/m/raid1": (3, 4),
    "/m/raid0": (5, 6),
    "/m/luks": (7,),
    "/m/btrfs": (8, 9),
    "/m/part1": (10,),
    "/m/part2": (10,),
    "/m/old": (11,),
}


def test_mounts_are_mapped_to_the_disks_that_carry_them(guest: Guest) -> None:
    shown = {
        disk["disk_id"]: {mount["path"] for mount in disk["mounts"]}
        for disk in plan(guest)["disks"]
    }
    carried = {
        disk_id: {path for path, carriers in TRUTH.items() if place in carriers}
        for place, disk_id in enumerate(guest.disk_ids)
    }
    assert shown == carried


@pytest.mark.parametrize("path", ["/m/bind", "/m/luks"])
def test_path_is_carried_by_its_disks_alone(guest: Guest, path: str) -> None:
    assert targets(guest, "--path", path) == {guest.disk_ids[n] for n in TRUTH[path]}


def test_all_disks_are_mapped_to_their_devices(guest: Guest) -> None:
    shown = {disk["disk_id"]: disk["device"] for disk in plan(guest)["disks"]}
    assert shown == truth(guest)


def test_hot_attached_disk_is_mapped_and_forgotten_when_it_is_gone(guest: Guest) -> None:
    made = guest.operator.call(
        "CreateDisk",
        ZoneId=guest.cloud.ready["zone_id"],
        Size=1,
        DiskCategory="cloud_essd",
        PerformanceLevel="PL0",
    )["DiskId"]
    guest.operator.wait_for_disk(made, "Available")
    device = guest.attach(made)
    guest.do(f"mkfs.ext4 -q {device} && mkdir -p /m/hot && mount {device} /m/hot")
    mapped = targets(guest, "--path", "/m/hot")
    guest.do("umount /m/hot")
    guest.detach(made)
    assert (mapped, made in targets(guest)) == ({made}, False)


@pytest.mark.long
def test_names_that_changed_over_a_restart_do_not_mislead(guest: Guest) -> None:
    third = guest.disk_ids[3]
    guest.do("umount /m/raid1 && mdadm --stop /dev/md1")
    before = truth(guest)
    guest.detach(third)
    guest.attach(third)  # from now on it comes last
    guest.stop()
    guest.power_on()
    after = truth(guest)
    shown = {disk["disk_id"]: disk["device"] for disk in plan(guest)["disks"]}
    assert (after != before, shown) == (True, after)

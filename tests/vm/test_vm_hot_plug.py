"""A temporary disk plugged into a real guest: udev, systemd, LVM, md and btrfs leave it alone.

The guest has all of them on its disks, and a watcher that looks many times a second. At the end a
disk of the same content is plugged in by somebody else: then the watchers see what they look for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from guest_copies import LIMIT_S, RULE, left
from guest_driver import Disk, Guest, wait_until
from guest_looking_back import allow, refused
from guest_prepared import Saved, resumed

from run_directory import RunDirectory

pytestmark = [pytest.mark.vm, pytest.mark.slow]

# {1} is a virtio disk, {2} an NVMe disk. The array lacks a member, which a copy must not become.
LAYOUT = """
set -e
mkdir /srv/lvm /srv/part /srv/array /srv/btrfs
pvcreate -qq {1} && vgcreate -qq vg0 {1}
lvcreate -qq -y --wipesignatures n -n data -l 50%FREE vg0
mkfs.ext4 -q -L on-lvm /dev/vg0/data && mount /dev/vg0/data /srv/lvm
printf 'label: gpt\\nsize=320M\\nsize=200M\\nsize=100M\\n+\\n' | sfdisk -q {2}
# While udev still probes the disk the kernel does not read its new table.
for try in $(seq 60); do
    udevadm settle
    [ ! -e {2}p4 ] || break
    sleep 1
    blockdev --rereadpt {2} || true
done
mkfs.xfs -q -f -L on-part {2}p1 && mount {2}p1 /srv/part
mdadm --quiet --create /dev/md0 --level=1 --raid-devices=2 --metadata=1.2 --run {2}p2 missing
mkfs.ext4 -q -L on-array /dev/md0 && mount /dev/md0 /srv/array
mkswap -q -L on-swap {2}p3 && swapon {2}p3
mkfs.btrfs -q -L on-btrfs {2}p4 && mount {2}p4 /srv/btrfs
for top in lvm part; do echo then >/srv/$top/file; done
echo then >/root/file
udevadm settle
for program in /usr/sbin/lvm /usr/sbin/mdadm; do
    auditctl -a always,exit -F arch=b64 -S execve -F path=$program -k assemblers
done
"""
# Notes each state of the links by identity, and of the rule and the block devices together.
WATCHER = f"""
import json, os, time
TOP = "/dev/disk"
links, states = {{}}, []
def linked():
    for kind in os.listdir(TOP):
        for name in os.listdir(TOP + "/" + kind):
            try:
                yield kind + "/" + name, os.readlink(TOP + "/" + kind + "/" + name)
            except FileNotFoundError:
                pass
while not os.path.exists("/run/watched"):
    rule = os.path.exists("{RULE}")
    state = [rule, sorted(os.listdir("/sys/class/block"))]
    if states[-1:] != [state]:
        states.append(state)
    for name, target in linked():
        links.setdefault(name, [])
        if target not in links[name]:
            links[name].append(target)
    time.sleep(0.005)
print(json.dumps([links, states]))
"""
MONITOR = "udevadm monitor --udev --property --subsystem-match=block >/run/events"
WATCH = f"""
rm -f /run/watched
{MONITOR} & monitor=$!
python3 /root/watcher.py
sleep 1
kill $monitor
"""
IDENTITY = ("ID_FS_TYPE", "ID_FS_UUID", "ID_PART_TABLE_TYPE")
LINKS = "cd /dev/disk && for link in */*; do echo $link $(readlink $link); done"
UNITS = "systemctl list-units --type=device --all --plain --no-legend | awk '{print $1, $4}'"
ASSEMBLED = "ausearch --input-logs -k assemblers --raw 2>/dev/null | grep type=EXECVE || true"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What was seen while a disk came and went.

    Args:
        links: targets of each link below ``/dev/disk``, in the order they came.
        states: whether the rule was there, and the kernel's block devices.
        events: udev's, with their properties.
    """

    links: dict[str, list[str]]
    states: list[tuple[bool, frozenset[str]]]
    events: list[dict[str, str]]

    @property
    def at_first(self) -> frozenset[str]:
        """Return the block devices before."""
        return self.states[0][1]

    @property
    def new(self) -> set[str]:
        """Return the block devices that came; free loop devices are none."""
        return {name for _, names in self.states for name in names - self.at_first}

    def events_of_new(self) -> list[dict[str, str]]:
        """Return what udev made of devices that were not there at first."""
        return [
            each
            for each in self.events
            if each["DEVNAME"].rpartition("/")[2] in self.new and each["ACTION"] != "remove"
        ]


@pytest.fixture(scope="module")
def guest(agent_guest: Saved, run_directory: RunDirectory) -> Iterator[Guest]:
    (run_directory.root / "vm").mkdir(exist_ok=True)
    folder = run_directory.new_folder("vm", "hot-plug")
    with resumed(agent_guest, Disk(), Disk(bus="nvme"), folder=folder) as guest:
        guest.do(LAYOUT.format(*(guest.device_of(each) for each in guest.disk_ids)))
        guest.write("/root/watcher.py", WATCHER)
        allow(guest, "--restore")
        # Without it the printed role may make no disk of them: members carry no tag then.
        guest.cloud.control("PUT", "groups", {"propagate_tags": True})
        guest.run("snap-self --before 'os upgrade' --json", timeout_s=LIMIT_S).checked()
        guest.do("for file in /root /srv/lvm /srv/part; do echo now >$file/file; done; sync")
        yield guest


def begin_watch(guest: Guest) -> int:
    """Start the watchers; return the process to wait for."""
    watching = guest.start(WATCH)
    guest.do("until [ -s /run/events ]; do sleep 0.2; done")
    return watching


def end_watch(guest: Guest, watching: int) -> Watched:
    """End the watchers; return what they saw."""
    guest.do("udevadm settle; touch /run/watched")
    ran = wait_until(lambda: guest.ended(watching), "the watchers' end")
    links, states = ran.checked().json
    blocks = guest.do("cat /run/events").split("\n\n")
    pairs = [
        [line.partition("=") for line in block.splitlines() if "=" in line] for block in blocks
    ]
    events = [{name: value for name, _, value in block} for block in pairs]
    return Watched(
        links=links,
        states=[(rule, frozenset(names)) for rule, names in states],
        events=[each for each in events if "DEVNAME" in each],
    )


def units_of(guest: Guest) -> set[tuple[str, str]]:
    """Return systemd's devices, each with its state."""
    return {(name, sub) for name, sub in map(str.split, guest.do(UNITS).splitlines())}


def assembled(guest: Guest) -> list[str]:
    """Return how udev's rules started what assembles groups and arrays, by now."""
    lines = guest.do(ASSEMBLED).splitlines()
    return [line for line in lines if "pvscan" in line or "mdadm" in line]


@pytest.mark.parametrize(
    ("top", "file"),
    [("/", "root/file"), ("/srv/lvm", "file"), ("/srv/part", "file")],
    ids=["virtio-partition", "virtio-lvm", "nvme-partition"],
)
def test_temporary_disk_is_held_back_from_before_it_comes_until_it_is_gone(
    guest: Guest, top: str, file: str
) -> None:
    links, units, ran = guest.do(LINKS), units_of(guest), assembled(guest)
    watching = begin_watch(guest)

    place = guest.do(f"snap-self mount last --path {top} --yes", timeout_s=LIMIT_S).strip()
    seen = guest.do(f"cat {place}/{file}")
    beside = guest.run("pvs; cat /proc/mdstat /proc/swaps")
    while_open = units_of(guest) - units
    jobs = guest.do("systemctl list-jobs --no-legend")
    guest.do(f"snap-self unmount {place}", timeout_s=LIMIT_S)
    guest.do(f"snap-self restore last {top.rstrip('/')}/{file} --yes", timeout_s=LIMIT_S)
    watched = end_watch(guest, watching)

    assert (seen, guest.do(f"cat {top}/{file}")) == ("then\n", "then\n")
    assert watched.new
    assert all(rule for rule, names in watched.states if names - watched.at_first)
    assert watched.states[-1] == (False, watched.at_first)
    before = dict(line.split() for line in links.splitlines())
    assert watched.links == {name: [target] for name, target in before.items()}
    events = watched.events_of_new()
    assert {each["DEVNAME"].rpartition("/")[2] for each in events} == watched.new
    assert [each for each in events if each.get("SYSTEMD_READY") != "0"] == []
    assert [each for each in events if {*IDENTITY} & {*each}] == []
    # Not udev told systemd of it, but the kernel's table of mounts, as of every mount.
    assert {sub for _, sub in while_open} == {"tentative"}
    assert len(while_open) == 1
    assert (jobs, units_of(guest)) == ("", units)
    assert assembled(guest) == ran
    assert "uplicate" not in beside.out + beside.err
    assert (left(guest), refused(guest)) == ([], [])


def test_watchers_see_what_a_disk_brings_about_that_nobody_holds_back(guest: Guest) -> None:
    """The control; it comes last, as nothing is whole afterwards."""
    links, units, ran = guest.do(LINKS), units_of(guest), assembled(guest)
    shots = {shot["SourceDiskId"]: shot["SnapshotId"] for shot in guest.snapshots()}
    watching = begin_watch(guest)
    for source in guest.disk_ids[1:]:
        made = guest.operator.call(
            "CreateDisk",
            SnapshotId=shots[source],
            ZoneId=guest.cloud.ready["zone_id"],
            DiskCategory="cloud_essd",
            PerformanceLevel="PL0",
        )["DiskId"]
        guest.operator.wait_for_disk(made, "Available")
        guest.attach(made)
    watched = end_watch(guest, watching)

    before = dict(line.split() for line in links.splitlines())
    moved = {name for name, target in before.items() if watched.links[name] != [target]}
    assert "by-label/on-part" in moved
    events = watched.events_of_new()
    assert {"LVM2_member", "linux_raid_member"} <= {each.get("ID_FS_TYPE") for each in events}
    assert not any(rule for rule, _ in watched.states)
    assert "plugged" in {sub for _, sub in units_of(guest) - units}
    started = assembled(guest)[len(ran) :]
    assert any("pvscan" in line for line in started)
    assert any("mdadm" in line for line in started)

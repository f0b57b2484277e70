"""What stories look at when a snapshot was opened in a guest: what is left of it, and what is not.

::

    run = snapshot(guest, "/srv/data")
    guest.do("snap-self restore last /srv/data/file --yes")
    assert left(guest) == []
"""

from __future__ import annotations

from guest_driver import Guest

# An emulated processor is some twenty times slower than a real one.
LIMIT_S = 600.0
RULE = "/run/udev/rules.d/59-snap-self-temp.rules"
# One line for each thing; what a place lacks is no line.
_LOOK = r"""
exec 2>/dev/null
udevadm settle
ls /var/lib/snap-self/restores/*.json | sed 's/^/record /'
ls /run/udev/rules.d/*snap-self* /etc/udev/rules.d/*snap-self* | sed 's/^/rule /'
ls -d /run/snap-self/copies/* | sed 's/^/folder /'
ls -d /run/systemd/system/snap-self-unmount@*.d | sed 's/^/drop-in /'
systemctl list-units --all --plain --no-legend 'snap-self-unmount@*' | sed 's/^/unit /'
systemctl --failed --plain --no-legend | sed 's/^/failed /'
systemd-inhibit --list --no-pager --no-legend | grep 'copy of a disk' | sed 's/^/inhibitor /'
grep -e /run/snap-self -e snapself /proc/self/mountinfo | sed 's/^/mount /'
dmsetup ls | grep snapself | sed 's/^/mapped /'
ls -d /dev/snapself* /dev/mapper/snapself* | sed 's/^/node /'
grep -H . /sys/block/loop*/loop/backing_file | sed 's/^/loop /'
vgs --noheadings -o vg_name | grep snapself | sed 's/^/group /'
grep -rl snapself /etc/lvm /run/lvm | sed 's/^/noted by LVM /'
ls /etc/lvm/*/snapself* | sed 's/^/kept by LVM /'
for top in / $(findmnt -rno TARGET -t ext4,xfs,btrfs | grep ^/srv); do
    find $top -xdev -name '.snap-self-2*' | sed 's/^/file /'
done
true
"""


def snapshot(guest: Guest, *paths: str, before: str = "a change") -> str:
    """Make a snapshot of what carries these paths; return its run's id."""
    chosen = " ".join(f"--path {path}" for path in paths)
    said = guest.run(f"snap-self --before '{before}' --json {chosen}", timeout_s=LIMIT_S)
    assert said.status == 0, said.out + said.err
    return str(said.json["run"]["id"])


def mounted(guest: Guest, path: str, *options: str) -> str:
    """Mount the newest snapshot of what carries a path; return where."""
    words = " ".join(options)
    command = f"snap-self mount last --path {path} --yes {words}"
    return guest.do(command, timeout_s=LIMIT_S).strip()


def left(guest: Guest) -> list[str]:
    """Return all that is left of any copy, in the cloud and in the guest, and what went wrong.

    That is: disks, devices, mounts, rules, records, half-written files, units, failed units, and
    what the cloud holds against the guest, such as a disk that was detached while it was mounted.
    """
    own = {*guest.disk_ids}
    disks = guest.cloud.control("GET", "state")["disks"]
    cloud = [f"disk {disk_id}" for disk_id in disks if disk_id not in own]
    count = int(guest.do("lsblk -dno NAME | grep -cE '^(vd|nvme)'"))
    there = [] if count == len(own) else [f"{count} disks in the guest for {len(own)}"]
    faults = guest.cloud.control("GET", "guest-faults")["faults"]
    wrong = [f"fault {fault}" for fault in faults]
    return [*cloud, *there, *guest.do(_LOOK).splitlines(), *wrong]


def serial_of(guest: Guest, place: str) -> str:
    """Return the serial of the one disk that the filesystem mounted at a place lies on."""
    found = guest.do(f"lsblk -snro TYPE,NAME $(findmnt -no SOURCE {place})")
    (name,) = (line.split()[1] for line in found.splitlines() if line.startswith("disk "))
    return guest.do(f"cat /sys/block/{name}/serial").strip()

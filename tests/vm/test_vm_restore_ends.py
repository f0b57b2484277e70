"""However a restore or a mount ends, nothing of it stays.

After a power cut the boot unit alone has to see to it, and the machine has to come up from its own
disks although copies of them, with the same ids, are attached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from guest_copies import LIMIT_S, left, mounted, serial_of, snapshot
from guest_driver import Disk, Guest, wait_until
from guest_prepared import Saved, resumed

from run_directory import RunDirectory

pytestmark = [pytest.mark.vm, pytest.mark.slow]

STORIES_LIMIT_S = 3000.0
DATA = "/srv/data"


@pytest.fixture(scope="module")
def machine(agent_guest: Saved, run_directory: RunDirectory) -> Iterator[Guest]:
    (run_directory.root / "vm").mkdir(exist_ok=True)
    folder = run_directory.new_folder("vm", "restore-ends")
    with resumed(agent_guest, Disk(), folder=folder, limit_s=STORIES_LIMIT_S) as guest:
        device = guest.device_of(guest.disk_ids[1])
        guest.do(
            f"mkfs.ext4 -q -L data {device} && mkdir {DATA}"
            f" && echo 'LABEL=data {DATA} ext4 nofail 0 2' >>/etc/fstab"
            f" && systemctl daemon-reload && mount {DATA}"
            f" && echo then | tee /root/file >{DATA}/file"
        )
        snapshot(guest, "/", DATA)
        guest.do(f"echo now | tee /root/file >{DATA}/file && sync")
        yield guest


@pytest.fixture
def guest(machine: Guest) -> Iterator[Guest]:
    assert left(machine) == []
    yield machine
    machine.cloud.control("DELETE", "faults")


def temporary_disks(guest: Guest) -> dict[str, dict[str, Any]]:
    """Return the disks that are not the instance's own."""
    disks = guest.cloud.control("GET", "state")["disks"]
    return {disk_id: disk for disk_id, disk in disks.items() if disk_id not in guest.disk_ids}


def held(guest: Guest, action: str, when: str, path: str) -> None:
    """Start a restore whose call of the cloud gets no answer; return when it waits for one."""
    guest.cloud.control("POST", "faults", {"kind": "hang", "action": action, "when": when})
    guest.start(f"snap-self restore last {path} --yes")

    def is_called() -> bool:
        return not list(guest.cloud.control("GET", "faults")["faults"])

    wait_until(is_called, f"{action} to be called", limit_s=LIMIT_S)


def data_attached(guest: Guest) -> None:
    attached(guest, f"{DATA}/file")


def attached(guest: Guest, path: str) -> None:
    """Have a copy attached that is not opened, and so has all its ids still."""
    held(guest, "AttachDisk", "after", path)
    (disk,) = temporary_disks(guest).values()
    # udev, which lsblk asks, is held back from it.
    guest.do(f"until grep -qs {disk['serial']} /sys/block/*/serial; do sleep 0.1; done")


def root_mounted(guest: Guest) -> None:
    assert guest.do(f"cat {mounted(guest, '/')}/root/file") == "then\n"


def stage(guest: Guest) -> str:
    """Return what the journal has of the copy that is not done."""
    pick = """import glob, json; print(json.load(open(*glob.glob("*.json")))["stage"])"""
    return guest.do(f"cd /var/lib/snap-self/restores && python3 -c '{pick}'").strip()


CUTS: dict[Callable[[Guest], None], str] = {
    root_mounted: "open",
    data_attached: "attaching",
}


@pytest.mark.parametrize("reach", CUTS, ids=lambda reach: reach.__name__)
def test_power_cut_leaves_the_original_and_the_boot_unit_ends_the_rest(
    guest: Guest, reach: Callable[[Guest], None]
) -> None:
    own = [disk.serial for disk in guest.cloud.disks]
    machine_id = guest.do("cat /etc/machine-id")
    reach(guest)
    assert stage(guest) == CUTS[reach]
    assert left(guest) != []

    guest.crash()
    guest.cloud.control("DELETE", "faults")
    guest.power_on()

    assert [serial_of(guest, path) for path in ("/", DATA)] == own
    assert guest.do("cat /etc/machine-id") == machine_id
    assert guest.do("systemctl is-active snap-self-unmount.service").strip() == "active"
    assert left(guest) == []
    assert guest.do("systemctl --failed --no-legend") == ""


def test_orderly_shutdown_ends_a_mount_before_the_network_goes(guest: Guest) -> None:
    mounted(guest, "/")

    guest.power_off()

    assert temporary_disks(guest) == {}
    guest.power_on()
    assert left(guest) == []
    assert serial_of(guest, "/") == guest.cloud.disks[0].serial

"""However a restore or a mount ends, nothing of it stays.

After a power cut the boot unit alone has to see to it, and the machine has to come up from its own
disks although copies of them are attached. Only where a copy of the root disk has all its ids, as
it was not opened yet, nothing can be done about what boots: then the machine has to say so, and to
come back. In time the timer alone ends a mount. What each copy cost, in seconds that its disk
existed, is printed: ``pytest -rP`` shows it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from guest_copies import LIMIT_S, left, mounted, serial_of, snapshot
from guest_driver import BOOT_LIMIT_S, Disk, Guest, wait_until
from guest_prepared import Saved, resumed

from run_directory import RunDirectory

pytestmark = [pytest.mark.vm, pytest.mark.slow]

STORIES_LIMIT_S = 3400.0
DATA = "/srv/data"
FILE = f"{DATA}/file"
# So many that the copying of them can be met, on whatever machine.
MANY = f"{DATA}/many"
FILES = 1024
LAYOUT = f"""
set -e
mkfs.ext4 -q -L data {{0}} && mkdir {DATA}
echo 'LABEL=data {DATA} ext4 nofail 0 2' >>/etc/fstab
systemctl daemon-reload && mount {DATA}
mkdir {MANY} && head -c {FILES * 4096} /dev/urandom | split -a 3 -b 4096 - {MANY}/
echo then | tee /root/file >{FILE}
sha256sum {MANY}/* >/root/many
"""


@pytest.fixture(scope="module")
def machine(agent_guest: Saved, run_directory: RunDirectory) -> Iterator[Guest]:
    (run_directory.root / "vm").mkdir(exist_ok=True)
    folder = run_directory.new_folder("vm", "restore-ends")
    with resumed(agent_guest, Disk(), folder=folder, limit_s=STORIES_LIMIT_S) as guest:
        guest.do(LAYOUT.format(guest.device_of(guest.disk_ids[1])))
        snapshot(guest, "/", DATA)
        guest.do(f"echo now | tee /root/file >{FILE} && rm -r {MANY}/* && sync")
        yield guest


class Copies:
    """The copies that a story makes, and what their disks cost."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._before = {disk["disk_id"] for disk in self._told()}
        self._begun = time.monotonic()

    def check(self, what: str, *, count: int) -> None:
        """Hold the disks made since to their number and their time, and print both.

        All are deleted by now. None existed before the story began, so none can have existed for
        longer than it went on; that is bounded by what a boot may take.
        """
        since_s = time.monotonic() - self._begun
        made = [disk for disk in self._told() if disk["disk_id"] not in self._before]
        each = ", ".join(f"{disk['seconds']:.0f} s of {disk['size_gib']} GiB" for disk in made)
        print(f"{what}: disks existed for {each}, in {since_s:.0f} s")
        assert [disk for disk in made if disk["deleted_at"] is None] == []
        assert len(made) == count
        assert max(disk["seconds"] for disk in made) < min(since_s, BOOT_LIMIT_S)

    def _told(self) -> list[dict[str, Any]]:
        return list(self._guest.cloud.control("GET", "disk-usage")["disks"])


@pytest.fixture
def guest(machine: Guest) -> Iterator[Guest]:
    assert left(machine) == []
    yield machine
    machine.cloud.control("DELETE", "faults")


@pytest.fixture
def copies(guest: Guest) -> Copies:
    return Copies(guest)


def temporary_disks(guest: Guest) -> dict[str, dict[str, Any]]:
    """Return the disks that are not the instance's own."""
    disks = guest.cloud.control("GET", "state")["disks"]
    return {disk_id: disk for disk_id, disk in disks.items() if disk_id not in guest.disk_ids}


def stages(guest: Guest) -> list[str]:
    """Return what the journal has of the copies that are not done."""
    pick = (
        """import glob, json; print(*(json.load(open(f))["stage"] for f in glob.glob("*.json")))"""
    )
    return sorted(guest.do(f"cd /var/lib/snap-self/restores && python3 -c '{pick}'").split())


# --- how far a copy has come when the power goes


def held(guest: Guest, action: str, when: str, path: str = FILE) -> None:
    """Start a restore whose call of the cloud gets no answer; return when it waits for one."""
    guest.cloud.control("POST", "faults", {"kind": "hang", "action": action, "when": when})
    guest.start(f"snap-self restore last {path} --yes")

    def is_called() -> bool:
        return not list(guest.cloud.control("GET", "faults")["faults"])

    wait_until(is_called, f"{action} to be called", limit_s=LIMIT_S)


def disk_asked_for(guest: Guest) -> None:
    """Have the cloud make a disk of which the guest knows nothing."""
    held(guest, "CreateDisk", "after")
    wait_until(lambda: temporary_disks(guest), "a disk to be made")


def disk_made(guest: Guest) -> None:
    """Have a disk that is still being made."""
    guest.cloud.control("POST", "fates", {"action": "CreateDisk", "outcome": "stick"})
    guest.start(f"snap-self restore last {FILE} --yes")
    wait_until(lambda: stages(guest) == ["created"], "the disk to be known", limit_s=LIMIT_S)


def data_attached(guest: Guest) -> None:
    attached(guest, FILE)


def attached(guest: Guest, path: str) -> None:
    """Have a copy attached that is not opened, and so has all its ids still."""
    held(guest, "AttachDisk", "after", path)
    (disk,) = temporary_disks(guest).values()
    # udev, which lsblk asks, is held back from it.
    guest.do(f"until grep -qs {disk['serial']} /sys/block/*/serial; do sleep 0.1; done")


def root_mounted_and_data_half_copied(guest: Guest) -> None:
    assert guest.do(f"cat {mounted(guest, '/')}/root/file") == "then\n"
    # What comes to a stop stays as it is until the power goes.
    guest.start(
        f"snap-self restore last {MANY} --yes & pid=$!;"
        f" until [ $(ls {MANY} | wc -l) -gt {FILES // 8} ]; do sleep 0.1; done; kill -STOP $pid"
    )
    stopped = "ps -eo stat,args | grep '^T.*restore last'"
    wait_until(lambda: guest.run(stopped).status == 0, "the restore to stop", limit_s=LIMIT_S)
    print(f"{guest.do(f'ls {MANY} | wc -l').strip()} of {FILES} files were there already")


def detach_asked_for(guest: Guest) -> None:
    held(guest, "DetachDisk", "before")


def delete_asked_for(guest: Guest) -> None:
    held(guest, "DeleteDisk", "before")


# Each ends with a boot, so what can be met together is.
CUTS: dict[Callable[[Guest], None], list[str]] = {
    disk_asked_for: ["creating"],
    disk_made: ["created"],
    data_attached: ["attaching"],
    root_mounted_and_data_half_copied: ["copying", "open"],
    detach_asked_for: ["detaching"],
    delete_asked_for: ["deleting"],
}


def test_orderly_shutdown_ends_a_mount_before_the_network_goes(
    guest: Guest, copies: Copies
) -> None:
    mounted(guest, "/")

    guest.power_off()

    assert temporary_disks(guest) == {}
    copies.check("shutdown", count=1)
    guest.power_on()
    assert left(guest) == []
    assert serial_of(guest, "/") == guest.cloud.disks[0].serial


def test_mount_is_ended_by_its_timer_when_its_time_is_up(guest: Guest, copies: Copies) -> None:
    place = mounted(guest, DATA, "--for 1m")
    begun = time.monotonic()
    assert guest.do(f"cat {place}/file") == "then\n"

    wait_until(lambda: temporary_disks(guest) == {}, "the disk to be deleted", every_s=2)

    took_s = time.monotonic() - begun
    print(f"a mount for a minute was gone after {took_s:.0f} s")
    wait_until(lambda: left(guest) == [], "all else to be gone", every_s=2)
    assert took_s > 40
    said = guest.do("journalctl -b -o cat -u 'snap-self-unmount@*'")
    assert "Started" in said
    copies.check("timer", count=1)


def test_service_verifies_the_newest_snapshot_and_the_list_tells_it(
    guest: Guest, copies: Copies
) -> None:
    def results() -> dict[str, str]:
        shots = guest.run("snap-self list --json").checked().json["snapshots"]
        found = {shot["disk_id"]: shot["verified"] for shot in shots}
        return {disk_id: told["result"] for disk_id, told in found.items() if told}

    assert results() == {}

    guest.do("systemctl start snap-self-verify.service", timeout_s=LIMIT_S)

    shown = guest.do("systemctl show -P Result -P ExecMainStatus snap-self-verify.service").split()
    print(f"verified: {results()}, status {shown[1]}")
    system, data = guest.disk_ids
    assert shown[0] == "success"
    # What of /etc could be noted in time depends on the machine.
    assert results()[system] in ("proved", "in-part")
    assert results()[data] == "proved"
    assert shown[1] == {"proved": "0", "in-part": "100"}[results()[system]]
    assert "VERIFIED" in guest.do("snap-self list")
    assert left(guest) == []
    copies.check("verify", count=2)


@pytest.mark.parametrize("reach", CUTS, ids=lambda reach: reach.__name__)
def test_power_cut_leaves_the_original_and_the_boot_unit_ends_the_rest(
    guest: Guest, copies: Copies, reach: Callable[[Guest], None]
) -> None:
    own = [disk.serial for disk in guest.cloud.disks]
    machine_id = guest.do("cat /etc/machine-id")
    reach(guest)
    assert stages(guest) == CUTS[reach]
    assert left(guest) != []
    unfinished = temporary_disks(guest)

    guest.crash()
    guest.cloud.control("DELETE", "faults")
    if reach is disk_made:
        guest.cloud.control("POST", "free", {"resource_id": next(iter(unfinished))})
    guest.power_on()

    assert [serial_of(guest, path) for path in ("/", DATA)] == own
    assert guest.do("cat /etc/machine-id") == machine_id
    assert guest.do("systemctl is-active snap-self-unmount.service").strip() == "active"
    assert left(guest) == []
    copies.check(reach.__name__, count=len(unfinished))


def test_machine_that_came_up_from_a_copy_is_told_so_and_comes_back(
    guest: Guest, copies: Copies
) -> None:
    own = guest.cloud.disks[0].serial
    attached(guest, "/root/file")
    ((copy, disk),) = temporary_disks(guest).items()

    guest.crash()
    guest.cloud.control("DELETE", "faults")
    guest.power_on()

    # udev in the initial RAM disk takes either, mostly the one that it sees last.
    here = serial_of(guest, "/")
    print(f"of {own} and its copy {disk['serial']} the machine came up from {here}")
    assert here in (own, disk["serial"])
    if here != own:
        for command in ("--before 'a change'", "restore last /root/file --yes"):
            refused = guest.run(f"snap-self {command}", timeout_s=LIMIT_S)
            assert refused.status == 7, refused.out + refused.err
            assert f"detach {copy}" in refused.err
        # Nobody gave a command: the boot says so itself.
        said = guest.do("journalctl -b --no-pager -u snap-self-unmount.service")
        assert f"/ lies on {copy}, a temporary disk" in said
        assert "snap-self-unmount.service" in guest.do("systemctl --failed --plain --no-legend")
        guest.do("echo precious >/root/written && sync")
        guest.stop()
        guest.detach(copy)
        guest.power_on()
        # What was written there is not thrown away unasked.
        assert set(temporary_disks(guest)) == {copy}
        listed = guest.run("snap-self list", timeout_s=LIMIT_S)
        assert "was started while" in listed.err
        (record,) = guest.do("cd /var/lib/snap-self/restores && ls *.json").split()
        guest.do(f"snap-self unmount {record.removesuffix('.json')}", timeout_s=LIMIT_S)

    assert serial_of(guest, "/") == own
    assert guest.do("cat /root/file") == "now\n"
    assert guest.do("systemctl --failed --plain --no-legend") == ""
    assert left(guest) == []
    copies.check("root attached", count=1)


def test_restore_that_lost_its_power_is_done_again_and_whole(guest: Guest) -> None:
    guest.do(f"snap-self restore last {MANY} {FILE} --yes", timeout_s=LIMIT_S)

    assert guest.do("sha256sum --quiet --check /root/many") == ""
    assert guest.do(f"cat {FILE}") == "then\n"
    assert left(guest) == []

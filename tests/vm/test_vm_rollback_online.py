"""A volume of LVM over two disks goes back under a PostgreSQL that runs, by systemd and LVM."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from guest_copies import LIMIT_S, snapshot
from guest_driver import Disk, Guest, wait_until
from guest_prepared import Saved, resumed

from run_directory import RunDirectory

pytestmark = [pytest.mark.vm, pytest.mark.slow]

STORIES_LIMIT_S = 3600.0
TOP, UNIT = "/var/lib/postgresql", "postgresql@15-main.service"
# {0} and {1} stand for the devices of the data disks.
LAYOUT = f"""
set -e
systemctl stop mariadb postgresql
pvcreate -qq {{0}} {{1}}
vgcreate -qq data {{0}} {{1}}
lvcreate -qq -y -i 2 -n postgresql -L 900M data
mkfs.ext4 -q /dev/data/postgresql
mount /dev/data/postgresql /mnt && cp -a {TOP}/. /mnt/ && umount /mnt
echo "/dev/data/postgresql {TOP} auto nofail,noatime 0 2" >>/etc/fstab
systemctl daemon-reload
mount {TOP}
systemctl start postgresql
"""
SQL = "runuser -u postgres -- psql -XAtqc"
STEPS = ("stopping", "unmounting", "detaching", "resetting", "attaching", "mounting", "starting")
ROLLBACK = f"snap-self rollback {{0}} --online --unit {UNIT} --yes"
# Started aside; killed as soon as the journal has the step.
KILLED = """
{0} >/run/rollback.out 2>&1 &
agent=$!
while kill -0 $agent 2>/dev/null; do
    if grep -qs '"step": "{1}"' /var/lib/snap-self/returns/*.json; then
        kill -9 $agent
        echo killed
        exit
    fi
done
echo over
"""


@pytest.fixture(scope="module")
def guest(database_guest: Saved, run_directory: RunDirectory) -> Iterator[Guest]:
    (run_directory.root / "vm").mkdir(exist_ok=True)
    folder = run_directory.new_folder("vm", "rollback-online")
    disks = (Disk(), Disk(bus="nvme"))
    with resumed(database_guest, *disks, folder=folder, limit_s=STORIES_LIMIT_S) as guest:
        guest.do(LAYOUT.format(*map(guest.device_of, guest.disk_ids[1:])))
        wait_until(lambda: guest.run(f"{SQL} 'SELECT 1'").status == 0, "PostgreSQL")
        guest.do(f"{SQL} 'CREATE TABLE written (n INT)'")
        yield guest


def rows(guest: Guest) -> list[str]:
    return guest.do(f"{SQL} 'SELECT n FROM written ORDER BY n'").split()


def write(guest: Guest, number: int) -> None:
    guest.do(f"{SQL} 'INSERT INTO written VALUES ({number})'")


def standing(guest: Guest) -> dict[str, Any]:
    """Return how disks, volume, filesystem and unit are in use."""
    described = guest.operator.call("DescribeDisks", PageSize=100)["Disks"]["Disk"]
    return {
        "disks": {
            disk["DiskId"]: (disk["Status"], disk["DeleteWithInstance"]) for disk in described
        },
        "mounted": guest.do(f"findmnt -no SOURCE,FSTYPE,OPTIONS {TOP}"),
        "group": guest.do("vgs --noheadings -o vg_name,vg_uuid,vg_attr,pv_count data"),
        "unit": guest.do(f"systemctl is-active {UNIT}"),
        "failed": guest.do("systemctl --failed --plain --no-legend"),
        "records": guest.do("ls /var/lib/snap-self/returns/*.json 2>/dev/null; exit 0"),
    }


def test_volume_goes_back_under_a_database_whose_unit_is_named(guest: Guest) -> None:
    write(guest, 1)
    run = snapshot(guest, TOP)
    write(guest, 2)
    before = standing(guest)

    unnamed = guest.run(f"snap-self rollback {run} --online --yes", timeout_s=LIMIT_S)
    assert unnamed.status == 7, unnamed.err
    assert f"--unit {UNIT}" in unnamed.err
    assert rows(guest) == ["1", "2"]

    done = guest.run(f"{ROLLBACK.format(run)} --json", timeout_s=LIMIT_S)

    assert done.status == 0, done.err
    said = json.loads(done.out)
    assert said["online"]["units"] == [UNIT]
    assert rows(guest) == ["1"]
    assert standing(guest) == before
    assert guest.cloud.control("GET", "guest-faults")["faults"] == []
    assert f"went back to run {run}" in guest.run("snap-self list", timeout_s=LIMIT_S).err


@pytest.mark.long
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_a_step_the_next_command_brings_it_forward(guest: Guest, step: str) -> None:
    guest.do(f"{SQL} 'DELETE FROM written'")
    write(guest, 1)
    run = snapshot(guest, TOP)
    write(guest, 2)
    before = standing(guest)

    killed = guest.run(KILLED.format(ROLLBACK.format(run), step), timeout_s=LIMIT_S)
    assert killed.out.strip() == "killed", killed.err
    next_one = guest.run("snap-self list", timeout_s=LIMIT_S)

    assert next_one.status == 0, next_one.err
    assert rows(guest) == ["1"]
    assert standing(guest) == before
    assert guest.cloud.control("GET", "guest-faults")["faults"] == []

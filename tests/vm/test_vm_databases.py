"""Databases under load on volumes over two disks: a new guest from the snapshots brings them up."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from guest_driver import Disk, Guest, running, wait_until
from guest_prepared import ROOT_GIB, Begin, Saved

pytestmark = [pytest.mark.vm, pytest.mark.slow, pytest.mark.long]

CUT_S = 3.0
TRIES = 4
BOOT_LIMIT_S = 900.0
WAL_SEGMENT = 16 << 20
# {0} and {1} stand for the devices of the data disks.
VOLUMES = """
set -e
systemctl stop mariadb postgresql
pvcreate -qq {0} {1}
vgcreate -qq data {0} {1}
lvcreate -qq -y -i 2 -n mariadb -L 900M data
lvcreate -qq -y -i 2 -n postgresql -L 900M data
mkfs.xfs -q /dev/data/mariadb
mkfs.ext4 -q /dev/data/postgresql
for name in mariadb:mysql postgresql:postgresql; do
    volume=/dev/data/${{name%:*}} folder=/var/lib/${{name#*:}}
    mount $volume /mnt && cp -a $folder/. /mnt/ && umount /mnt
    echo "$volume $folder auto defaults 0 2" >>/etc/fstab
done
mount -a
"""
# PostgreSQL lets in by peer credentials; root is the agent.
CONFIGURED = """
set -e
cat >/etc/snap-self/conf.d/50-databases.toml <<'END'
[freeze]
root = "allow"

[applications]
mariadb = "on"
postgresql = "on"
END
cat >/etc/snap-self/hooks.d/10-times <<'END'
#!/bin/sh
python3 -c 'import time; print(time.monotonic())' >/run/times.$1
END
chmod 755 /etc/snap-self/hooks.d/10-times
sed -i '1i local all postgres peer map=agent' /etc/postgresql/15/main/pg_hba.conf
printf 'agent root postgres\\nagent postgres postgres\\n' >>/etc/postgresql/15/main/pg_ident.conf
systemctl start mariadb postgresql
mariadb -e 'CREATE DATABASE app'
mariadb app -e 'CREATE TABLE written (w INT, n INT, v TEXT, PRIMARY KEY (w, n)) ENGINE=InnoDB'
runuser -u postgres -- psql -qc 'CREATE TABLE written (w INT, n INT, v TEXT, PRIMARY KEY (w, n))'
"""
# Writes numbered rows one after the other and notes when each was begun and told to be safe.
WRITER = """
import itertools, subprocess, sys, time
database, writer, *client = sys.argv[1:]
pipe = subprocess.PIPE
with subprocess.Popen(client, stdin=pipe, stdout=pipe, text=True, bufsize=1) as process, open(
    f"/run/rows/{database}.{writer}", "w", buffering=1
) as told:
    for row in itertools.count():
        begun = time.monotonic()
        values = f"({writer}, {row}, repeat('x', 100))"
        process.stdin.write(f"INSERT INTO written VALUES {values} RETURNING n;\\n")
        assert process.stdout.readline().strip() == str(row)
        told.write(f"{row} {begun} {time.monotonic()}\\n")
"""
CLIENTS = {
    "mariadb": "mariadb -NB --unbuffered app",
    "postgresql": "runuser -u postgres -- psql -XAtq",
}
WRITERS = 2
UNITS = ("mariadb", "postgresql@15-main")
COUNTS = "SELECT w, COUNT(*), MAX(n) FROM written GROUP BY w ORDER BY w"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row that a writer was told to be safe, by the guest's monotonic clock."""

    number: int
    begun: float
    told: float


def test_databases_under_load_come_up_in_a_new_guest_with_all_that_was_promised(
    database_guest: Saved, begin: Begin, story_folder: Path
) -> None:
    guest = begin(database_guest, Disk(bus="virtio"), Disk(bus="nvme"), memory_mib=1024)
    guest.do(VOLUMES.format(*(guest.device_of(disk) for disk in guest.disk_ids[1:])))
    guest.do(CONFIGURED)
    doctor = guest.run("snap-self doctor", timeout_s=400)
    assert doctor.status == 0, doctor.out + doctor.err
    begin_writing(guest)

    guest.cloud.control("PUT", "life", {"cut_s": CUT_S})
    report = at_rest(guest)
    wait_for_rows(guest, 20)
    rows = {name: [written(guest, name, n) for n in range(WRITERS)] for name in CLIENTS}
    thawed = float(guest.do("cat /run/times.post"))

    assert report["consistency"]["reached"] == "application"
    members = {shown["disk_id"]: shown for shown in report["snapshots"]}
    assert set(members) == set(guest.disk_ids)
    assert len({shown["group_id"] for shown in members.values()} - {None}) == 1
    images = [guest.captured(members[disk]["snapshot_id"]) for disk in guest.disk_ids]
    guest.crash()

    with running(
        Disk(size_gib=ROOT_GIB, image=images[0]),
        Disk(image=images[1]),
        Disk(image=images[2], bus="nvme"),
        folder=story_folder / "new",
        ssh_key=database_guest.ssh_key,
        ca_dir=database_guest.ca_dir,
        limit_s=BOOT_LIMIT_S,
    ) as new:
        assert new.do(f"systemctl is-active {' '.join(UNITS)}").split() == ["active"] * 2
        assert new.do("systemctl --failed --no-legend") == ""
        for name, writers in rows.items():
            holds_what_was_promised(counted(new, name), writers, thawed - CUT_S)
        mariadb_did_not_recover(new)
        postgresql_replayed_little(new)


def at_rest(guest: Guest) -> dict[str, Any]:
    """Return the report of a run that reached the level.

    InnoDB renews its statistics now and then, commits held back or not. A run in which that
    happened between its checkpoint and the freeze says so and is worth less: then once more.
    """
    for number in range(TRIES):
        job = f"snap-self --before 'upgrade {number}' --consistency application --json"
        said = guest.run(job, timeout_s=400)
        report: dict[str, Any] = said.json
        if said.status == 0:
            return report
        print(said.status, report["consistency"])
        assert (said.status, report["consistency"]["reached"]) == (100, "filesystem")
        assert "to its redo log while at rest" in report["consistency"]["why"]
    raise AssertionError(f"never at rest in {TRIES} tries")


def begin_writing(guest: Guest) -> None:
    """Have both databases written to without an end."""
    guest.write("/root/writer.py", WRITER)
    guest.do("mkdir /run/rows")
    for name, client in CLIENTS.items():
        for writer in range(WRITERS):
            run = f"systemd-run -q --unit write-{name}-{writer} python3 /root/writer.py"
            guest.do(f"{run} {name} {writer} {client}")
    wait_for_rows(guest, 50)


def wait_for_rows(guest: Guest, more: int) -> None:
    """Return when every writer has written so many rows more."""
    files = " ".join(f"/run/rows/{name}.{n}" for name in CLIENTS for n in range(WRITERS))
    count = f"cat {files} >/dev/null && for file in {files}; do wc -l <$file; done"

    def counts() -> list[int]:
        return [int(line) for line in guest.run(count).out.split()]

    wait_until(lambda: len(counts()) == WRITERS * len(CLIENTS), "the writers")
    before = counts()
    wait_until(
        lambda: all(now >= was + more for now, was in zip(counts(), before, strict=True)),
        f"{more} more rows",
    )


def written(guest: Guest, name: str, writer: int) -> list[Row]:
    """Return what a writer has noted."""
    lines = guest.do(f"cat /run/rows/{name}.{writer}").splitlines()
    found = (line.split() for line in lines)
    return [Row(number=int(n), begun=float(begun), told=float(told)) for n, begun, told in found]


def counted(guest: Guest, name: str) -> dict[int, tuple[int, int]]:
    """Return for each writer how many rows there are and the last one's number."""
    said = guest.do(f"{CLIENTS[name]} <<<'{COUNTS};'")
    found = (re.split(r"[|\t]", line) for line in said.split("\n") if line)
    return {int(writer): (int(count), int(last)) for writer, count, last in found}


def holds_what_was_promised(
    counts: dict[int, tuple[int, int]], writers: list[list[Row]], frozen: float
) -> None:
    """Hold a restored database against its writers.

    Args:
        frozen: an instant within the freeze, when nobody can have been told anything.
    """
    for writer, rows in enumerate(writers):
        count, last = counts[writer]
        assert count == last + 1, f"writer {writer}: {count} rows up to {last}"
        safe = max(row.number for row in rows if row.told < frozen)
        late = min(row.number for row in rows if row.begun > frozen)
        print(f"writer {writer}: {count} rows; told before the cut {safe}, begun after it {late}")
        assert safe <= last < late


def mariadb_did_not_recover(guest: Guest) -> None:
    log = guest.do("journalctl -b -q -u mariadb; cat /var/log/mysql/error.log 2>/dev/null || true")
    assert "ready for connections" in log
    assert not re.search(r"InnoDB: (Starting crash recovery|To recover)", log), log


def postgresql_replayed_little(guest: Guest) -> None:
    """It always says that it recovers, unless it was shut down: what counts is how much."""
    log = guest.do("tail -n 40 /var/log/postgresql/postgresql-15-main.log")
    log = log[log.rindex("automatic recovery in progress") :]
    points = re.search(r"redo starts at (\w+)/(\w+)[\s\S]*redo done at (\w+)/(\w+)", log)
    if points:
        high, low, high_end, low_end = (int(each, 16) for each in points.groups())
        assert ((high_end - high) << 32) + low_end - low < WAL_SEGMENT, log
    assert "ready to accept connections" in log

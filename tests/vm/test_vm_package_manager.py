"""The guest's own apt, its unattended upgrades, and the agent when the system's Python is gone."""

from __future__ import annotations

from pathlib import Path

import pytest
from guest_driver import Disk, Guest
from guest_packages import REPOSITORY, Package, serve
from guest_prepared import Begin, Saved

pytestmark = [pytest.mark.vm, pytest.mark.slow]

HARMLESS, RISKY = "leaflet", "libssl3-extras"
# unattended-upgrades calls dpkg once for each of them.
UPGRADED = (HARMLESS, RISKY, "grub-looks")
PERIODIC = 'APT::Periodic::Update-Package-Lists "0";\nAPT::Periodic::Unattended-Upgrade "1";\n'
# An emulated processor is some twenty times slower than a real one; and each action is to get a
# snapshot of its own, however fresh that of another one is.
SETTINGS = '[package_managers]\nlimit = "5m"\nreuse = "off"\n'
LIMIT_S = 900.0


def test_risky_changes_by_apt_are_snapshotted_and_pruned_when_the_python_is_gone(
    agent_guest: Saved, begin: Begin, story_folder: Path
) -> None:
    guest = begin(agent_guest, Disk(bus="nvme"))
    guest.write("/etc/snap-self/conf.d/50-own.toml", SETTINGS)
    serve(guest, story_folder, [Package(name=name, version="1") for name in UPGRADED])

    guest.do(f"apt-get install -y {HARMLESS}", timeout_s=LIMIT_S)
    assert guest.snapshots() == []

    guest.do(f"apt-get install -y {RISKY}", timeout_s=LIMIT_S)
    by_apt = snapshots_by_disk(guest)
    assert sorted(by_apt.values()) == sorted(guest.disk_ids)

    # With dpkg alone, which asks nobody.
    guest.do(f"dpkg -i {REPOSITORY}/grub-looks_1_all.deb")
    serve(guest, story_folder, [Package(name=name, version="2") for name in UPGRADED])
    guest.write("/etc/apt/apt.conf.d/20auto-upgrades", PERIODIC)
    guest.do("systemctl start apt-daily-upgrade.service", timeout_s=LIMIT_S)
    said = guest.do(
        "cat /var/log/unattended-upgrades/unattended-upgrades-dpkg.log /var/log/apt/history.log"
    )
    assert versions(guest) == dict.fromkeys(UPGRADED, "2")
    assert said.count("Commandline: /usr/bin/unattended-upgrade\n") == len(UPGRADED)
    by_both = snapshots_by_disk(guest)
    assert len(by_both) == 2 * len(guest.disk_ids), said

    guest.do("rm -rf /usr/bin/python3* /usr/lib/python3*")
    listed = guest.run("snap-self list --json").checked().json["snapshots"]
    assert {shot["snapshot_id"] for shot in listed} == set(by_both)
    guest.write("/usr/bin/python3", "#!/bin/sh\nexit 3\n", mode=0o755)
    guest.do("snap-self prune --keep-last 1 --yes")
    assert set(snapshots_by_disk(guest)) == set(by_both) - set(by_apt)


def snapshots_by_disk(guest: Guest) -> dict[str, str]:
    """Return the disk of each snapshot that the cloud has."""
    return {shot["SnapshotId"]: shot["SourceDiskId"] for shot in guest.snapshots()}


def versions(guest: Guest) -> dict[str, str]:
    """Return the versions installed of the packages that are upgraded."""
    told = guest.do(f"dpkg-query -W -f '${{Package}} ${{Version}}\\n' {' '.join(UPGRADED)}")
    return dict(line.split() for line in told.splitlines())

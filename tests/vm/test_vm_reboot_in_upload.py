"""Reboots while snapshots are being uploaded: who is refused.

Debian 12 has systemd 252. There an inhibitor holds back people who are not root, whoever asks for
it to be looked at, and the power button; root's own reboot it does not, at a terminal or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from guest_driver import Disk, Guest
from guest_prepared import Saved, resumed

from ecs_simulator.storage.qmp import Qmp
from run_directory import RunDirectory

pytestmark = [pytest.mark.vm, pytest.mark.slow]

LIMIT_S = 300.0
SLOW = 3600.0
STORIES_LIMIT_S = 2400.0
JOB = "snap-self --wait cut --json"


@pytest.fixture(scope="module")
def machine(agent_guest: Saved, run_directory: RunDirectory) -> Iterator[Guest]:
    (run_directory.root / "vm").mkdir(exist_ok=True)
    folder = run_directory.new_folder("vm", "reboot-in-upload")
    with resumed(agent_guest, Disk(), folder=folder, limit_s=STORIES_LIMIT_S) as guest:
        device = guest.device_of(guest.disk_ids[1])
        guest.do(
            f"mkfs.ext4 -q -L data {device} && mkdir /srv/data"
            " && echo 'LABEL=data /srv/data ext4 nofail 0 2' >>/etc/fstab"
            " && systemctl daemon-reload && mount /srv/data && echo precious >/srv/data/file"
            " && useradd -m -s /bin/bash person"
        )
        yield guest


@pytest.fixture
def guest(machine: Guest) -> Iterator[Guest]:
    machine.cloud.control("PUT", "life", {"available_s": SLOW, "accomplished_s": SLOW})
    yield machine
    machine.cloud.control("POST", "finish-snapshots")


def uploading(guest: Guest, before: str, disk_id: str) -> dict[str, Any]:
    """Snapshot a disk and return the report; the upload goes on, and the follower holds."""
    said = guest.run(f"{JOB} --before '{before}' --disk {disk_id}", timeout_s=LIMIT_S)
    report: dict[str, Any] = said.checked().json
    assert report["watch"]["held"], said.out
    run_id = report["run"]["id"]
    held = f"systemd-inhibit --list --no-pager --no-legend | grep -q 'snap-self.*{run_id}'"
    guest.do(f"until {held}; do sleep 0.5; done", timeout_s=LIMIT_S)
    return report


def snapshot_of(report: dict[str, Any]) -> str:
    return str(report["snapshots"][0]["snapshot_id"])


def test_people_and_the_power_button_are_refused_with_the_snapshot_named(guest: Guest) -> None:
    report = uploading(guest, "refusals", guest.disk_ids[1])
    at_terminal = guest.run("script -qec 'su - person -c \"systemctl reboot\"' /dev/null")
    asked_for = guest.run("systemctl reboot --check-inhibitors=yes")
    for refused in (at_terminal, asked_for):
        assert refused.status == 1
        assert 'Operation inhibited by "snap-self"' in refused.out + refused.err
        assert snapshot_of(report) in refused.out + refused.err
    monitor = Qmp(Path(guest.cloud.ready["guest"]["monitor_socket"]))
    monitor.execute("system_powerdown")
    monitor.close()
    refusing = "journalctl -b -u systemd-logind | grep -q 'Refusing poweroff operation'"
    guest.do(f"until {refusing}; do sleep 0.5; done", timeout_s=LIMIT_S)
    assert "No jobs" in guest.do("systemctl list-jobs")

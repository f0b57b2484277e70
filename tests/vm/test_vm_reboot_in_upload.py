"""Reboots while snapshots are being uploaded: who is refused, who is not, what is told afterwards.

Debian 12 has systemd 252. There an inhibitor holds back people who are not root, whoever asks for
it to be looked at, and the power button; root's own reboot it does not, at a terminal or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
FOLLOWERS = "'snap-self-follow@*'"
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


def at_the_console(guest: Guest) -> None:
    with guest.console() as console:
        console.type("systemctl reboot")
        console.wait_for("reboot: Restarting system", LIMIT_S)
    guest.wait_until_up(limit_s=2 * LIMIT_S)


def in_a_script(guest: Guest) -> None:
    guest.reboot("systemctl reboot")


@pytest.mark.long
@pytest.mark.parametrize("reboot", [at_the_console, in_a_script])
def test_root_reboots_all_the_same_and_is_told_what_became_of_the_upload(
    guest: Guest, reboot: Callable[[Guest], None]
) -> None:
    report = uploading(guest, reboot.__name__, guest.disk_ids[1])
    reboot(guest)
    before = guest.do(f"journalctl -b -1 -o cat --no-pager -u {FOLLOWERS}")
    assert "shutdown and reboot are held back" in before
    assert "ended by SIGTERM; what the cloud was asked for goes on" in before
    assert "Failed with result" not in before
    restarted_and_told(guest, report)


@pytest.mark.long
def test_reboot_without_a_follower_is_told_too(guest: Guest) -> None:
    guest.write("/etc/snap-self/conf.d/50-follow.toml", "[follow]\nenabled = false\n")
    said = guest.run(f"{JOB} --before unwatched --disk {guest.disk_ids[1]}", timeout_s=LIMIT_S)
    report = said.checked().json
    assert not report["watch"]["held"]
    assert "snap-self" not in guest.do("systemd-inhibit --list --no-pager --no-legend")
    in_a_script(guest)
    restarted_and_told(guest, report)


def restarted_and_told(guest: Guest, report: dict[str, Any]) -> None:
    """Hold the first commands after a reboot to the truth."""
    run = f"run {report['run']['id']} (before {report['run']['before']!r})"
    restarted = f"{run}: this instance was restarted while its snapshots were being uploaded"
    assert told(guest) == [f"{restarted}, which can spoil them; the upload is not finished yet"]
    guest.cloud.control("POST", "finish-snapshots")
    assert told(guest) == [f"{restarted}; they are accomplished all the same"]
    shown = guest.do(f"snap-self show {snapshot_of(report)}", timeout_s=LIMIT_S)
    assert "Upload     accomplished" in shown


def told(guest: Guest) -> list[str]:
    """Return what the list says of runs."""
    said = guest.run("snap-self list", timeout_s=LIMIT_S).checked()
    notes = [line.partition("Note: ")[2] for line in said.err.splitlines()]
    return [note for note in notes if note.startswith("run ")]

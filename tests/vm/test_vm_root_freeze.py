"""The root filesystem frozen for real, on a machine that logs, audits, runs cron, lets people in.

A writer in the guest notes in memory how long its longest write took: that is what the freeze cost,
seen by somebody who had to wait.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from guest_agent import Ran
from guest_driver import Guest, wait_until
from guest_image import PARTITION_AT
from guest_prepared import Saved, resumed

from run_directory import RunDirectory

pytestmark = [pytest.mark.vm, pytest.mark.slow]

LIMIT_S = 10.0
# The guest is emulated, two processors for everything, and so is late now and then.
LATE_S = 6.0
MARKER = "/run/snap-self/frozen.json"
# Each with a text of its own: the same again would finish what was interrupted before.
JOB = "snap-self --before 'change {number}' --consistency filesystem --json"
NUMBERS = itertools.count(1)
CONFIG = '[freeze]\nroot = "allow"\n'
PROBE = """
import os, time
open("/run/probe.pid", "w").write(str(os.getpid()))
file = os.open("/root/probe", os.O_WRONLY | os.O_CREAT, 0o600)
while True:
    begun = time.monotonic()
    os.pwrite(file, b"x" * 4096, 0)
    os.ftruncate(file, 0)
    took = time.monotonic() - begun
    if took > 0.1:
        with open("/run/stalls", "a") as out:
            out.write(f"{took:.2f}\\n")
    time.sleep(0.02)
"""
# Ends when the writer is blocked while the marker is there.
HELD = f"""
for try in $(seq 1000); do
    read -r _ _ state _ </proc/$(</run/probe.pid)/stat
    if [ "$state" = D ] && [ -e {MARKER} ]; then exit 0; fi
    sleep 0.3
done
exit 1
"""
BUSY = """
set -e
auditctl -a always,exit -F arch=b64 -S execve -k all
printf '* * * * * root touch /var/tmp/cron; logger cron\\n' >/etc/cron.d/busy
systemd-run -q --unit busy-log sh -c 'while :; do logger "one more line"; sleep 0.2; done'
systemd-run -q --unit probe python3 /run/probe.py
"""


@pytest.fixture(scope="module")
def machine(agent_guest: Saved, run_directory: RunDirectory) -> Iterator[Guest]:
    (run_directory.root / "vm").mkdir(exist_ok=True)
    folder = run_directory.new_folder("vm", "root-freeze")
    with resumed(agent_guest, folder=folder) as guest:
        guest.write("/etc/snap-self/conf.d/50-root.toml", CONFIG)
        doctor = guest.run("snap-self doctor", timeout_s=300)
        assert doctor.status == 0, doctor.out + doctor.err
        guest.write("/run/probe.py", PROBE)
        guest.do(BUSY)
        yield guest


@pytest.fixture
def guest(machine: Guest) -> Iterator[Guest]:
    machine.run("rm -f /run/stalls")
    yield machine
    fail_all(machine)
    machine.cloud.control("DELETE", "faults")
    machine.cloud.control("PUT", "life", {"cut_s": 0.02})


def life(guest: Guest, cut_s: float) -> None:
    guest.cloud.control("PUT", "life", {"cut_s": cut_s})


def longest_s(guest: Guest) -> float:
    """Return the longest stall of the writer."""
    return max(map(float, guest.run("cat /run/stalls").out.split()), default=0.0)


def begin_frozen(guest: Guest) -> int:
    """Start the job and return its process id once its freeze holds the writer."""
    pid = guest.start("exec " + JOB.format(number=next(NUMBERS)))
    seen = guest.run(HELD, timeout_s=400)
    assert seen.status == 0, f"never frozen: {guest.ended(pid)}"
    return pid


def guardians(guest: Guest) -> list[int]:
    marker = json.loads(guest.do(f"cat {MARKER}"))
    return [each["pid"] for each in marker["processes"]]


def end_of(guest: Guest, pid: int) -> Ran:
    ended: Ran = wait_until(lambda: guest.ended(pid), "the job's end")
    return ended


def writable(guest: Guest) -> None:
    """Hold the guest to it: its root can be written to, in time and by everybody."""
    wait = f"while test -e {MARKER}; do sleep 0.2; done; touch /root/after; sync"
    assert guest.run(f"timeout {LIMIT_S + LATE_S} sh -c '{wait}'").status == 0


def test_busy_root_is_frozen_and_its_image_is_clean(guest: Guest) -> None:
    life(guest, 5.0)
    pid = begin_frozen(guest)
    begun = time.monotonic()
    login = subprocess.Popen(
        guest.ssh_argv("logger logged-in; echo in"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    done = end_of(guest, pid)
    said, _ = login.communicate(timeout=120)
    report = done.checked().json
    print(
        f"frozen for {report['frozen_s']:.2f} s, longest stall {longest_s(guest):.2f} s,"
        f" ssh log-in {time.monotonic() - begun:.1f} s"
    )
    assert report["consistency"]["reached"] == "filesystem"
    assert said == b"in\n"
    assert longest_s(guest) > 1.0
    services = "systemd-journald rsyslog auditd cron ssh"
    assert guest.do(f"systemctl is-active {services}").split() == ["active"] * 5
    assert "one more line" in guest.do("journalctl -q -n 50; tail -n 50 /var/log/syslog")
    clean(guest.captured(report["snapshots"][0]["snapshot_id"]))


def test_image_of_a_run_without_a_freeze_needs_its_journal(guest: Guest) -> None:
    said = guest.run("snap-self --before 'control' --consistency flush --json").checked()
    image = guest.captured(said.json["snapshots"][0]["snapshot_id"])
    assert "needs_recovery" in features(image)


def features(image: Path) -> str:
    """Return the features of the root filesystem in a captured disk."""
    shown = run("dumpe2fs", "-h", f"{image}?offset={PARTITION_AT}")
    return next(line for line in shown.splitlines() if line.startswith("Filesystem features"))


def clean(image: Path) -> None:
    """Hold an image to it: it is clean as it lies there, nothing has to be replayed."""
    assert "needs_recovery" not in features(image)
    run("e2fsck", "-fn", f"{image}?offset={PARTITION_AT}")


def run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


def test_agent_killed_while_root_is_frozen_is_thawed_at_once(guest: Guest) -> None:
    life(guest, 3600.0)
    pid = begin_frozen(guest)
    guest.do(f"kill -9 {pid}")
    end_of(guest, pid)
    writable(guest)
    assert longest_s(guest) <= LIMIT_S + LATE_S


def test_agent_and_guardian_killed_while_root_is_frozen_are_made_up_for_at_once(
    guest: Guest,
) -> None:
    life(guest, 3600.0)
    pid = begin_frozen(guest)
    guest.do(f"kill -9 {pid} {guardians(guest)[0]}")
    end_of(guest, pid)
    writable(guest)
    assert longest_s(guest) <= LIMIT_S + LATE_S


@pytest.mark.parametrize("victims", [[0], [0, 1]], ids=["guardian", "guardian-and-understudy"])
def test_guardian_killed_while_root_is_frozen_is_thawed_at_once(
    guest: Guest, victims: list[int]
) -> None:
    life(guest, 3600.0)
    pid = begin_frozen(guest)
    pids = guardians(guest)
    guest.do(f"kill -9 {' '.join(str(pids[victim]) for victim in victims)}")
    writable(guest)
    assert longest_s(guest) <= LIMIT_S + LATE_S
    fail_all(guest)
    assert end_of(guest, pid).status != 0


def fail_all(guest: Guest) -> None:
    """End what waits for a cut that never comes: the job, and the disk's next snapshot."""
    for snapshot in guest.snapshots(Status="progressing"):
        guest.cloud.control("POST", "fail-snapshot", {"snapshot_id": snapshot["SnapshotId"]})


def test_api_that_hangs_while_root_is_frozen_costs_no_more_than_the_limit(guest: Guest) -> None:
    # Every try that there is time for while it is frozen; one hanging call alone is overcome.
    fault = {"kind": "hang", "action": "CreateSnapshot", "seconds": 30.0, "count": 4}
    guest.cloud.control("POST", "faults", fault)
    pid = begin_frozen(guest)
    done = end_of(guest, pid)
    writable(guest)
    assert longest_s(guest) <= LIMIT_S + LATE_S
    assert (done.status, done.json["consistency"]["reached"]) == (100, "flush")


def test_all_killed_while_root_is_frozen_is_mended_by_systemd(guest: Guest) -> None:
    kill_everybody(guest)
    guest.do("systemctl restart snap-self-thaw.service", timeout_s=90)
    writable(guest)


@pytest.mark.long
def test_all_killed_while_root_is_frozen_is_mended_by_a_restart(guest: Guest) -> None:
    kill_everybody(guest)
    guest.stop()
    guest.power_on()
    assert guest.do("systemctl --failed --no-legend") == ""
    assert guest.run("touch /root/after").status == 0
    assert guest.run(f"test -e {MARKER}").status != 0
    assert guest.do("systemctl is-active snap-self-thaw.service") == "active\n"
    listed = guest.run("snap-self list").checked()
    print(listed.out + listed.err)


def kill_everybody(guest: Guest) -> None:
    """Leave a freeze behind that nobody watches any more."""
    life(guest, 3600.0)
    pid = begin_frozen(guest)
    everybody = " ".join(map(str, [*guardians(guest)[::-1], pid]))
    guest.do(f"kill -STOP {everybody}; kill -9 {everybody}")
    guest.do(HELD)
    assert guest.run(f"test -e {MARKER}").status == 0
    fail_all(guest)

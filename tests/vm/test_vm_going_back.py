"""A machine that an upgrade has ruined goes back whole, from outside, and knows of it afterwards.

What of the time is the engine's own waiting is told step by step: from the moment at which what a
task waits for is there to the task's end, and between one task and the next.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from guest_driver import Disk, Guest, wait_until
from guest_packages import Package
from guest_prepared import Begin, Saved
from test_vm_broken_upgrade import BOOT_LOADER, C_LIBRARY, DATA, what_counts

pytestmark = [pytest.mark.vm, pytest.mark.slow]

INSTANCE = "i-bp1goingback0000001"
OUTSIDE = f"snap-self-rollback-{INSTANCE}"
ENGINE_LIMIT_S = 10.0
BACK_LIMIT_S = 900.0
# For so long the change may take, in emulation: an upgrade, or one file.
WITHIN = "3m"
SHORT = "2m"
CHECK = "/etc/snap-self/checks.d/up"
BOOT_ID = "cat /proc/sys/kernel/random/boot_id"
# Nobody may do anything until the printed policies are there.
ROLES = [
    {"name": "SnapSelfRole"},
    {"name": OUTSIDE, "policies": [], "trusted": ["oos.aliyuncs.com"]},
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruin:
    """What a change does to the machine.

    Args:
        package: what it installs, if it is an upgrade.
        command: what makes it, as a shell command; PACKAGE stands for the file.
        within: for how long a confirmation is waited for.
    """

    package: Package | None = None
    command: str = "apt-get install -y --allow-downgrades PACKAGE"
    within: str = WITHIN


NETWORK = Ruin(
    command=f"echo ruined >{DATA}; systemctl mask --now systemd-networkd.socket systemd-networkd;"
    ' rm -r /etc/systemd/network; ip link set "$(ls /sys/class/net | grep -v lo)" down',
    within=SHORT,
)
GoBack = Callable[[Guest, str, str], None]


def by_command(guest: Guest, change: str, _: str) -> None:
    """Ruin the machine, and go back by a command on what is left of it."""
    guest.run(change, timeout_s=400)
    wait_for_uploads(guest)
    guest.program("/usr/bin/snap-self", "rollback", "last", "--oos", "--yes").checked()


def by_itself(guest: Guest, change: str, within: str) -> None:
    """Ruin the machine, and say nothing."""
    guest.run(
        f"snap-self run --before ruin --confirm-within {within} -- sh -c {shlex.quote(change)}",
        timeout_s=400,
    )


@pytest.mark.parametrize(
    ("ruin", "go_back"),
    [
        pytest.param(Ruin(package=C_LIBRARY), by_command, id="c-library-by-command"),
        pytest.param(Ruin(package=C_LIBRARY), by_itself, id="c-library-by-itself"),
        pytest.param(NETWORK, by_itself, id="network-by-itself", marks=pytest.mark.long),
        pytest.param(
            Ruin(package=BOOT_LOADER), by_itself, id="boot-loader-by-itself", marks=pytest.mark.long
        ),
    ],
)
def test_ruined_machine_goes_back_and_knows_that_it_did(
    agent_guest: Saved, begin: Begin, story_folder: Path, ruin: Ruin, go_back: GoBack
) -> None:
    guest = prepared(begin, agent_guest)
    change = ruin.command
    if ruin.package is not None:
        built = ruin.package.build(story_folder)
        guest.copy_in(built, "/root")
        change = change.replace("PACKAGE", f"/root/{built.name}")
    whole = what_counts(guest)

    go_back(guest, change, ruin.within)

    assert guest.read(DATA) == "ruined\n"
    comes_back(guest, whole)


@pytest.mark.long
def test_agent_killed_and_instance_switched_off_in_the_window_goes_back_all_the_same(
    agent_guest: Saved, begin: Begin
) -> None:
    guest = prepared(begin, agent_guest)
    whole = what_counts(guest)
    change = f"echo ruined >{DATA}; sleep 1000"
    agent = guest.start(
        f"exec snap-self run --before ruin --confirm-within {SHORT} -- sh -c {shlex.quote(change)}"
    )
    wait_until(lambda: guest.read(DATA) == "ruined\n", "the change", limit_s=BACK_LIMIT_S)

    guest.do(f"kill -9 {agent}")
    guest.stop()

    assert [task["status"] for task in tasks(guest) if task["task"]["name"] == "sleep"] == [
        "Running"
    ]
    comes_back(guest, whole)


@pytest.mark.long
def test_change_that_its_check_confirms_stays_at_once_or_after_a_reboot(
    agent_guest: Saved, begin: Begin
) -> None:
    guest = prepared(begin, agent_guest)
    first = ran(guest, f"--confirm-within {SHORT} --check 'grep -q 1 {DATA}'", f"echo 1 >{DATA}")
    # A machine may be well only a while after it is up.
    guest.do(f"mkdir -p {Path(CHECK).parent}")
    guest.write(
        CHECK, "#!/bin/sh\ntest -e /run/tried && exit\ntouch /run/tried; exit 3\n", mode=0o755
    )
    second = ran(guest, "--confirm-within 5m", f"echo 2 >{DATA}; sync")
    assert (first["confirmed"], second["confirmed"]) == (True, False)
    assert guest.do("snap-self list --json").count(second["armed"]["execution_id"]) == 1
    assert "this machine goes back to run" in guest.do(f"snap-self show {second['armed']['run']}")
    begun = time.monotonic()

    guest.reboot()

    up_s, boot = time.monotonic() - begun, guest.do(BOOT_ID)
    wait_until(lambda: ends(guest) == {"Cancelled"}, "the confirmation", limit_s=300)
    print(f"\nup again after {up_s:.1f} s, confirmed after {time.monotonic() - begun:.1f} s")
    over = datetime.fromisoformat(first["armed"]["deadline"]).timestamp() + 10
    wait_until(lambda: guest.cloud.control("GET", "state")["now"] > over, "its time", limit_s=120)
    nothing_was_reset(guest)
    assert (guest.do(BOOT_ID), guest.read(DATA)) == (boot, "2\n")
    assert guest.do("systemctl --failed --no-legend") == ""
    said = guest.do("journalctl -b --no-pager -u snap-self-confirm.service")
    assert f"{CHECK}: status 3" in said
    tells_that_it_was_confirmed(guest, first["armed"]["run"], second["armed"]["run"])


def prepared(begin: Begin, saved: Saved) -> Guest:
    """Return a guest that may go back, with a data disk."""
    guest = begin(
        saved,
        Disk(bus="nvme"),
        instance={"instance_id": INSTANCE},
        cloud={"roles": ROLES, "propagate_group_tags": True},
    )
    prepare(guest)
    return guest


def ran(guest: Guest, options: str, change: str) -> Any:
    """Return what `run` tells of a change that succeeded."""
    command = f"snap-self run --before change {options} --json -- sh -c {shlex.quote(change)}"
    return guest.run(command, timeout_s=400).checked().json


def tasks(guest: Guest) -> list[dict[str, Any]]:
    """Return the tasks of all executions, as the engine has them."""
    return list(guest.cloud.control("GET", "state")["task_executions"].values())


def ends(guest: Guest) -> set[str]:
    """Return how the executions stand."""
    executions = guest.cloud.control("GET", "state")["executions"].values()
    return {each["status"] for each in executions}


def nothing_was_reset(guest: Guest) -> None:
    """See that no execution came further than its sleep, and that nobody asked for more."""
    names = {task["task"]["name"] for task in tasks(guest)}
    assert names == {"seeInstance", "seeDisks", "seeSnapshots", "sleep"}
    called = {call["action"] for call in guest.cloud.control("GET", "calls")["calls"]}
    assert "CancelExecution" in called
    assert not called & {"ResetDisk", "StopInstance", "StartInstance", "RebootInstance"}


def tells_that_it_was_confirmed(guest: Guest, *runs: str) -> None:
    """Hold the machine to knowing that nothing waits, and why."""
    listed = guest.run("snap-self list --json").checked().json
    assert (listed["armed"], listed["went_back"], listed["notes"]) == ([], [], [])
    assert {shot["run_id"] for shot in listed["snapshots"]} == set(runs)
    for run in runs:
        shown = guest.do(f"snap-self show {run}")
        assert "confirmed before" in shown
        assert "Went back" not in shown


def comes_back(guest: Guest, whole: str) -> None:
    """See the machine go back by itself, as it was, knowing of it; tell how long each step took."""
    begun = time.monotonic()
    watch = Watch(guest)
    watch.follow()
    guest.close()
    guest.wait_until_up()
    print(f"\n{watch.table()}\nup again {time.monotonic() - begun:.1f} s after that")

    assert watch.ended["status"] == "Success", watch.ended["status_message"]
    assert what_counts(guest) == whole
    assert guest.do("systemctl --failed --no-legend") == ""
    boot_check_ran(guest, watch)
    tells_that_it_went_back(guest, watch.execution, watch.ended["tags"]["snap-self-run"])
    assert watch.waiting_s <= ENGINE_LIMIT_S


def boot_check_ran(guest: Guest, watch: Watch) -> None:
    """See that the template's boot check ran in the guest that came back, and tell what it said."""
    statuses = {each["task"]["name"]: each["status"] for each in watch.tasks}
    told = guest.operator.call("DescribeInvocationResults", ContentEncoding="PlainText")
    (result,) = told["Invocation"]["InvocationResults"]["InvocationResult"]
    print(f"\nboot check: {result['InvocationStatus']}\n{result['Output']}")
    assert (statuses["assistantUp"], statuses["bootCheck"]) == ("Success", "Success")
    assert (result["InvocationStatus"], result["ExitCode"]) == ("Success", 0)
    assert "load average" in result["Output"]
    # One that waited for a confirmation calls off what still waits for the same run: nothing does.
    waited = "snap-self-deadline" in watch.ended["tags"]
    assert ("No rollback waits for a confirmation." in result["Output"]) is waited


def prepare(guest: Guest) -> None:
    """Give it a data disk, a name for the API of OOS, and its roles the printed policies."""
    guest.do(
        "mkfs.ext4 -q -L data /dev/nvme0n1 && mkdir /srv/data && mount /dev/nvme0n1 /srv/data"
        " && echo '/dev/disk/by-label/data /srv/data ext4 defaults 0 2' >>/etc/fstab"
        f" && echo precious >{DATA}"
        " && sed -n 's/ecs-vpc/oos-vpc/p' /etc/hosts >/tmp/names && cat /tmp/names >>/etc/hosts"
    )
    printed = json.loads(guest.do("snap-self policy --rollback --json"))
    for name, policy in (
        (guest.cloud.ready["role"], printed["policy"]),
        (printed["rollback"]["role"], printed["rollback"]["policy"]),
    ):
        guest.cloud.control("PUT", "policies", {"name": name, "policies": [policy]})


def wait_for_uploads(guest: Guest) -> None:
    """Return when no snapshot is being made: no disk is reset before."""
    until = time.monotonic() + BACK_LIMIT_S
    while any(shot["Status"] != "accomplished" for shot in guest.snapshots()):
        assert time.monotonic() < until
        time.sleep(0.5)


def tells_that_it_went_back(guest: Guest, execution: str, run: str) -> None:
    """Hold the machine to what it has to know, although its journal is from before."""
    listed = guest.run("snap-self list --json").checked().json
    (back,) = listed["went_back"]
    assert (back["run"], back["execution_id"], back["status"]) == (run, execution, "Success")
    assert back["by"].startswith("SnapSelfRole:")
    assert not any("interrupted" in note or "restarted" in note for note in listed["notes"])
    shown = guest.run(f"snap-self show {run}").checked().out
    assert f"Went back  execution {execution} of OOS brought disks back" in shown
    assert execution in guest.do("journalctl -b --no-pager -t snap-self")


@dataclass(slots=True)
class Watch:
    """Follows the one execution, and the instance and its disks beside it."""

    guest: Guest
    execution: str = ""
    seen: dict[str, float] = field(default_factory=dict)
    ended: dict[str, Any] = field(default_factory=dict)
    tasks: list[dict[str, Any]] = field(default_factory=list)

    def follow(self) -> None:
        """Look until it has ended; note when what its tasks wait for was there."""
        until = time.monotonic() + BACK_LIMIT_S
        while not self.ended:
            assert time.monotonic() < until, self.tasks
            self._look()
            time.sleep(0.1)

    def _look(self) -> None:
        state = self.guest.cloud.control("GET", "state")
        own = [e for e in state["executions"].values() if not e["parent_execution_id"]]
        (self.execution,) = (each["execution_id"] for each in own)
        every = state["task_executions"].values()
        self.tasks = [each for each in every if each["execution_id"] == self.execution]
        status = state["instances"][INSTANCE]["status"]
        disks = {disk["status"] for disk in state["disks"].values()}
        if status == "Stopped":
            self.seen.setdefault("stopped", state["now"])
        if "ReIniting" in disks:
            self.seen.pop("settled", None)
        elif "stopped" in self.seen and self._has("resetOthers"):
            self.seen.setdefault("settled", state["now"])
        if status == "Running" and self._has("start"):
            self.seen.setdefault("running", state["now"])
        found = state["executions"][self.execution]
        if found["ended_at"] is not None:
            self.ended = found

    def _has(self, name: str) -> bool:
        """Tell whether a task has ended."""
        return any(each["task"]["name"] == name and each["ended_at"] for each in self.tasks)

    def _steps(self) -> list[dict[str, Any]]:
        own = [each for each in self.tasks if not each["parent_task_id"]]
        return sorted(own, key=lambda each: float(each["started_at"]))

    def _waited_s(self, task: dict[str, Any], before: float) -> float:
        """Return what of a task, and of the time since the one before, is the engine's own."""
        name = task["task"]["name"]
        # The pause before the look at the disks is for nothing once they are back.
        awaited = "settled" if name == "resetsShown" else name
        there = max(self.seen.get(awaited, task["ended_at"]), task["started_at"])
        return float(task["started_at"] - before + max(0.0, task["ended_at"] - there))

    @property
    def waiting_s(self) -> float:
        """Seconds that are the engine's own until the machine runs; nobody waits for the rest."""
        rows = self._rows()
        last = max(place for place, (name, _, _) in enumerate(rows) if name == "running")
        return sum(waited for _, _, waited in rows[: last + 1])

    def _rows(self) -> list[tuple[str, float, float]]:
        """Return each task's name, how long it took, and what of that is the engine's own."""
        rows, before = [], self.ended["created_at"]
        for task in self._steps():
            took = task["ended_at"] - task["started_at"]
            rows.append((task["task"]["name"], took, self._waited_s(task, before)))
            before = task["ended_at"]
        return rows

    def table(self) -> str:
        """Return how long each step took, for people."""
        lines = [f"{'step':18} {'took':>7} {'engine':>7}"]
        lines += [f"{name:18} {took:6.1f}s {own:6.1f}s" for name, took, own in self._rows()]
        whole = self.ended["ended_at"] - self.ended["created_at"]
        return "\n".join([*lines, f"{'in all':18} {whole:6.1f}s {self.waiting_s:6.1f}s"])

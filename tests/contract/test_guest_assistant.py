"""The simulated Cloud Assistant in a virtual machine, over the agent that it finds there: qemu-ga.

The agent is a real one that listens on this machine instead of on a virtio port, and may do nothing
but run programs.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ecs_simulator.guest_assistant import GuestAssistant
from fakes.fleet_oos import FleetRegion
from waiting import wait_until

QEMU_GA = shutil.which("qemu-ga", path="/usr/sbin:/usr/bin:/sbin:/bin")
pytestmark = pytest.mark.skipif(QEMU_GA is None, reason="needs qemu-ga (Debian: qemu-guest-agent)")
# It is to freeze nothing here, and to switch nothing off.
BLOCKED = (
    *("guest-fsfreeze-freeze", "guest-fsfreeze-freeze-list", "guest-fsfreeze-thaw"),
    *("guest-shutdown", "guest-suspend-disk", "guest-suspend-ram", "guest-suspend-hybrid"),
)


@dataclass(slots=True)
class Rig:
    """A region whose first instance is this machine, if the agent runs."""

    region: FleetRegion
    folder: Path
    path: Path
    agent: subprocess.Popen[bytes] | None = None

    def boot(self) -> None:
        """Start the agent."""
        assert QEMU_GA is not None
        self.agent = subprocess.Popen(
            [
                *(QEMU_GA, "--method=unix-listen", f"--path={self.path}"),
                *(f"--statedir={self.folder}", f"--pidfile={self.folder}/pid"),
                f"--block-rpcs={','.join(BLOCKED)}",
            ],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin"},
        )

    def run(self, script: str, **params: Any) -> None:
        """Begin a script."""
        given = {"Type": "RunShellScript", "ContentEncoding": "PlainText", **params}
        given = {"WorkingDir": str(self.folder), **given}
        answer = self.region.call("RunCommand", CommandContent=script, InstanceId__1="i-1", **given)
        assert answer.status == 200, answer

    @property
    def result(self) -> dict[str, Any]:
        """What became of the last command."""
        answer = self.region.call("DescribeInvocationResults", ContentEncoding="PlainText")
        found: list[dict[str, Any]] = answer.body["Invocation"]["InvocationResults"][
            "InvocationResult"
        ]
        return found[0]

    def ended(self) -> dict[str, Any]:
        """Wait until the last command is neither sent nor run any more."""
        wait_until(lambda: self.result["InvocationStatus"] not in ("Pending", "Running"))
        return self.result

    def is_up(self, name: str = "i-1") -> bool:
        """Tell what the API says of an assistant."""
        answer = self.region.call("DescribeCloudAssistantStatus", InstanceId__1=name)
        (found,) = answer.body["InstanceCloudAssistantStatusSet"]["InstanceCloudAssistantStatus"]
        return bool(found["CloudAssistantStatus"] == "true")


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    region, path = FleetRegion("i-1", "i-2"), tmp_path / "port"
    assistant = GuestAssistant("i-1", path)
    region.cloud.assistant.guest = assistant
    one = Rig(region, tmp_path, path)
    try:
        yield one
    finally:
        assistant.close()
        if one.agent is not None:
            one.agent.kill()
            one.agent.wait()


def test_assistant_is_up_when_the_agent_in_the_guest_answers(rig: Rig) -> None:
    assert not rig.is_up()
    rig.boot()
    wait_until(rig.is_up)
    assert not rig.is_up("i-2")


def test_command_runs_in_the_guest_and_says_what_both_streams_got(rig: Rig) -> None:
    rig.boot()
    wait_until(rig.is_up)
    rig.run("pwd; echo beside >&2; exit 3")
    each = rig.ended()
    assert each["Output"] == f"{rig.folder}\nbeside\n"
    assert (each["ExitCode"], each["ErrorCode"]) == (3, "ExitCodeNonzero")
    rig.run("import sys; print(sys.platform)", Type="RunPythonScript")
    assert rig.ended()["Output"] == "linux\n"
    rig.run("kill -KILL $$")
    assert rig.ended()["ExitCode"] == 137


def test_command_is_sent_to_a_guest_that_still_boots(rig: Rig) -> None:
    rig.run("echo up")
    assert rig.result["InvocationStatus"] == "Pending"
    rig.boot()

    def sent() -> bool:
        rig.region.pass_time(2)
        return bool(rig.result["InvocationStatus"] != "Pending")

    # A try each two seconds of the cloud's: thirty at most, so this one counts none.
    rig.region.cloud.assistant.guest.is_up("i-1")
    wait_until(rig.path.exists)
    wait_until(lambda: rig.region.cloud.assistant.guest.is_up("i-1"))
    wait_until(sent)
    assert rig.ended()["Output"] == "up\n"


@pytest.mark.parametrize("mode", ["Process", "ProcessTree"])
def test_time_out_ends_the_script_and_only_with_its_tree_what_it_began(rig: Rig, mode: str) -> None:
    rig.boot()
    wait_until(rig.is_up)
    # The child waits for the test, in whose hand it is whether it lives to see the file.
    child = "(until [ -e go ]; do sleep 0.05; done; touch went-on) & touch begun; wait"
    rig.run(child, Timeout=60, TerminationMode=mode)
    wait_until((rig.folder / "begun").exists)
    rig.region.pass_time(61)
    assert (rig.result["InvocationStatus"], rig.result["ErrorCode"]) == (
        "Timeout",
        "ExecutionTimeout",
    )
    if mode == "ProcessTree":
        wait_until(lambda: not running(rig.folder))
        return
    (rig.folder / "go").touch()
    wait_until((rig.folder / "went-on").exists)


def running(folder: Path) -> list[str]:
    """Return the shells that run in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            here = (process / "cwd").readlink() == folder
            if here and (process / "comm").read_text().strip() in ("sh", "dash", "sleep"):
                found.append(process.name)
        except OSError:
            continue
    return found

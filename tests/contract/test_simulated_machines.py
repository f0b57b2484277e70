"""Commands that the simulated Cloud Assistant runs for real, on instances that are folders."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ecs_simulator.machines import Machine, Machines
from fakes.fleet_oos import FleetRegion
from waiting import wait_until


@dataclass(frozen=True, slots=True)
class Rig:
    """Two instances that are folders, and a third on which no assistant runs."""

    region: FleetRegion
    machines: Machines
    folder: Path

    def run(self, script: str, *names: str, **params: Any) -> None:
        """Begin a script on instances."""
        numbered = {f"InstanceId__{number}": name for number, name in enumerate(names, 1)}
        given = {"Type": "RunShellScript", "ContentEncoding": "PlainText", **params}
        answer = self.region.call("RunCommand", CommandContent=script, **given, **numbered)
        assert answer.status == 200, answer

    def ended(self) -> dict[str, Any]:
        """Wait until nothing runs, and return what became of each instance's last command."""
        wait_until(lambda: not self.machines.running)
        answer = self.region.call("DescribeInvocationResults", ContentEncoding="PlainText")
        found = answer.body["Invocation"]["InvocationResults"]["InvocationResult"]
        return {each["InstanceId"]: each for each in reversed(found)}


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    region, places = FleetRegion("i-1", "i-2", "i-3"), {}
    for name in ("i-1", "i-2"):
        folder = tmp_path / name
        folder.mkdir()
        environment = {"PATH": "/usr/bin:/bin", "NAME": name}
        places[name] = Machine(folder=folder, environment=environment)
    machines = Machines(places)
    region.cloud.assistant.guest = machines
    try:
        yield Rig(region, machines, tmp_path)
    finally:
        machines.close()


def test_command_runs_on_each_instance_with_its_own_variables_and_folder(rig: Rig) -> None:
    rig.run('echo "$NAME $PWD"; echo beside >&2; env | wc -l; exit 3', "i-1", "i-2")
    for name, each in rig.ended().items():
        own = f"{name} {rig.folder / name}\nbeside\n"
        assert each["Output"].startswith(own), each
        assert (each["ExitCode"], each["ErrorCode"]) == (3, "ExitCodeNonzero")
        # PATH, NAME, and what a shell adds itself.
        assert int(each["Output"].split("\n")[-2]) <= 5


def test_command_on_an_instance_without_an_assistant_fails_alone(rig: Rig) -> None:
    rig.run("true", "i-1", "i-3")
    rig.ended()
    rig.region.pass_time(62)  # it is sent for a minute
    found = rig.ended()
    assert (found["i-1"]["InvocationStatus"], found["i-3"]["ErrorCode"]) == (
        "Success",
        "ClientNotRunning",
    )
    (whole,) = rig.region.call("DescribeInvocations").body["Invocations"]["Invocation"]
    assert whole["InvokeStatus"] == "PartialFailed"


def test_command_that_is_killed_has_the_status_of_a_shell(rig: Rig) -> None:
    rig.run("kill -KILL $$", "i-1")
    assert rig.ended()["i-1"]["ExitCode"] == 137


def test_output_that_is_too_long_keeps_its_end(rig: Rig) -> None:
    rig.run("head -c 30000 /dev/zero | tr '\\0' x; printf end", "i-1")
    each = rig.ended()["i-1"]
    assert (len(each["Output"]), each["Output"][-3:]) == (24 * 1024, "end")
    assert each["Dropped"] == 30003 - 24 * 1024


@pytest.mark.parametrize(
    ("mode", "goes_on"), [("Process", True), ("ProcessTree", False)], ids=lambda each: str(each)
)
def test_time_out_ends_the_script_and_only_with_its_tree_what_it_began(
    rig: Rig, mode: str, goes_on: bool
) -> None:
    # The child waits for the test, in whose hand it is whether it lives to see the file.
    child = "(until [ -e go ]; do sleep 0.05; done; touch went-on) & touch begun; wait"
    rig.run(child, "i-1", Timeout=60, TerminationMode=mode)
    own = rig.folder / "i-1"
    wait_until((own / "begun").exists)
    rig.region.pass_time(61)
    each = rig.ended()["i-1"]
    assert (each["InvocationStatus"], each["ErrorCode"]) == ("Timeout", "ExecutionTimeout")
    (own / "go").touch()
    if goes_on:
        wait_until((own / "went-on").exists)
    else:
        time.sleep(0.5)
        assert not (own / "went-on").exists()


def test_interpreter_follows_the_type(rig: Rig) -> None:
    code = base64.b64encode(b"import sys; print(sys.platform)").decode()
    rig.run(code, "i-1", Type="RunPythonScript", ContentEncoding="Base64")
    assert rig.ended()["i-1"]["Output"] == "linux\n"

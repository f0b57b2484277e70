"""What the system tests of the main job share: a cloud on loop disks, and looks into it."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent_runner import AgentRunner, RunningAgent
from fixtures_simulator import SimulatorProcess, simulator_running

LIMIT_S = 20.0
LIFE: dict[str, Any] = {
    "cut_s": 0.02,
    "available_s": 0.03,
    "accomplished_s": 0.15,
    "visible_lag_s": 0.0,
    "member_lag_s": 0.0,
    "fail_at": "",
}
CREATES = ("CreateSnapshot", "CreateSnapshotGroup")
ALLOW_ALL = {
    "Version": "1",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}


def wait_until(
    true: Callable[[], object],
    what: str,
    told: Callable[[], str] = lambda: "",
    *,
    limit_s: float = LIMIT_S,
) -> None:
    """Return when ``true`` is, or fail loudly with what ``told`` says."""
    end = time.monotonic() + limit_s
    while not true():
        if time.monotonic() > end:
            raise AssertionError(f"never came: {what}\n{told()}")
        time.sleep(0.005)


def opened_files(pid: int) -> set[str]:
    """Return what the process holds open; a file that it closes meanwhile is left out."""
    opened = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            opened.add(str(fd.readlink()))
    return opened


@dataclass(frozen=True, slots=True)
class Cloud:
    """A simulated cloud with two loop disks, ext4 and xfs, or more."""

    process: SimulatorProcess
    ext4: Path
    xfs: Path

    @property
    def metadata_url(self) -> str:
        """Return the metadata service's URL."""
        return self.process.metadata_url

    @property
    def ecs_url(self) -> str:
        """Return the API's URL."""
        return self.process.ecs_url

    @property
    def disk_ids(self) -> set[str]:
        """Return the ids of its disks."""
        return {disk.disk_id for disk in self.process.disks}

    @property
    def tops(self) -> dict[str, Path]:
        """Return where each of its filesystems is mounted."""
        return {disk.fs: Path(disk.mount) for disk in self.process.disks}

    def secrets(self) -> list[str]:
        """Return every secret handed out."""
        found: list[str] = self.process.control("GET", "secrets")["secrets"]
        return found

    def fault(self, kind: str, action: str, **more: object) -> None:
        """Have a call go wrong."""
        self.process.control("POST", "faults", {"kind": kind, "action": action, **more})

    def faults_struck(self) -> bool:
        """Tell whether every fault has met its call."""
        return not self.process.control("GET", "faults")["faults"]

    def life(self, **times: object) -> None:
        """Set the stages' times of snapshots from now on; those not named are the usual ones."""
        self.process.control("PUT", "life", LIFE | times)

    def finish_uploads(self) -> None:
        """Let every upload of a snapshot that is cut end now."""
        self.process.control("POST", "finish-snapshots")

    def policies(self, *policies: object) -> None:
        """Give the instance's role these policies alone."""
        self.process.control(
            "PUT", "policies", {"name": "SnapSelfRole", "policies": list(policies)}
        )

    def calls(self) -> list[str]:
        """Return the actions of all API calls that were answered."""
        return [call["action"] for call in self.process.control("GET", "calls")["calls"]]

    def asked_anything(self) -> bool:
        """Tell whether the API or the metadata service was asked anything."""
        return bool(self.calls() or self.process.control("GET", "metadata-calls")["calls"])

    def state(self) -> dict[str, Any]:
        """Return all the cloud's resources."""
        state: dict[str, Any] = self.process.control("GET", "state")
        return state

    def sets(self, before: str) -> list[set[str]]:
        """Return the disks of each snapshot set made before a change; singles are one by disk."""
        state = self.state()
        groups = [
            {state["snapshots"][sid]["disk_id"] for sid in group["member_ids"]}
            for group in state["groups"].values()
            if group["tags"]["snap-self-before"] == before
        ]
        singles = [
            {shot["disk_id"]}
            for shot in state["snapshots"].values()
            if shot["tags"].get("snap-self-before") == before and not shot["group_id"]
        ]
        return [*groups, *singles]

    def calm(self) -> None:
        """Lift all faults, forget all calls and wait until every upload has ended."""
        self.process.control("DELETE", "faults")
        self.process.control("PUT", "clock-skew", {"skew_s": 0.0})
        self.policies(ALLOW_ALL)
        self.life()
        wait_until(
            lambda: all(
                shot["status"] != "progressing" for shot in self.state()["snapshots"].values()
            ),
            "the end of all uploads",
        )
        self.process.control("DELETE", "calls")


@contextmanager
def cloud_running(
    folder: Path, *, category: str = "cloud_essd", more: Sequence[str] = ()
) -> Iterator[Cloud]:
    """Run a cloud with two loop disks, mounted below ``folder``.

    Args:
        more: further filesystems, each on a disk of its own.
    """
    ext4, xfs = folder / "ext4", folder / "xfs"
    places = (ext4, xfs, *(folder / fs for fs in more))
    disks = [f"--disk=size=1,category={category},fs={p.name},mount={p}" for p in places]
    with simulator_running("--storage", "loop", "--no-https", *disks) as process:
        yield Cloud(process, ext4, xfs)


def records(agent: AgentRunner) -> list[dict[str, Any]]:
    """Return the journal's records as they lie on the disk."""
    found = []
    for path in sorted((agent.state / "runs").glob("*.json")):
        found.append(json.loads(path.read_text(encoding="utf-8")))
    return found


def stages(agent: AgentRunner) -> list[str]:
    """Return how far each run has come by the journal."""
    return [str(record["stage"]) for record in records(agent)]


def wait_for_words(running: RunningAgent, words: str) -> None:
    """Return when the agent has said these words."""
    wait_until(
        lambda: words in running.err or running.process.poll() is not None, f"{words!r} said"
    )
    assert words in running.err, f"it ended without saying {words!r}:\n{running.err}"


def on_terminal(agent: AgentRunner, *arguments: str) -> str:
    """Run the agent with a terminal as its standard error and return what that showed."""
    ours, theirs = pty.openpty()
    folder = agent.run_directory.new_folder("agent", "terminal")
    with (folder / "stdout").open("wb") as out:
        process = subprocess.Popen(
            [*agent.wrapper, sys.executable, "-m", "snap_self", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=theirs,
            env=agent.environment() | {"COLUMNS": "120"},
            start_new_session=True,
        )
    os.close(theirs)
    shown = b""
    try:
        while select.select([ours], [], [], 60.0)[0]:
            try:
                more = os.read(ours, 65536)
            except OSError:  # EIO: the other end is closed
                break
            shown += more
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    (folder / "stderr").write_bytes(shown)
    return shown.decode("utf-8", "replace")

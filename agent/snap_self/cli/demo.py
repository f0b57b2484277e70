"""The demo: the main job on this machine against the bundled simulated ECS, as a user sees it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from snap_self.cli.simulated import (
    SimulatedCloud,
    SimulatedDisk,
    cloud_environment,
    simulated_cloud,
)
from snap_self.disks import recording
from snap_self.model.machine import MachineText
from snap_self.ports import HttpRequest
from snap_self.system.http import RequestsTransport
from snap_self.system.recorded import MACHINE

BEFORE = "os upgrade"
SECTORS_PER_GIB = 2 * 1024 * 1024


def run_demo(*, keep: bool) -> int:
    """Run the demo and return the main job's exit status."""
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory(prefix="snap-self-demo-") as folder:
        places = [f"{folder}/root", f"{folder}/srv"]
        wanted = [f"size=2,fs=ext4,mount={places[0]}", f"size=1,fs=xfs,mount={places[1]}"]
        with simulated_cloud(wanted if root else ["size=40", "size=100"]) as cloud:
            status = _Demo(cloud, Path(folder), real=root and not _lacks_disks(cloud)).play()
            if keep:
                _keep(cloud)
    _say("The simulated cloud, its disks, mounts and files are gone; nothing of them is left.")
    return status


class _Demo:
    """What is shown, one command after the other."""

    def __init__(self, cloud: SimulatedCloud, folder: Path, *, real: bool) -> None:
        self._cloud = cloud
        self._folder = folder
        self._real = real
        self._env = cloud_environment(cloud, str(folder))

    def play(self) -> int:
        """Show everything; return the main job's exit status."""
        self._introduce()
        if self._real:
            self._agent("doctor")
        self._agent("--before", BEFORE, "--dry-run", *self._where())
        if self._real:
            self._write("version 1: the state before the upgrade")
        status = self._agent("--before", BEFORE, *self._where())
        if self._real and status == 0:
            self._upgrade_goes_wrong()
        self._agent("list")
        return status

    def _introduce(self) -> None:
        _say("A simulated ECS now runs on this machine; no account is used, nothing leaves it.")
        for disk in self._cloud.disks:
            place = f", {disk.fstype} at {disk.mount}" if disk.mount else ""
            _say(f"  disk {disk.disk_id}, {disk.size_gib} GiB, {disk.device or 'a file'}{place}")
        for gap in self._cloud.left_out:
            _say(f"  left out: {gap}")
        if not self._real:
            _say("  left out: real disks, mounts and flushing need root; a made-up machine is used")
        else:
            _say("  this machine's own disks are not in that cloud: they count as not covered")

    def _where(self) -> tuple[str, ...]:
        if self._real:
            return ()
        (self._folder / MACHINE).write_text(recording.dump(made_up_machine(self._cloud.disks)))
        return ("--consistency", "crash", "--recorded", str(self._folder))

    def _agent(self, *words: str) -> int:
        _say(f"\n$ snap-self {shlex.join(_without_recorded(words))}")
        argv = [sys.executable, "-m", "snap_self", *words]
        # One stream, so that a log of the demo keeps the order in which things were said.
        merged = None if sys.stdout.isatty() else subprocess.STDOUT
        return subprocess.run(argv, env=dict(self._env), stderr=merged, check=False).returncode

    def _write(self, text: str) -> None:
        (self._state_file()).write_text(text + "\n")

    def _state_file(self) -> Path:
        return Path(self._cloud.disks[1].mount) / "app.conf"

    def _upgrade_goes_wrong(self) -> None:
        self._write("version 2: broken by the upgrade")
        _say(f"\nThe upgrade goes wrong: {self._state_file()} now says")
        _say(f"  {self._state_file().read_text().strip()}")
        image = _captured_image(self._cloud, self._cloud.disks[1].disk_id)
        with _mounted(image, self._folder / "captured") as place:
            _say("The snapshot's content, mounted beside it, says")
            _say(f"  {(place / 'app.conf').read_text().strip()}")


def made_up_machine(disks: Sequence[SimulatedDisk]) -> MachineText:
    """Return what the kernel would say of virtio disks with these serials, ext4 on each."""
    files: dict[str, str] = {"proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n"}
    links: dict[str, str] = {}
    mounts = []
    for index, (disk, path) in enumerate(zip(disks, ("/", "/srv"), strict=False)):
        name, number = f"vd{chr(97 + index)}", f"254:{index * 16}"
        block = f"sys/class/block/{name}"
        links[block] = f"../../devices/pci0000:00/0000:00:0{index + 5}.0/virtio{index}/block/{name}"
        links[f"{block}/device"] = f"../../../virtio{index}"
        files[f"{block}/dev"] = f"{number}\n"
        files[f"{block}/size"] = f"{disk.size_gib * SECTORS_PER_GIB}\n"
        files[f"{block}/serial"] = disk.serial
        mounts.append(f"{30 + index} 1 {number} / {path} rw - ext4 /dev/{name} rw\n")
    files["proc/self/mountinfo"] = "".join(mounts)
    return MachineText(files=files, links=links, failures={})


def _lacks_disks(cloud: SimulatedCloud) -> bool:
    return not all(disk.device and disk.mount for disk in cloud.disks)


def _without_recorded(words: Sequence[str]) -> tuple[str, ...]:
    """Return the command as a user would type it: the made-up machine is the demo's own affair."""
    if "--recorded" not in words:
        return tuple(words)
    place = words.index("--recorded")
    return (*words[:place], *words[place + 2 :])


def _captured_image(cloud: SimulatedCloud, disk_id: str) -> Path:
    """Return the file with what the newest snapshot of a disk captured."""
    shots = _control(cloud, "GET", "state", {})["snapshots"]
    newest = [sid for sid, shot in shots.items() if shot["disk_id"] == disk_id][-1]
    return Path(_control(cloud, "POST", "image-path", {"snapshot_id": newest})["path"])


def _control(
    cloud: SimulatedCloud, method: str, path: str, body: Mapping[str, str]
) -> Mapping[str, Any]:
    """Ask the simulator itself, behind the simulated cloud's back."""
    answer = RequestsTransport().send(
        HttpRequest(
            method=method,
            url=f"{cloud.control_url}/{path}",
            body=json.dumps(body).encode(),
            max_bytes=1 << 20,
        )
    )
    said: Mapping[str, Any] = json.loads(answer.body)
    return said


@contextmanager
def _mounted(image: Path, place: Path) -> Iterator[Path]:
    """Mount a copy of an image, as a disk made from it would be: its log is replayed first."""
    copy = place.with_suffix(".img")
    subprocess.run(["cp", "--sparse=always", str(image), str(copy)], check=True)
    place.mkdir()
    subprocess.run(["mount", "-o", "loop,nouuid", str(copy), str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def _keep(cloud: SimulatedCloud) -> None:
    _say("\nThe simulated cloud goes on until Ctrl-C. To use it from another terminal:")
    environment: Mapping[str, str] = cloud_environment(cloud, tempfile.gettempdir())
    for name, value in environment.items():
        if name.startswith("SNAP_SELF_"):
            _say(f"  export {name}={shlex.quote(value)}")
    signal.pause()


def _say(text: str) -> None:
    print(text, flush=True)

"""The demo: the main job on this machine against the bundled simulated ECS, as a user sees it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from snap_self.cli.boundary import Interrupted
from snap_self.cli.console import console
from snap_self.cli.simulated import (
    SimulatedCloud,
    SimulatedDisk,
    cloud_environment,
    cloud_variables,
    control,
    simulated_cloud,
)
from snap_self.disks import recording
from snap_self.disks.gaps import names_beside
from snap_self.disks.layout import read_layout
from snap_self.errors import EnvironmentFault
from snap_self.model.machine import MachineText
from snap_self.model.shell import command, quoted
from snap_self.system.disks.aside import AsideProcess
from snap_self.system.disks.machine import KernelMachineReader
from snap_self.system.disks.recorded import MACHINE
from snap_self.system.environment import SYSTEM_PATH
from snap_self.system.python_child import child_command
from snap_self.system.trust import room_distrust

BEFORE = "os upgrade"
# On a disk, unlike /tmp on many machines. Root's TMPDIR is heeded where nobody else can exchange
# what is made there: another one was dropped when the agent started.
FILES = "/var/tmp"  # nosec B108  # noqa: S108 - a folder of our own below it
SECTORS_PER_GIB = 2 * 1024 * 1024
# What real disks need, and the packages that have it.
PROGRAMS = {"mkfs.btrfs": "btrfs-progs", "mkfs.ext4": "e2fsprogs", "mkfs.xfs": "xfsprogs"}
SHORT_LIFE = {"visible_lag_s": 0.2, "cut_s": 0.4, "available_s": 1.0, "accomplished_s": 4.0}
SHOWN = 2
GONE = "The simulated cloud, its disks, mounts and files are gone; nothing of them is left."


def run_demo(*, keep: bool) -> int:
    """Run the demo and return the main job's exit status; 128+n if signal n ended it before."""
    root = os.geteuid() == 0
    lacking = _lacking() if root else ()
    try:
        with _own_folder() as folder:
            places = [f"{folder}/root", f"{folder}/srv"]
            wanted = [f"size=2,fs=ext4,mount={places[0]}", f"size=1,fs=xfs,mount={places[1]}"]
            disks = wanted if root and not lacking else ["size=40", "size=100"]
            with simulated_cloud(disks, files=folder) as cloud:
                demo = _Demo(cloud, Path(folder), lacking)
                status = demo.play()
                if keep:
                    demo.keep()
    except Interrupted as interrupt:
        _say("", "The demo was ended.", GONE)
        return 128 + interrupt.number
    _say(GONE)
    return status


def _lacking() -> tuple[str, ...]:
    """Return the programs that real disks need and that are not here."""
    return tuple(name for name in PROGRAMS if shutil.which(name, path=SYSTEM_PATH) is None)


@contextmanager
def _own_folder() -> Iterator[str]:
    """Give a new folder that only this user can enter, and that nobody else can exchange."""
    place = Path(os.environ.get("TMPDIR") or FILES).absolute()
    try:
        doubt = room_distrust(str(place))
        if doubt is not None:
            raise EnvironmentFault(doubt.why, hint=doubt.hint)
        made = tempfile.TemporaryDirectory(prefix="snap-self-demo-", dir=place)
    except OSError as error:
        hint = "name a folder for temporary files in TMPDIR"
        raise EnvironmentFault(f"{place}: {error.strerror}", hint=hint) from error
    with made as folder:
        yield folder


class _Demo:
    """What is shown, one command after the other.

    Args:
        lacking: programs without which there are no real disks, although this is root.
    """

    def __init__(self, cloud: SimulatedCloud, folder: Path, lacking: Sequence[str]) -> None:
        self._cloud = cloud
        self._folder = folder
        self._lacking = lacking
        self._real = cloud.has_devices
        self._beside = _mounted_beside(cloud) if self._real else ()
        self._variables = cloud_variables(cloud, str(folder))
        if self._beside:
            self._variables["SNAP_SELF_DISKS_EXCLUDE"] = json.dumps(self._beside)

    def play(self) -> int:
        """Show everything; return the main job's exit status."""
        self._introduce()
        # The upload of a real disk takes minutes to hours; to watch one to its end shows all of it.
        control(self._cloud, "PUT", "life", SHORT_LIFE)
        if self._real:
            # Whether a reboot could be held back is to be seen, though no upload is left here.
            self._agent("doctor", SNAP_SELF_FOLLOW_ENABLED="true")
        self._agent("--before", BEFORE, "--dry-run", *self._where())
        if self._real:
            self._write("version 1: the state before the upgrade")
        status = self._agent("--before", BEFORE, "--wait", "accomplished", *self._where())
        if self._real and status == 0:
            self._upgrade_goes_wrong()
        self._agent("list")
        return status

    def keep(self) -> None:
        """Say how to use the simulated cloud from elsewhere, and let it go on until Ctrl-C."""
        _say("", "The simulated cloud goes on until Ctrl-C. To use it, in a shell of its own (sh):")
        for name, value in self._variables.items():
            _say(f"  export {name}={quoted(value)}")
        if not self._real:
            _say("Its disks are not this machine's, so what works there is: snap-self list, show")
        try:
            signal.pause()
        except Interrupted as interrupt:
            if interrupt.number != signal.SIGINT:
                raise
            _say("")  # behind the terminal's ^C

    def _introduce(self) -> None:
        _say("A simulated ECS now runs on this machine; no account is used, nothing leaves it.")
        for disk in self._cloud.disks:
            place = f", {disk.fstype} at {disk.mount}" if disk.mount else ""
            _say(f"  disk {disk.disk_id}, {disk.size_gib} GiB, {disk.device or 'a file'}{place}")
        if not self._real:
            _say(f"  a made-up machine has them: {self._why_made_up()}")
            return
        for gap in self._cloud.left_out:
            _say(f"  left out: {gap}")
        # Where the simulated cloud keeps its disks is of no interest.
        beside = [name for name in self._beside if not Path(name).is_relative_to(self._folder)]
        if beside:
            more = f" and {len(beside) - SHOWN} more" if beside[SHOWN:] else ""
            shown = ", ".join(sorted(beside, key=len)[:SHOWN]) + more
            _say(f"  what else is mounted here ({shown}) is not in that cloud, so it is left out")
            _say("  by the configuration (disks.exclude)")

    def _why_made_up(self) -> str:
        if self._lacking:
            mend = _install([PROGRAMS[name] for name in self._lacking])
            return f"real disks need {', '.join(self._lacking)}; {mend}"
        if os.geteuid() != 0:
            return "real disks, mounts and flushing need root"
        return f"no real disks here: {self._cloud.why_no_loops}"

    def _where(self) -> tuple[str, ...]:
        if self._real:
            return ()
        (self._folder / MACHINE).write_text(recording.dump(made_up_machine(self._cloud.disks)))
        return ("--consistency", "crash", "--recorded", str(self._folder))

    def _agent(self, *words: str, **variables: str) -> int:
        _say("", f"$ snap-self {command(*_without_recorded(words))}")
        # One stream, so that a log of the demo keeps the order in which things were said.
        merged = None if sys.stdout.isatty() else subprocess.STDOUT
        argv = child_command(words)
        env = {**cloud_environment(self._cloud, str(self._folder)), **self._variables, **variables}
        return subprocess.run(argv, cwd="/", env=env, stderr=merged, check=False).returncode

    def _write(self, text: str) -> None:
        (self._state_file()).write_text(text + "\n")

    def _state_file(self) -> Path:
        return Path(self._cloud.disks[1].mount) / "app.conf"

    def _upgrade_goes_wrong(self) -> None:
        self._write("version 2: broken by the upgrade")
        _say("", f"The upgrade goes wrong: {self._state_file()} now says")
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


def _mounted_beside(cloud: SimulatedCloud) -> tuple[str, ...]:
    """Return what else is mounted on this machine, as the configuration names it."""
    layout = read_layout(KernelMachineReader(AsideProcess()).read())
    return names_beside(layout, [disk.device.removeprefix("/dev/") for disk in cloud.disks])


def _install(packages: Sequence[str]) -> str:
    """Return how what lacks is installed here."""
    tools = ("apt-get", "dnf", "yum", "zypper", "pacman")
    found = next((tool for tool in tools if shutil.which(tool, path=SYSTEM_PATH)), None)
    if found is None:
        return f"install {' '.join(packages)} to see it on real disks"
    verb = "-S" if found == "pacman" else "install"
    return f"`{command(found, verb, *packages)}` shows it on real disks"


def _without_recorded(words: Sequence[str]) -> tuple[str, ...]:
    """Return the command as a user would type it: the made-up machine is the demo's own affair."""
    if "--recorded" not in words:
        return tuple(words)
    place = words.index("--recorded")
    return (*words[:place], *words[place + 2 :])


def _captured_image(cloud: SimulatedCloud, disk_id: str) -> Path:
    """Return the file with what the newest snapshot of a disk captured."""
    shots = control(cloud, "GET", "state", {})["snapshots"]
    newest = [sid for sid, shot in shots.items() if shot["disk_id"] == disk_id][-1]
    return Path(control(cloud, "POST", "image-path", {"snapshot_id": newest})["path"])


@contextmanager
def _mounted(image: Path, place: Path) -> Iterator[Path]:
    """Mount a copy of an image, as a disk made from it would be: its log is replayed first."""
    copy = place.with_suffix(".img")
    _do("cp", "--sparse=always", str(image), str(copy))
    place.mkdir()
    _do("mount", "-o", "loop,nouuid", str(copy), str(place))
    try:
        yield place
    finally:
        _do("umount", str(place))


def _do(*argv: str) -> None:
    # The program is looked for on this PATH.
    subprocess.run(argv, cwd="/", env={"PATH": SYSTEM_PATH}, check=True)


def _say(*lines: str) -> None:
    console().data(*lines)

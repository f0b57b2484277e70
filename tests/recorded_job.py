"""The main job on a made-up machine that has the disks of a simulated cloud."""

from __future__ import annotations

from pathlib import Path

from ecs_simulator import Simulator
from snap_self.cli.demo import made_up_machine
from snap_self.cli.simulated import SimulatedDisk
from snap_self.disks import recording
from snap_self.system.disks.recorded import MACHINE


def made_up_options(simulator: Simulator, folder: Path) -> tuple[str, ...]:
    """Return the options of a main job on that machine, which is written to a folder."""
    disks = [
        SimulatedDisk(
            disk_id=disk["disk_id"],
            serial=disk["serial"],
            size_gib=disk["size_gib"],
            device="",
            fstype="",
            mount="",
        )
        for disk in simulator.dump()["disks"].values()
    ]
    (folder / MACHINE).write_text(recording.dump(made_up_machine(disks)), encoding="utf-8")
    return ("--before", "x", "--consistency", "crash", "--recorded", str(folder))

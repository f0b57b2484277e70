"""What is mounted on the machine that the tests run on, beside one simulated cloud's disks."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from fakes.aside import InThreads
from snap_self.disks.gaps import names_beside
from snap_self.disks.layout import read_layout
from snap_self.system.disks.machine import KernelMachineReader

SIMULATED = "/live/d-"


def own_mounts(disks: Collection[str]) -> tuple[str, ...]:
    """Return what to exclude so that no disk of the machine's own or of another cloud is meant.

    Other loop devices are the tests' own: what one mounts from them to be found is not left out.

    Args:
        disks: the devices of the cloud that is meant.
    """
    layout = read_layout(KernelMachineReader(InThreads()).read())
    loops = [name for name in layout.disks if name.startswith("loop")]
    return names_beside(
        layout, [name for name in loops if f"/dev/{name}" in disks or not _is_simulated(name)]
    )


def _is_simulated(name: str) -> bool:
    """Tell whether a loop device is the disk of a simulated cloud."""
    try:
        return SIMULATED.encode() in Path(f"/sys/block/{name}/loop/backing_file").read_bytes()
    except OSError:  # it has been let go
        return False

"""CPU time of understanding a machine: text to layout, mapping and coverage."""

from __future__ import annotations

import sys
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent / "agent")]

from fakes import recorded_machines as recorded  # noqa: E402
from fakes.machine_builder import docker_host, serial  # noqa: E402
from snap_self.disks.coverage import choose  # noqa: E402
from snap_self.disks.layout import read_layout  # noqa: E402
from snap_self.disks.mapping import map_disks  # noqa: E402
from snap_self.model.disks import CloudDisk, Selection  # noqa: E402
from snap_self.model.machine import MachineText  # noqa: E402

ROUNDS = 5
SIZES = ((1, 10), (8, 10), (64, 10), (2, 100), (2, 1_000), (64, 2_000), (2, 10_000))


def main() -> None:
    """Print the CPU time per size of machine; what grows linearly keeps its last column."""
    print("disks: text to coverage, best of", ROUNDS)
    for disks, overlays in SIZES:
        machine = docker_host(overlays, disks=max(disks, 1)).text()
        items = [recorded.described(serial(index + 1), 40) for index in range(disks)]
        cloud = recorded.disks_of(recorded.answer_of(items))
        best_s = min(understand(machine, cloud) for _ in range(ROUNDS))
        each_us = best_s * 1e6 / (disks + overlays)
        print(
            f"{disks:4} disks {overlays:6} overlays {best_s * 1e3:8.1f} ms {each_us:6.1f} us each"
        )


def understand(machine: MachineText, cloud: list[CloudDisk]) -> float:
    """Return the CPU seconds that the pure part of a plan costs."""
    start = time.process_time()
    layout = read_layout(machine)
    disk_map = map_disks(
        layout, cloud, instance_id=recorded.INSTANCE, serial_to_disk={}, user_map={}
    )
    choose(layout, disk_map, Selection(), ())
    return time.process_time() - start


if __name__ == "__main__":
    main()

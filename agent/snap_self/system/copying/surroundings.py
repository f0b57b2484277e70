"""What the mount table says about where files would go."""

from __future__ import annotations

import os
import re

from snap_self.system.copying.refusing import VOLATILE
from snap_self.system.kernel_text import read_kernel_text
from snap_self.system.mangled import unmangled

_LAYERS = ("lowerdir", "upperdir", "workdir")


class Surroundings:
    """The mount table at one time."""

    def __init__(self, text: str) -> None:
        self._volatile: dict[str, str] = {}
        self._layers: set[tuple[int, int]] = set()
        for line in text.split("\n"):
            head, _, tail = line.partition(" - ")
            before, after = head.split(" "), tail.split(" ")
            if len(before) > 5 and len(after) > 2:
                if after[0] in VOLATILE:
                    self._volatile[before[2]] = after[0]
                if after[0] == "overlay":
                    self._add_layers(after[2])

    def _add_layers(self, options: str) -> None:
        for option in options.split(","):
            name, _, value = option.partition("=")
            # Newer kernels also show `lowerdir+` and `datadir+`, a layer each.
            if name.rstrip("+") in (*_LAYERS, "datadir"):
                for path in re.split(r"(?<!\\):", unmangled(value)):
                    self._add_layer(path.replace("\\:", ":"))

    def _add_layer(self, path: str) -> None:
        try:
            status = os.stat(path)  # noqa: PTH116
        except OSError:
            return
        self._layers.add((status.st_dev, status.st_ino))

    def volatile(self, device: int) -> str:
        """Return the kind of a filesystem that is on no disk; empty if it is."""
        return self._volatile.get(f"{os.major(device)}:{os.minor(device)}", "")

    def is_layer(self, status: os.stat_result) -> bool:
        """Tell whether a directory is a layer of a mounted overlay."""
        return (status.st_dev, status.st_ino) in self._layers


def surroundings() -> Surroundings:
    """Return them as they are now; none where the mount table cannot be read."""
    try:
        return Surroundings(read_kernel_text("/proc/self/mountinfo"))
    except OSError:
        return Surroundings("")

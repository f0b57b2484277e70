"""Flush: sync every filesystem concerned, side by side, within a time limit."""

from __future__ import annotations

from collections.abc import Sequence

from snap_self.model.plan import FlushTarget
from snap_self.ports import Filesystems
from snap_self.usecases.parallel import side_by_side

PARALLEL = 8


def flush(filesystems: Filesystems, targets: Sequence[FlushTarget]) -> str:
    """Sync all targets and return why one could not be synced; empty when all were.

    A filesystem on a loop image is synced before the one that holds the image, since syncing the
    inner one writes to the outer one. Filesystems of one depth are synced side by side.
    """
    faults: list[str] = []

    def sync(target: FlushTarget) -> str:
        try:
            filesystems.sync(target.path)
        except OSError as error:
            return f"{target.path} could not be synced: {error.strerror or error}"
        return ""

    with side_by_side(PARALLEL, "flush") as pool:
        for depth in sorted({target.depth for target in targets}, reverse=True):
            level = [target for target in targets if target.depth == depth]
            faults += [fault for fault in pool.map(sync, level) if fault]
    return "; ".join(faults)

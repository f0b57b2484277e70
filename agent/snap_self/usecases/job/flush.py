"""Flush: sync every filesystem concerned, side by side, within a time limit."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import wait
from dataclasses import replace

from snap_self.model.flushed import FlushResult, Synced, SyncFault
from snap_self.model.flushing import FlushTarget
from snap_self.model.progress import Event, EventKind, Listener
from snap_self.ports import Filesystems
from snap_self.threads.pool import side_by_side

PARALLEL = 8
# A disk that takes so long is worth a word, so that nobody takes the wait for a hang.
TELL_S = 5.0


def flush(
    filesystems: Filesystems,
    targets: Sequence[FlushTarget],
    listener: Listener,
    *,
    limit_s: float | None = None,
    tell_s: float = TELL_S,
) -> FlushResult:
    """Sync all targets and return what became of each.

    A filesystem on a loop image is synced before the one that holds the image, since syncing the
    inner one writes to the outer one. Filesystems of one depth are synced side by side.

    Args:
        limit_s: for each; None for the usual limit.
        tell_s: after so long it is said which are still being synced.
    """
    parts: list[Synced] = []
    with side_by_side(PARALLEL, "flush") as pool:
        for depth in sorted({target.depth for target in targets}, reverse=True):
            level = [target for target in targets if target.depth == depth]
            calls = {pool.submit(_synced, filesystems, target, limit_s): target for target in level}
            late = wait(calls, timeout=tell_s).not_done
            if late:
                paths = ", ".join(calls[call].path for call in calls if call in late)
                text = f"still syncing {paths}: the disk takes long to write what it is given"
                listener(Event(kind=EventKind.NOTE, text=text))
            parts += (call.result() for call in calls)
    return FlushResult(parts=tuple(parts))


def _synced(filesystems: Filesystems, target: FlushTarget, limit_s: float | None) -> Synced:
    if target.obstacle is not None:
        return Synced(target=target, fault=SyncFault.NO_WAY)
    done = filesystems.sync(target, limit_s=limit_s)
    # The kernel tells the program nothing of a sync, or takes its silence for success
    # (fs/fuse/inode.c, fuse_sync_fs): what it was given is proved, what it did with that is not.
    if done.fault is None and target.fstype.startswith("fuse"):
        return replace(done, fault=SyncFault.SERVED)
    return done

"""Sync mounted filesystems, each through a descriptor that was checked to belong to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from snap_self.model.flushing import FlushTarget

if TYPE_CHECKING:
    from snap_self.model.flushed import Synced
    from snap_self.system.disks.aside import SideCalls

SYNC_LIMIT_S = 300.0


class KernelFilesystems:
    """Implement ``ports.Filesystems`` with ``syncfs``.

    Args:
        calls: makes the calls, which may never return.
        limit_s: a longer sync counts as failed. The kernel still goes on with it, since nothing
            can stop it.
    """

    def __init__(self, calls: SideCalls, *, limit_s: float = SYNC_LIMIT_S) -> None:
        self._calls = calls
        self._limit_s = limit_s

    def sync(self, target: FlushTarget, *, limit_s: float | None = None) -> Synced:
        """Write all dirty data of a filesystem to its disk, and return the outcome."""
        from snap_self.model.flushed import Synced, SyncFault  # a plan does not need it
        from snap_self.system.disks.questions import EXCHANGED, NOT_WRITTEN

        limit_s = self._limit_s if limit_s is None else min(limit_s, self._limit_s)
        asked = self._calls.begin("sync", *(way.plain for way in target.ways))
        try:
            number, why, error = asked.result(limit_s)
        except TimeoutError:
            return Synced(target=target, fault=SyncFault.LATE, limit_s=limit_s)
        except BrokenPipeError:  # the process that made the call is gone
            return Synced(target=target, fault=SyncFault.BROKEN)
        except OSError as refused:
            return Synced(target=target, fault=SyncFault.NOT_OPENED, error=refused.errno or 0)
        faults = {EXCHANGED: SyncFault.EXCHANGED, NOT_WRITTEN: SyncFault.NOT_WRITTEN}
        fault = faults.get(why, SyncFault.NOT_OPENED) if why else None
        return Synced(target=target, fault=fault, error=error, way=target.ways[number].shown)

"""Filesystems that only note that they were synced."""

from __future__ import annotations

import errno
from collections.abc import Collection, Mapping

from snap_self.model.flushed import Synced, SyncFault
from snap_self.model.flushing import FlushTarget


class FakeFilesystems:
    """The memory twin of ``KernelFilesystems``.

    Args:
        missing: paths that do not exist.
        failing: errno of the sync, by path.
        exchanged: paths that lead to something else by now.
    """

    def __init__(
        self,
        *,
        missing: Collection[str] = (),
        failing: Mapping[str, int] | None = None,
        exchanged: Collection[str] = (),
    ) -> None:
        self._faults = dict.fromkeys(missing, (SyncFault.NOT_OPENED, errno.ENOENT))
        self._faults |= {
            path: (SyncFault.NOT_WRITTEN, number) for path, number in (failing or {}).items()
        }
        self._faults |= dict.fromkeys(exchanged, (SyncFault.EXCHANGED, 0))
        self.synced: list[str] = []

    def sync(self, target: FlushTarget, *, limit_s: float | None = None) -> Synced:
        """Note the path of the first way that leads there, or fail as told."""
        del limit_s
        outcome = Synced(target=target, fault=SyncFault.NO_WAY)
        for way in target.ways:
            fault, number = self._faults.get(way.shown, (None, 0))
            outcome = Synced(target=target, fault=fault, error=number, way=way.shown)
            if fault is None:
                self.synced.append(way.shown)
            if fault in (None, SyncFault.NOT_WRITTEN):
                break
        return outcome

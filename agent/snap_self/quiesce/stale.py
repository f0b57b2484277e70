"""Ending a freeze that an interrupted run left behind: for `snap-self thaw` and the next run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from errno import EINVAL

from snap_self.errors import ThawFailed
from snap_self.ports import OpenedMount
from snap_self.quiesce.account import THAW_HINT
from snap_self.quiesce.freeze import FreezePorts
from snap_self.quiesce.marker import MarkedFilesystem, Marker, decode_marker

_WAIT_S = 2.0
_PAUSE_S = 0.02


class StaleOutcome(Enum):
    """What was found of one filesystem of a stale marker."""

    THAWED = "was still frozen, thawed now"
    NOT_FROZEN = "was not frozen any more"
    NOT_MOUNTED = "is not mounted any more; if it was frozen, it still is when mounted again"
    FAILED = "could not be thawed"


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleFreeze:
    """What a marker led to.

    Args:
        found: there was a marker.
        why: what became of it, a sentence.
        filesystems: mount point and outcome, in the order of thawing.
    """

    found: bool
    why: str
    filesystems: tuple[tuple[str, StaleOutcome], ...] = ()

    def fault(self) -> ThawFailed | None:
        """Return the error to end with when something may still be frozen."""
        bad = (StaleOutcome.FAILED, StaleOutcome.NOT_MOUNTED)
        left = [f"{path} {outcome.value}" for path, outcome in self.filesystems if outcome in bad]
        return ThawFailed("; ".join(left), hint=THAW_HINT) if left else None


def end_stale_freeze(ports: FreezePorts) -> StaleFreeze:
    """End what the marker says is frozen, and remove the marker.

    A guardian that is still there is asked first, for it knows what is frozen. Each listed
    superblock gets exactly one thaw: looping until the kernel refuses could undo a freeze of the
    device mapper's or of another tool's.

    Raises:
        StateUnusable: the marker cannot be understood.
        OSError: it cannot be read or removed.
        ThawFailed: the guardian is alive and does not end.
    """
    text = ports.markers.read()
    if text is None:
        return StaleFreeze(found=False, why="there is no marker of a freeze")
    marker = decode_marker(text)
    if marker.boot_id != ports.boot.boot_id():
        ports.markers.remove()
        return StaleFreeze(found=True, why="it was of an earlier boot, which no freeze survives")
    if _living(marker, ports) and not _ended_by_guardian(marker, ports):
        pids = ", ".join(str(pid) for pid in _living(marker, ports))
        if pids:
            raise ThawFailed(
                f"the guardian (process {pids}) is still at a freeze call that does not return",
                hint="remove what blocks that filesystem; the guardian thaws it then",
            )
    if ports.markers.read() is None:
        return StaleFreeze(found=True, why="its guardian was alive and thawed everything")
    outcomes = tuple((f.path, _thaw(f, ports)) for f in reversed(marker.filesystems))
    report = StaleFreeze(
        found=True, why="its processes are gone, so it was ended now", filesystems=outcomes
    )
    if report.fault() is None:
        ports.markers.remove()
    return report


def _living(marker: Marker, ports: FreezePorts) -> list[int]:
    return [p.pid for p in marker.processes if ports.boot.started(p.pid) == p.started]


def _ended_by_guardian(marker: Marker, ports: FreezePorts) -> bool:
    """Ask the living processes to end; return whether they did within the limit."""
    for pid in _living(marker, ports):
        ports.boot.terminate(pid)
    limit_s = ports.clock.monotonic() + _WAIT_S
    while _living(marker, ports):
        if ports.clock.monotonic() > limit_s:
            return False
        ports.clock.sleep(_PAUSE_S)
    return True


def _thaw(filesystem: MarkedFilesystem, ports: FreezePorts) -> StaleOutcome:
    opened = _open(filesystem, ports)
    if opened is None:
        return StaleOutcome.NOT_MOUNTED
    try:
        number = ports.calls.thaw(opened.fd)
    finally:
        ports.opener.close(opened.fd)
    if number == 0:
        return StaleOutcome.THAWED
    return StaleOutcome.NOT_FROZEN if number == EINVAL else StaleOutcome.FAILED


def _open(filesystem: MarkedFilesystem, ports: FreezePorts) -> OpenedMount | None:
    """Open any mount of that device: the marked path may be covered or gone by now."""
    for path in _paths(filesystem, ports.opener.listing()):
        try:
            opened = ports.opener.open(path)
        except OSError:
            continue
        if opened.listed_device == filesystem.listed_device:
            return opened
        ports.opener.close(opened.fd)
    return None


def _paths(filesystem: MarkedFilesystem, listing: Sequence[tuple[int, str, str]]) -> list[str]:
    paths = [path for _, device, path in listing if device == filesystem.listed_device]
    return sorted(paths, key=lambda path: path != filesystem.path)

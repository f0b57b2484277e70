"""Ends a freeze that an interrupted run left behind: for `snap-self thaw` and the next run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from errno import EINVAL

from snap_self.errors import ThawFailed
from snap_self.model.flushing import MountWay
from snap_self.model.shell import command
from snap_self.ports import OpenedMount, ProcessState
from snap_self.quiesce.freeze.account import SEE_PROC_SYS, unfreeze_commands
from snap_self.quiesce.freeze.marker import MarkedFilesystem, Marker, decode_marker
from snap_self.quiesce.freeze.session import FreezePorts

_WAIT_S = 2.0
_PAUSE_S = 0.02


class StaleOutcome(Enum):
    """What was found about one filesystem of a stale marker."""

    THAWED = "was still frozen, thawed now"
    NOT_FROZEN = "was not frozen any more"
    NOT_MOUNTED = "is not mounted any more; if it was frozen, it still is when mounted again"
    FAILED = "could not be thawed"


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleFreeze:
    """The outcome for a marker.

    Args:
        found: there was a marker.
        why: what happened to it, as a sentence.
        filesystems: mount point and outcome, in the order of thawing.
    """

    found: bool
    why: str
    filesystems: tuple[tuple[str, StaleOutcome], ...] = ()

    def fault(self) -> ThawFailed | None:
        """Return the error to end with if something may still be frozen."""
        bad = (StaleOutcome.FAILED, StaleOutcome.NOT_MOUNTED)
        left = [f"{path} {outcome.value}" for path, outcome in self.filesystems if outcome in bad]
        if not left:
            return None
        failed = [path for path, outcome in self.filesystems if outcome is StaleOutcome.FAILED]
        lost = [path for path, outcome in self.filesystems if outcome is StaleOutcome.NOT_MOUNTED]
        advice = [f"mount {', '.join(lost)} again, then run `snap-self thaw`"] if lost else []
        advice += [f"run {unfreeze_commands(failed)}"] if failed else []
        return ThawFailed("; ".join(left), hint="; ".join(advice))


def end_stale_freeze(ports: FreezePorts) -> StaleFreeze:
    """End what the marker says is frozen, and remove the marker.

    A guardian that still runs is asked first, since it knows what is frozen; a stopped guardian is
    continued. Processes that then do not end are killed, unless one has a call in flight. Each
    listed superblock gets exactly one thaw: thawing until the kernel refuses could undo a freeze by
    the device mapper or another tool.

    Raises:
        StateUnusable: the marker cannot be understood.
        OSError: it cannot be read or removed.
        ThawFailed: a call of the guardian does not return, or the boot id is not known.
    """
    text = ports.markers.read()
    if text is None:
        return StaleFreeze(found=False, why="there is no marker of a freeze")
    marker = decode_marker(text)
    if marker.boot_id != _known_boot(ports):
        ports.markers.remove()
        return StaleFreeze(found=True, why="it was of an earlier boot, which no freeze survives")
    _end_processes(marker, ports)
    if ports.markers.read() is None:
        return StaleFreeze(found=True, why="its guardian was alive and thawed everything")
    outcomes = tuple((f.path, _thaw(f, ports)) for f in reversed(marker.filesystems))
    report = StaleFreeze(
        found=True, why="its processes are gone, so it was ended now", filesystems=outcomes
    )
    if report.fault() is None:
        ports.markers.remove()
    return report


def _known_boot(ports: FreezePorts) -> str:
    try:
        return ports.boot.boot_id()
    except OSError as error:
        raise ThawFailed(
            "there is the marker of a freeze, and the kernel does not show its boot id here "
            f"({error.strerror}), so whether anything is still frozen cannot be told",
            hint=f"run `snap-self thaw`; {SEE_PROC_SYS}",
        ) from error


def _living(marker: Marker, ports: FreezePorts) -> list[int]:
    return [p.pid for p in marker.processes if ports.boot.started(p.pid) == p.started]


def _end_processes(marker: Marker, ports: FreezePorts) -> None:
    """End the marker's processes, so that each freeze is thawed once.

    Raises:
        ThawFailed: they do not end.
    """
    for pid in _living(marker, ports):
        ports.boot.terminate(pid)
        # A stopped process does not get the signal until it is resumed.
        ports.boot.resume(pid)
    if _all_end(marker, ports):
        return
    left = {pid: ports.boot.state(pid) for pid in _living(marker, ports)}
    # Killed during a freeze call, they would leave a freeze that nobody ends after it returns.
    if ProcessState.IN_CALL not in left.values():
        for pid in left:
            ports.boot.kill(pid)
        if _all_end(marker, ports):
            return
        left = {pid: ports.boot.state(pid) for pid in _living(marker, ports)}
    said = ", ".join(f"process {pid} is {state.value}" for pid, state in left.items())
    again = command("kill", "-CONT", *map(str, left))
    paths = [filesystem.path for filesystem in reversed(marker.filesystems)]
    raise ThawFailed(
        f"the guardian of a freeze does not end: {said}",
        hint=f"run `{again}`, then {unfreeze_commands(paths)}; where a freeze call does not "
        "return, remove what blocks that filesystem: the guardian thaws it then",
    )


def _all_end(marker: Marker, ports: FreezePorts) -> bool:
    """Return whether the processes end within the limit."""
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
    for way in _ways(filesystem, ports.opener.listing()):
        try:
            return ports.opener.open(way)
        except OSError:
            continue
    return None


def _ways(
    filesystem: MarkedFilesystem, listing: Sequence[tuple[int, str, str]]
) -> Sequence[MountWay]:
    ways = [
        MountWay(path=path, mount_id=mount_id, devno=device)
        for mount_id, device, path in listing
        if device == filesystem.listed_device
    ]
    return sorted(ways, key=lambda way: way.path != filesystem.path)

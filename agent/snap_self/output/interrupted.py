"""What a run that a signal ended says: what had been asked of the cloud by then."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from snap_self.errors import SnapSelfError
from snap_self.model.asked import Asked
from snap_self.model.executions import CONFIRM
from snap_self.model.shell import command
from snap_self.output.jsonform import fault_json
from snap_self.output.report import report_json

if TYPE_CHECKING:
    from snap_self.model.invocation import Invocation
    from snap_self.model.report import Report


def interrupted_lines(signal: str, asked: Asked | None, report: Report | None) -> Iterator[str]:
    """Yield what to know, the way on last.

    Args:
        signal: its name.
        asked: None for a command that asks for no snapshot.
        report: of the run, if it had asked for something.
    """
    error = _error(signal, asked, report)
    yield f"snap-self: {error.message}"
    if error.hint:
        yield f"  -> {error.hint}"


def interrupted_json(
    signal: str, started: Invocation, asked: Asked | None, report: Report | None
) -> dict[str, Any]:
    """Return the same as a JSON object: the run's report as far as there is one."""
    said = fault_json(_error(signal, asked, report), started)
    if report is not None:
        said |= {**report_json(report), "command": started.command, "error": said["error"]}
    if "interrupted" in said:  # only who asks for snapshots has the field
        said["interrupted"] = {"signal": signal, "asked": asked and asked.value}
    return said


def what_was_asked(report: Report | None) -> Asked:
    """Return what a run had asked for by its report; none was kept of one that had not."""
    if report is None:
        return Asked.NOTHING
    return Asked.MADE if report.snapshots else Asked.NOT_KNOWN


def _error(signal: str, asked: Asked | None, report: Report | None) -> SnapSelfError:
    ended = f"ended by {signal}"
    if asked is None:
        return SnapSelfError(ended)
    if report is None or asked is Asked.NOTHING:
        return SnapSelfError(f"{ended}; nothing was asked of the cloud, no snapshot was made")
    look = f"`{command('snap-self', 'show', report.run_id or 'RUN')}`"
    run = f"run {report.run_id}"
    if asked is Asked.NOT_KNOWN:
        return SnapSelfError(
            f"{ended} after the cloud was asked for a snapshot and before it answered ({run}): "
            "whether it makes one is not known",
            hint=f"{look} tells; the same command, given again soon, takes it over",
        )
    ids = dict.fromkeys(s.snapshot_id or s.group_id or s.disk_id for s in report.snapshots)
    named = f"{', '.join(ids)} ({run})"
    if report.arming or report.armed:
        look = f"{look}; a rollback may wait: `snap-self list` tells, `{CONFIRM}` calls it off"
    if not any(shot.may_go_on for shot in report.snapshots):
        return SnapSelfError(f"{ended}; what was made stays: {named}", hint=look)
    unseen = f"; its cut was not seen ({report.unseen.words})" if report.unseen else ""
    rely = f"look at it before you rely on it: {look}" if report.unseen else look
    return SnapSelfError(
        f"{ended}; what the cloud was asked for goes on: {named}{unseen}", hint=rely
    )

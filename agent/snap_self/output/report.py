"""The main job's report: its screen with the details, and the same as JSON (schema 1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from snap_self.errors import ExitStatus
from snap_self.model.invocation import PLAN, SNAPSHOT
from snap_self.model.result import Result
from snap_self.model.shell import command
from snap_self.model.shown import quoted
from snap_self.output.jsonform import envelope, when, write_json
from snap_self.output.screen import watched, write_lacks, write_screen
from snap_self.output.steps import undo_lines
from snap_self.output.streams import Streams
from snap_self.output.text import write_error_report, write_paragraph

if TYPE_CHECKING:  # the form of one value is not to load what makes the others
    from snap_self.model.asked import CutUnseen
    from snap_self.model.disks import CloudDisk, Target
    from snap_self.model.executions import Waiting
    from snap_self.model.report import Report, SnapshotReport
    from snap_self.model.servers import RestedApplication

SHOWN_MOUNTS = 6


def write_report(streams: Streams, report: Report, *, started: bool = False) -> None:
    """Write what became of a run: one screen, before it the details if they were asked for.

    Faults are written even when quiet.

    Args:
        started: the change is started right after it.
    """
    if streams.json:
        if report.error:
            streams.fault(*asked_lines(report))
        elif report.exit_status is not ExitStatus.DONE:  # a job's mail is not to be empty
            write_lacks(streams, report)
        write_json(streams, report_json(report), error=report.error)
        return
    if report.result is Result.PLANNED:
        _write_details(streams, report)
        _write_plan(streams, report)
        write_paragraph(streams, *(f"Note       {note}" for note in report.notes))
        return
    if streams.verbosity > 0:
        _write_details(streams, report)
        _write_further(streams, report, started=started)
        report = replace(report, news=())
    write_screen(streams, report, started=started)
    if report.error:  # last, where a tired person looks first
        write_paragraph(streams, *asked_lines(report), loud=True)
        write_error_report(streams, report.error)


def report_json(report: Report) -> dict[str, Any]:
    """Return the main job's report as a JSON object."""
    return {
        **envelope(
            PLAN if report.result is Result.PLANNED else SNAPSHOT,
            exit_status=report.exit_status,
            result=report.result,
            error=report.error,
        ),
        "of_earlier": report.of_earlier,
        "run": _run(report),
        "instance": _instance(report),
        "disks": [_disk(target) for target in report.targets],
        "skipped": [{"disk_id": s.disk_id, "why": s.why, "asked": s.asked} for s in report.skipped],
        "not_covered": [
            {"what": gap.what, "kind": gap.kind, "why": gap.why, "left_out": gap.left_out}
            for gap in report.not_covered
            if gap.data_at_risk
        ],
        "excluded": [
            {"what": gap.what, "kind": gap.kind, "why": gap.why, "paths": list(gap.paths)}
            for gap in report.excluded
        ],
        "snapshots": [_snapshot(shot) for shot in report.snapshots],
        "consistency": _consistency(report),
        "steps": [
            {"name": s.name, "reason": s.reason, "seconds": s.seconds, "result": s.result}
            for s in report.steps
        ],
        "frozen_s": report.frozen_s,
        "undo": list(undo_lines(report.undo)),
        "notes": list(report.notes),
        "watch": _watch(report),
        "applications": [_application(each) for each in report.applications],
        "unseen": unseen_json(report.unseen),
        "interrupted": None,
        "armed": armed_json(report.armed),
    }


def armed_json(waiting: Waiting | None) -> dict[str, str | None] | None:
    """Return what waits for a confirmation; None where nothing does."""
    if waiting is None:
        return None
    return {
        "run": waiting.run,
        "deadline": when(waiting.deadline),
        "execution_id": waiting.execution_id or None,
    }


def unseen_json(unseen: CutUnseen | None) -> dict[str, str] | None:
    """Return why the cut of what was asked for was not seen; None if that is not the result."""
    return unseen and {"reason": unseen.value, "why": unseen.words}


def _write_details(streams: Streams, report: Report) -> None:
    """Write where the run is, and every disk and place with what becomes of it."""
    if report.identity:
        one = report.identity
        write_paragraph(streams, f"Instance   {one.instance_id} in {one.region} ({one.zone})")
    write_paragraph(streams, *_disk_lines(report.targets))
    for skipped in report.skipped:
        write_paragraph(streams, f"Left out   {skipped.disk_id}: {skipped.why}")
    for gap in report.not_covered:
        if gap.data_at_risk:
            write_paragraph(streams, f"Not covered  {gap.what} ({gap.kind}): {gap.why}")


def _write_further(streams: Streams, report: Report, *, started: bool) -> None:
    """Write what else is known of what was done."""
    write_paragraph(streams, *(f"Note       {note}" for note in report.notes))
    if report.snapshots:
        level = report.consistency
        reached = level.reached.value if level.reached else "not known"
        why = f" (asked: {level.asked.value}; {level.why})" if level.why else ""
        write_paragraph(streams, f"Consistency  {reached}{why}")
    if report.watch:
        write_paragraph(streams, f"Upload     {watched(report.watch)}")
    if not started:
        streams.message(*how_to_go_back(report))


def _disk_lines(targets: Sequence[Target]) -> Iterable[str]:
    for target in targets:
        disk: CloudDisk = target.cloud
        device = target.local.node if target.local else "device not seen"
        paths = [
            f"{mount.path} ({mount.fstype})"
            for filesystem in target.filesystems
            for mount in filesystem.mounts[:1]
        ]
        shown = ", ".join(paths[:SHOWN_MOUNTS]) or "nothing mounted"
        more = f" and {len(paths) - SHOWN_MOUNTS} more" if len(paths) > SHOWN_MOUNTS else ""
        yield (
            f"Disk       {disk.disk_id}  {disk.kind.value}, {disk.category}, {disk.size_gib} GiB, "
            f"{device}: {shown}{more}"
        )


def _write_plan(streams: Streams, report: Report) -> None:
    streams.data(f"Plan for before {quoted(report.before)} (nothing is done):")
    for number, step in enumerate(report.steps, start=1):
        streams.data(f"{number:3}. {step.name:10} {step.reason}")
    level = report.consistency
    streams.data(f"Consistency asked: {level.asked.value}")
    if level.why:
        streams.data(f"  it may be weaker: {level.why}")


def asked_lines(report: Report) -> Iterator[str]:
    """Yield what to know of what was asked for and not seen to be cut; nothing of other runs."""
    if report.unseen is None:
        return
    ids = dict.fromkeys(s.snapshot_id or s.group_id or s.disk_id for s in report.snapshots)
    named = f": {', '.join(ids)}" if ids else ""
    yield f"Snapshot asked for, but its cut was not seen ({report.unseen.words}){named}"
    look = command("snap-self", "show", report.run_id or "RUN")
    yield f"Look at it before you rely on it: `{look}`"


def how_to_go_back(report: Report) -> Iterator[str]:
    """Yield the short way back, line by line; nothing where there is none."""
    if lines := undo_lines(report.undo):
        yield "How to go back:"
        yield from (f"  {line}" for line in lines)


def _watch(report: Report) -> dict[str, Any] | None:
    watch = report.watch
    if watch is None:
        return None
    return {"held": watch.held, "until": when(watch.until), "why": watch.why}


def _run(report: Report) -> dict[str, Any]:
    return {
        "id": report.run_id,
        "before": report.before,
        "started": when(report.started),
        "finished": when(report.finished),
    }


def _instance(report: Report) -> dict[str, str] | None:
    one = report.identity
    if one is None:
        return None
    return {"id": one.instance_id, "region": one.region, "zone": one.zone}


def _disk(target: Target) -> dict[str, Any]:
    mounts = {
        (mount.path, mount.fstype): None
        for filesystem in target.filesystems
        for mount in filesystem.mounts
        if mount.namespace is None
    }
    return {
        "disk_id": target.cloud.disk_id,
        "device": target.local.node if target.local else None,
        "serial": target.cloud.serial,
        "size_gib": target.cloud.size_gib,
        "category": target.cloud.category,
        "mounts": [{"path": path, "fstype": fstype} for path, fstype in mounts],
    }


def _snapshot(shot: SnapshotReport) -> dict[str, Any]:
    return {
        "snapshot_id": shot.snapshot_id,
        "group_id": shot.group_id,
        "disk_id": shot.disk_id,
        "status": shot.status,
        "progress": shot.progress,
        "available": shot.available,
        "cut": shot.cut.value,
        "cut_time": when(shot.cut_time),
        "expires": when(shot.expires),
        "retention": shot.retention.value,
    }


def _consistency(report: Report) -> dict[str, Any]:
    level = report.consistency
    return {
        "asked": level.asked.value,
        "reached": level.reached.value if level.reached else None,
        "why": level.why,
    }


def _application(rested: RestedApplication) -> dict[str, Any]:
    server = rested.server
    return {
        "kind": server.kind,
        "data_dir": server.data_dir,
        "pid": server.pid,
        "uid": server.uid,
        "account": server.account,
        "executable": server.executable,
        "at_rest": rested.at_rest,
        "why": rested.why,
    }

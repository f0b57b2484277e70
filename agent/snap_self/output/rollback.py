"""A rollback that is to be done: what goes back, what is lost and how; text and JSON (schema 1)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from snap_self.errors import ExitStatus
from snap_self.model.result import Result
from snap_self.model.shell import command
from snap_self.model.shown import quoted
from snap_self.output.jsonform import envelope, when, write_json
from snap_self.output.shown import way_lines
from snap_self.output.steps import step_line
from snap_self.output.streams import Streams
from snap_self.output.text import ago_words, instant_words
from snap_self.recovery.ways import FORCED_STOP
from snap_self.usecases.rollback import Judged, Started

SHOWN_RUNS = 5


def write_steps(streams: Streams, judged: Judged, *, now: datetime) -> None:
    """Write what is lost, and the steps from outside."""
    if streams.json:
        write_json(streams, rollback_json(judged, result=Result.PLANNED))
        return
    streams.data(*loss_lines(judged, now))
    streams.data(*way_lines(judged.way))
    _write_notes(streams, judged)
    streams.message(
        "",
        "The same as one script for another machine, which checks between the steps:",
        f"  {command('snap-self', 'rollback', judged.named, '--script')} > rollback.sh",
    )


def write_script(streams: Streams, judged: Judged, script: str, *, now: datetime) -> None:
    """Write the script alone to standard output, and what is lost to standard error."""
    if streams.json:
        write_json(streams, rollback_json(judged, result=Result.PLANNED, script=script))
        return
    streams.data(*script.removesuffix("\n").split("\n"))
    streams.message(*loss_lines(judged, now))
    _write_notes(streams, judged)


def intent_lines(judged: Judged, now: datetime, *, snapshot_first: bool) -> Iterator[str]:
    """Yield what OOS is to do, and what is lost by it."""
    yield from loss_lines(judged, now)
    if snapshot_first:
        yield "Made       first, a snapshot of the present state, which is waited for"
    else:
        yield "Made       no snapshot of the present state (--snapshot-first makes one)"
    yield "Stops      this machine, for some minutes; it is started again when all disks are back"
    # Whoever gives the steps by hand has to force it; OOS does so by itself.
    cautions = (line for line in judged.way.cautions if line != FORCED_STOP)
    yield from (f"Mind       {line}" for line in cautions)
    yield from (f"Note       {line}" for line in judged.notes)


def write_started(streams: Streams, started: Started) -> None:
    """Write what goes on outside, and how to see what comes of it."""
    name = started.execution.execution_id
    region = started.judged.identity.region
    if streams.json:
        done = rollback_json(started.judged, result=Result.DONE, execution=name)
        write_json(streams, done)
        return
    streams.data(f"Started    {name}: OOS checks, stops this machine, resets its disks, starts it")
    streams.message(
        "If no disk can be reset the machine is started again as it is; if only some can, it stays",
        "stopped, since its disks would not fit together. How it goes, also from elsewhere:",
    )
    streams.message(
        "  "
        + command(
            "aliyun", "oos", "ListTaskExecutions", "--RegionId", region, "--ExecutionId", name
        )
    )


def write_declined(streams: Streams) -> None:
    """Say that nobody agreed."""
    streams.message("Nothing was done.")


def loss_lines(judged: Judged, now: datetime) -> Iterator[str]:
    """Yield what goes back, what stays, and what is lost."""
    plan = judged.plan
    for one in plan.returns:
        where = f": {', '.join(one.disk.mounts)}" if one.disk.mounts else ""
        kind = one.disk.cloud.kind.value
        yield f"Goes back  {kind} disk {one.disk_id}{where}, to {one.shot.snapshot_id}"
    for each in plan.staying:
        yield f"Stays      {each.disk_id}: {each.why}"
    if plan.since is None:
        yield "Lost       everything written since the snapshots were made"
    else:
        ago = ago_words(plan.since, now)
        yield f"Lost       everything written since {instant_words(plan.since)}{ago}"
    for run in plan.later[:SHOWN_RUNS]:
        text = f", before {quoted(run.before)}" if run.before else ""
        yield f"           with it what came after run {run.name}{text}"
    if len(plan.later) > SHOWN_RUNS:
        yield f"           and after {len(plan.later) - SHOWN_RUNS} more runs"
    if plan.later:
        yield "           their snapshots stay, and can be gone back to"


def rollback_json(
    judged: Judged,
    *,
    result: Result,
    script: str = "",
    execution: str = "",
    exit_status: int = ExitStatus.DONE,
    online: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the same as a JSON object.

    Args:
        execution: the id of what was started; empty where nothing was.
        online: what was done while the machine runs; None where nothing was.
    """
    plan, identity = judged.plan, judged.identity
    return {
        **envelope("rollback", result=result, exit_status=exit_status),
        "run": plan.run,
        "instance": {"id": identity.instance_id, "region": identity.region, "zone": identity.zone},
        "disks": [
            {
                "disk_id": one.disk_id,
                "snapshot_id": one.shot.snapshot_id,
                "mounts": list(one.disk.mounts),
            }
            for one in plan.returns
        ],
        "staying": [{"disk_id": each.disk_id, "why": each.why} for each in plan.staying],
        "lost_since": when(plan.since),
        "later_runs": [
            {"id": run.name, "before": run.before, "cut_time": when(run.cut_time)}
            for run in plan.later
        ],
        "cautions": list(judged.way.cautions),
        "console": list(judged.way.console),
        "commands": [step_line(step) for step in judged.way.steps],
        "after": list(judged.way.after),
        "script": script or None,
        "execution_id": execution or None,
        "online": online,
        "notes": list(judged.notes),
    }


def _write_notes(streams: Streams, judged: Judged) -> None:
    streams.message(*(f"Note: {note}" for note in judged.notes))

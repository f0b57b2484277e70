"""Bring data disks back while the system runs: judged, asked for, and taken to the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from snap_self.errors import NotWhileRunning, RollbackGoesOn, SnapshotFailed
from snap_self.model.disks import Selection
from snap_self.model.going_back import ReturnRecord
from snap_self.model.request import Request
from snap_self.model.snapshots import WaitFor
from snap_self.recovery.online import GOES_ON, damaged_hint, younger_places
from snap_self.usecases.going_back.journey import travel
from snap_self.usecases.going_back.judging import OnlineJudged, judge_online
from snap_self.usecases.going_back.request import OnlineRequest
from snap_self.usecases.going_back.tools import GoingBack
from snap_self.usecases.inventory.named import LAST
from snap_self.usecases.snapshot import take_snapshot
from snap_self.usecases.tools import Here, Tools

# The store has to have it: no disk is reset while another snapshot of it is uploaded.
PRESENT_S = 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """Disks that went back."""

    judged: OnlineJudged
    record: ReturnRecord


def roll_back_online(
    tools: Tools,
    going: GoingBack,
    request: OnlineRequest,
    agree: Callable[[OnlineJudged], bool],
) -> Returned | None:
    """Bring data disks back; None where nobody agreed.

    Args:
        agree: is told what will be lost, and tells whether to go on.

    Raises:
        RollbackUnfinished: it is half-way; later commands go on with it.
        SnapSelfError: nothing was changed, or all is as it was before.
    """
    here = tools.here()
    _refuse_second(going)
    online = _judge(here, going, request.wanted, request.units)
    if not agree(online):
        return None
    # What is meant by `last` is not what is made now.
    wanted = online.judged.plan.run if request.wanted == LAST else request.wanted
    present = _present(tools, online) if request.snapshot_first else ""
    with (
        tools.lock.hold(timeout_s=tools.lock_wait_s, purpose="rollback"),
        going.copies_lock.hold(timeout_s=tools.lock_wait_s, purpose="rollback"),
    ):
        # Others went on while somebody thought it over, or a snapshot was uploaded.
        _refuse_second(going)
        online = _judge(here, going, wanted, request.units)
        return _go(here, going, online, present)


def _judge(here: Here, going: GoingBack, wanted: str, units: Sequence[str]) -> OnlineJudged:
    """Judge it, and refuse what could not be mounted again afterwards.

    Raises:
        SnapSelfError: something speaks against it.
    """
    online = judge_online(here, going, wanted, units)
    run = online.judged.record
    if run is not None and (younger := younger_places(online.record, run.carried)):
        raise NotWhileRunning(
            f"{', '.join(younger)} was not mounted from these disks when run {run.run_id} was "
            "made, so nothing could be mounted there when they have gone back",
            hint=f"umount {younger[0]} first, and take it out of /etc/fstab; what lies there is "
            "lost when its disk goes back",
        )
    return online


def _go(here: Here, going: GoingBack, online: OnlineJudged, present: str) -> Returned:
    record = replace(online.record, return_id=going.new_id(), present=present)
    going.returns.save(record)
    return Returned(judged=online, record=travel(going, going.disks(here), record))


def _refuse_second(going: GoingBack) -> None:
    """Refuse where another one is half-way.

    Raises:
        RollbackGoesOn: as it says.
    """
    for record in going.returns.unfinished():
        raise RollbackGoesOn(f"rollback {record.return_id} is not finished", hint=GOES_ON)
    for each in going.returns.damaged():
        raise RollbackGoesOn(
            f"{each.where} cannot be read ({each.why}), so whether a rollback is half-way is not "
            "known",
            hint=damaged_hint(each),
        )


def _present(tools: Tools, online: OnlineJudged) -> str:
    """Snapshot the disks as they are; return the run.

    Raises:
        SnapshotFailed: there is no whole snapshot of them.
    """
    disks: Sequence[str] = online.record.disk_ids
    report = take_snapshot(
        Request(
            before=f"rollback to {online.record.run}",
            selection=Selection(disks=tuple(disks)),
            wait=WaitFor.ACCOMPLISHED,
            timeout_s=PRESENT_S,
        ),
        tools,
    )
    if report.exit_status or report.run_id is None:
        why = report.error.message if report.error else "it is not whole"
        raise SnapshotFailed(
            f"the present state was not kept, so nothing was changed: {why}",
            hint="leave out --snapshot-first to go back without it",
        )
    return report.run_id

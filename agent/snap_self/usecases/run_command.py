"""``run``: the main job, then the command it was made for, then what became of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from snap_self.errors import ExitStatus, SnapSelfError
from snap_self.model.command import Ended, NotStartable, OnSnapshotFailure, lasted, may_start
from snap_self.model.executions import Waiting
from snap_self.model.looking import Since
from snap_self.model.report import Report
from snap_self.model.request import Request
from snap_self.ports import ForegroundCommands
from snap_self.ports_looking_back import ManifestReading
from snap_self.usecases.aftercare.changed import COMMAND_LIMIT_S, note_changed
from snap_self.usecases.aftercare.commands import note_outcome, note_started, tag_outcome
from snap_self.usecases.since import changed_since
from snap_self.usecases.snapshot import take_snapshot
from snap_self.usecases.tools import Tools

if TYPE_CHECKING:
    from snap_self.usecases.tools import Usual


class Confirming(Protocol):
    """Arms a rollback with the main job, and calls it off when the change's check succeeds.

    It has loaded all that it needs before the change is begun.
    """

    def take(self, request: Request, tools: Tools) -> Report:
        """Do the main job and arm; a failure to is in the report, or raised before it."""
        ...

    def confirm(self, tools: Tools, armed: Waiting, check: str) -> None:
        """Run the check, and call the rollback off.

        Raises:
            CheckFailed: it did not succeed; the rollback stays armed.
            RollbackNotCalledOff: this machine may be rolled back all the same.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to be run, and before it what snapshot to make.

    Args:
        confirming: what arms and calls off a rollback; None where none is asked for.
        watched: does the main job, and tells those who watch how it ended.
    """

    request: Request
    argv: tuple[str, ...]
    policy: OnSnapshotFailure
    confirming: Confirming | None = None
    watched: Callable[[Callable[[], Report]], Report] = lambda make: make()


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What became of it.

    Args:
        report: the main job's; None if it was not begun, since the command cannot be started.
        ending: None if the command was not tried.
        seconds: how long it ran.
        since: what differs on the machine afterwards; None where that is not known.
        confirmed: its check has called off the rollback that was armed.
        unconfirmed: why it has not, where there is a check and it was run.
    """

    report: Report | None
    ending: Ended | NotStartable | None = None
    seconds: float | None = None
    since: Since | None = None
    confirmed: bool = False
    unconfirmed: SnapSelfError | None = None

    @property
    def exit_status(self) -> int:
        """What ``run`` ends with: the command's own status, unless only what followed failed."""
        if self.ending is None:
            return int(ExitStatus.NOT_STARTED)
        failed = int(self.unconfirmed.exit_status) if self.unconfirmed else 0
        own = self.ending.exit_status if isinstance(self.ending, Ended) else int(self.ending)
        return own or failed


class ChangeView(Protocol):
    """Is told how far it is, while the terminal is the agent's and not the command's."""

    def snapshot_ended(self, report: Report, *, starting: bool) -> None:
        """Show the main job's report; the command is started next, or not at all."""
        ...

    def command_ended(self, changed: Changed) -> None:
        """Show how the command ended."""
        ...

    def waits(self, changed: Changed) -> None:
        """Show whether the rollback that was armed is called off."""
        ...

    def machine_changed(self, report: Report, since: Since) -> None:
        """Show what differs on the machine after the command."""
        ...


def run_change(
    change: Change, tools: Tools, commands: ForegroundCommands, view: ChangeView
) -> Changed:
    """Do the main job, then run the command unless the snapshot is missing, and keep its outcome.

    A command that cannot be started gets no snapshot, which would be paid for in vain.
    """
    if fault := commands.fault(change.argv[0]):
        return Changed(report=None, ending=fault)
    confirming = change.confirming
    if confirming is None:
        report = change.watched(lambda: take_snapshot(change.request, tools))
    else:
        report = change.watched(partial(confirming.take, change.request, tools))
    unarmed = confirming is not None and report.armed is None
    starting = may_start(report.exit_status, change.policy) and not unarmed
    view.snapshot_ended(report, starting=starting)
    if not starting:
        return Changed(report=report)
    return _run(change, report, tools, commands, view)


def _run(
    change: Change, report: Report, tools: Tools, commands: ForegroundCommands, view: ChangeView
) -> Changed:
    number = note_started(tools, report.run_id) if report.run_id else 0
    # The command may take this program away, so nothing of it is loaded afterwards.
    usual = tools.manifests.usual() if tools.manifests else {}
    began = tools.clock.monotonic()
    ending = commands.run(change.argv)
    seconds = max(0.0, tools.clock.monotonic() - began)
    # Read by another process while the outcome is noted, told and tagged.
    reading = tools.manifests.reader.begin() if tools.manifests else None
    changed = Changed(report=report, ending=ending, seconds=round(seconds, 3))
    outcome = _outcome(ending, seconds)
    if report.run_id:
        failed = not isinstance(ending, Ended) or ending.failed
        note_outcome(tools, report.run_id, number, outcome, failed=failed)
    # The ways back come before the cloud is asked again: the command may have cut the network.
    view.command_ended(changed)
    if report.armed is not None:
        changed = _confirmed(change, changed, report.armed, tools)
        view.waits(changed)
    tag_outcome(tools, report, outcome)
    since = None
    if reading and isinstance(ending, Ended):
        since = _since(report, tools, reading, usual)
    if since is not None:
        view.machine_changed(report, since)
    if reading:
        reading.drop()
    return replace(changed, since=since)


def _confirmed(change: Change, changed: Changed, armed: Waiting, tools: Tools) -> Changed:
    """Let the check decide after a command that succeeded; else the rollback stays armed."""
    check, ending = change.request.check, changed.ending
    good = isinstance(ending, Ended) and not ending.failed
    if not check or not good or change.confirming is None:
        return changed
    try:
        change.confirming.confirm(tools, armed, check)
    except SnapSelfError as error:
        return replace(changed, unconfirmed=error)
    return replace(changed, confirmed=True)


def _since(report: Report, tools: Tools, reading: ManifestReading, usual: Usual) -> Since | None:
    """Note what the command has made of the machine, and return what differs from before."""
    run_id = report.run_id
    if not run_id or report.identity is None:
        return None
    instance_id = report.identity.instance_id
    note_changed(tools, run_id, instance_id, limit_s=COMMAND_LIMIT_S, reading=reading)
    return changed_since(tools, run_id, usual)


def _outcome(ending: Ended | NotStartable, seconds: float) -> str:
    if isinstance(ending, Ended):
        return f"{ending.words()} after {lasted(seconds)}"
    return f"not started: {ending.name.lower().replace('_', ' ')}"

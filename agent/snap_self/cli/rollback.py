"""`rollback`: what may be asked for, the use case, rendering, exit status."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial

from snap_self.cli.asking import agreed, note, refuse_empty, refuse_unasked
from snap_self.cli.connecting import connect_oos
from snap_self.cli.options import Manner
from snap_self.cli.session import open_session, streams_of
from snap_self.cloud.executions import OosExecutions
from snap_self.errors import RootNeeded, UsageError
from snap_self.output.rollback import (
    intent_lines,
    write_declined,
    write_script,
    write_started,
    write_steps,
)
from snap_self.system.rollback_files import script_body, template
from snap_self.system.state.left import may_be_half_way
from snap_self.usecases.going_back.request import OnlineRequest
from snap_self.usecases.rollback import (
    Judged,
    RollbackRequest,
    roll_back,
    rollback_from_outside,
)

SUDO = "run it with sudo"


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackOptions:
    """The options as typed."""

    wanted: str
    steps: bool
    script: bool
    oos: bool
    online: bool
    units: tuple[str, ...]
    snapshot_first: bool
    yes: bool
    give_up: bool


def run_rollback(options: RollbackOptions, manner: Manner) -> int:
    """Print how whole disks go back, have OOS bring them back, or bring back those of data."""
    _check(options)
    if options.give_up:
        return _give_up(options, manner)
    if options.oos:
        return _from_outside(options, manner)
    if options.online:
        from snap_self.cli.rollback_online import run_online

        return run_online(
            OnlineRequest(
                wanted=options.wanted,
                units=options.units,
                snapshot_first=options.snapshot_first,
            ),
            manner,
            yes=options.yes,
        )
    with open_session(manner, sweeps=True) as session:
        judged = rollback_from_outside(session.tools(), options.wanted)
        session.end_progress()
        now = session.adapters.clock.now()
        if options.script:
            write_script(session.streams, judged, judged.script(script_body()), now=now)
        else:
            write_steps(session.streams, judged, now=now)
    return 0


def _from_outside(options: RollbackOptions, manner: Manner) -> int:
    """Have OOS bring the disks back."""
    if os.geteuid():
        raise RootNeeded("rollback --oos stops this machine, which needs root", hint=SUDO)
    refuse_unasked(
        streams_of(manner),
        yes=options.yes,
        command="rollback --oos",
        does="stops this machine and throws away what was written since the snapshot",
    )
    with open_session(manner) as session:
        now = session.adapters.clock.now()
        settings = session.config.rollback
        request = RollbackRequest(
            wanted=options.wanted,
            snapshot_first=options.snapshot_first,
            content="" if settings.stored_template else template(),
            role=settings.role,
        )

        def agree(judged: Judged) -> bool:
            lines = tuple(intent_lines(judged, now, snapshot_first=options.snapshot_first))
            if options.yes:
                note(session, *lines)
                return True
            return agreed(session, "Stop this machine and bring the disks back?", *lines)

        started = roll_back(
            session.tools(),
            lambda identity: OosExecutions(connect_oos(session.adapters, identity)),
            request,
            agree,
            half_way=partial(may_be_half_way, session.config.state.dir),
        )
        session.end_progress()
    if started is None:
        write_declined(session.streams)
        return 0
    write_started(session.streams, started)
    return 0


def _give_up(options: RollbackOptions, manner: Manner) -> int:
    from snap_self.cli.rollback_online import run_give_up

    if manner.json:
        raise UsageError(
            "--give-up tells what is left to do for people only", hint="leave out --json"
        )
    return run_give_up(options.wanted, manner)


def _check(options: RollbackOptions) -> None:
    refuse_empty(ID=options.wanted)
    refuse_empty(unit=next((unit for unit in options.units if not unit.strip()), None))
    ways = options.steps + options.script + options.oos + options.online + options.give_up
    if ways > 1:
        raise UsageError(
            "--print, --script, --oos, --online and --give-up contradict each other",
            hint="give one of the five, or none",
        )
    if options.units and not options.online:
        raise UsageError(
            "--unit goes with --online alone: nothing else stops single units",
            hint=f"snap-self rollback {options.wanted} --online --unit {options.units[0]}",
        )
    for name, given in (("--snapshot-first", options.snapshot_first), ("--yes", options.yes)):
        if given and not (options.oos or options.online):
            raise UsageError(
                f"{name} goes with --oos or --online: without them nothing is done",
                hint=f"snap-self rollback {options.wanted} --oos {name}",
            )

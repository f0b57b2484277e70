"""`rollback --online`: the use case, rendering, exit status; and going on after a kill."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from snap_self.cli.asking import agreed, note, refuse_unasked
from snap_self.cli.console import console
from snap_self.cli.options import Manner
from snap_self.cli.places import BOOT_ID
from snap_self.cli.session import open_session, streams_of
from snap_self.cli.wiring import copies_lock
from snap_self.errors import RootNeeded, SnapSelfError
from snap_self.model.going_back import ReturnId, SetAside
from snap_self.model.request import Request
from snap_self.output.rollback import write_declined
from snap_self.output.rollback_online import (
    ended_words,
    online_lines,
    status_of,
    write_given_up,
    write_returned,
    write_set_aside,
)
from snap_self.system.commands import SystemCommands
from snap_self.system.disks.aside import AsideProcess
from snap_self.system.environment import program_environment
from snap_self.system.inhibitor import LogindInhibitor
from snap_self.system.state.returns import ReturnJournal
from snap_self.usecases.going_back.giving_up import give_up
from snap_self.usecases.going_back.online import roll_back_online
from snap_self.usecases.going_back.request import OnlineRequest
from snap_self.usecases.going_back.sweeping import go_on
from snap_self.usecases.going_back.tools import GoingBack

if TYPE_CHECKING:
    from snap_self.cli.adapters import Adapters
    from snap_self.ports_going_back import OwnDisks
    from snap_self.usecases.going_back.judging import OnlineJudged
    from snap_self.usecases.tools import Here, Tools


def run_online(request: OnlineRequest, manner: Manner, *, yes: bool) -> int:
    """Bring the data disks back now."""
    if os.geteuid():
        raise RootNeeded(
            "rollback --online unmounts and detaches disks, which needs root",
            hint="run it with sudo",
        )
    refuse_unasked(
        streams_of(manner),
        yes=yes,
        command="rollback --online",
        does="takes disks away for a while and throws away what was written since the snapshot",
    )
    with open_session(manner) as session:
        # Where the command was given may lie on one of the disks.
        os.chdir("/")
        now = session.adapters.clock.now()
        tools, going = _tools(session.adapters, request), going_back(session.adapters)

        def agree(online: OnlineJudged) -> bool:
            lines = tuple(online_lines(online, now, snapshot_first=request.snapshot_first))
            if yes:
                note(session, *lines)
                return True
            return agreed(session, "Bring the disks back now?", *lines)

        returned = roll_back_online(tools, going, request, agree)
        session.end_progress()
    if returned is None:
        write_declined(session.streams)
        return 0
    write_returned(session.streams, returned)
    return int(status_of(returned.record))


def run_give_up(wanted: str, manner: Manner) -> int:
    """Close the record of a rollback that is half-way."""
    if os.geteuid():
        raise RootNeeded("rollback --give-up writes the journal of root", hint="run it with sudo")
    from snap_self.cli.wiring import make_tools

    with open_session(manner) as session:
        closed = give_up(make_tools(session.adapters), going_back(session.adapters), wanted)
        session.end_progress()
    if isinstance(closed, SetAside):
        write_set_aside(session.streams, closed)
    else:
        write_given_up(session.streams, closed)
    return 0


def go_on_with(adapters: Adapters, tools: Tools) -> None:
    """Bring forward what was interrupted; what comes of it is told, and fails no command.

    It is told even when quiet, and after the command's progress has ended.
    """
    streams = console(verbosity=0, json=False)
    try:
        ended = go_on(tools, going_back(adapters))
    except SnapSelfError as error:
        streams.fault(f"snap-self: an interrupted rollback was not gone on with: {error.told}")
        return
    # What is not finished is said at the end of every command.
    streams.fault(*(f"snap-self: {ended_words(one.record)}" for one in ended if not one.error))


def going_back(adapters: Adapters) -> GoingBack:
    """Return what freeing, resetting and using data disks again takes."""
    from snap_self.system.going_back.ground import SystemGround
    from snap_self.system.opening.finding import Serials

    state = adapters.config.state.dir
    return GoingBack(
        clock=adapters.clock,
        copies_lock=copies_lock(state, adapters.clock),
        returns=ReturnJournal(state),
        disks=_disks,
        ground=SystemGround(
            SystemCommands(env=program_environment(), folder="/"), Serials(AsideProcess())
        ),
        inhibitor=LogindInhibitor(),
        listener=adapters.gate,
        new_id=lambda: ReturnId(f"{adapters.clock.now():%Y%m%dt%H%M%Sz}{os.urandom(3).hex()}"),
        kept=(str(state),),
        boot_id=_boot_id(),
    )


def _tools(adapters: Adapters, request: OnlineRequest) -> Tools:
    from snap_self.cli.wiring import make_tools, tools_for

    if not request.snapshot_first:
        return make_tools(adapters)
    return tools_for(adapters, Request(before="rollback"))


def _disks(here: Here) -> OwnDisks:
    from snap_self.cloud.own_disks import EcsOwnDisks

    return EcsOwnDisks(here.cloud.caller)


def _boot_id() -> str:
    from snap_self.cli.adapters import text_of

    return text_of(BOOT_ID)

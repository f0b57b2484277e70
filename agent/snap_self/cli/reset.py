"""`reset`: whether it may, the use case, rendering, exit status."""

from __future__ import annotations

import os
from functools import partial

from snap_self.cli.adapters import Adapters, text_of
from snap_self.cli.asking import agreed, refuse_unasked
from snap_self.cli.follow import LOCK as FOLLOW_LOCK
from snap_self.cli.options import Manner
from snap_self.cli.places import BOOT_ID, MARKER
from snap_self.cli.session import Session, open_session, streams_of
from snap_self.cli.wiring import (
    copies_lock,
    has_marker,
    identify,
    process_started,
    run_lock,
)
from snap_self.errors import SnapSelfError
from snap_self.model.ids import InstanceId
from snap_self.model.kept_state import KeptState
from snap_self.output.forgotten import kept_lines, write_declined, write_forgotten
from snap_self.system.state.awaited import AwaitedFiles
from snap_self.system.state.copies import CopyJournal
from snap_self.system.state.lock import FileLock
from snap_self.system.state.parts import StateParts
from snap_self.system.state.returns import ReturnJournal
from snap_self.system.watching.tally import LOCK as WATCH_LOCK
from snap_self.system.watching.textfile import remove_textfile
from snap_self.usecases.reset import ResetTools, reset
from snap_self.usecases.tools import Process
from snap_self.watching.metrics import BEGINNING


def run_reset(manner: Manner, *, yes: bool) -> int:
    """Forget what is kept of this instance."""
    refuse_unasked(
        streams_of(manner), yes=yes, command="reset", does="forgets what is kept of this instance"
    )
    with open_session(manner) as session:
        agree = (lambda kept: True) if yes else partial(_agree, session)  # noqa: ARG005
        forgotten = reset(_tools(session.adapters), agree)
        session.end_progress()
        config = session.config
        if forgotten is None:
            write_declined(session.streams)
        else:
            write_forgotten(
                session.streams,
                forgotten,
                mapped=tuple(config.disks.map),
                textfile=config.metrics.textfile,
            )
    return 0


def _agree(session: Session, kept: KeptState) -> bool:
    return agreed(
        session, "Forget all this?", *kept_lines(kept, textfile=session.config.metrics.textfile)
    )


def _tools(adapters: Adapters) -> ResetTools:
    state = adapters.config.state.dir
    copies = CopyJournal(state)
    return ResetTools(
        clock=adapters.clock,
        folder=StateParts(state),
        lock=run_lock(adapters),
        copies_lock=copies_lock(state, adapters.clock),
        follow_lock=FileLock(state, adapters.clock, name=FOLLOW_LOCK),
        watch_lock=FileLock(state, adapters.clock, name=WATCH_LOCK),
        store=adapters.store,
        copies=copies,
        returns=ReturnJournal(state),
        awaited=AwaitedFiles(state),
        process=Process(pid=os.getpid(), boot_id=text_of(BOOT_ID)),
        process_started=process_started,
        frozen=_frozen,
        instance_id=partial(_instance_id, adapters),
        asides=copies.asides,
        remove_textfile=partial(
            remove_textfile, adapters.config.metrics.textfile, beginning=BEGINNING
        ),
    )


def _frozen() -> bool:
    """Tell whether a freeze left its marker; of another user's state none can be."""
    return os.geteuid() == 0 and has_marker(MARKER.exists)


def _instance_id(adapters: Adapters) -> InstanceId | None:
    try:
        return identify(adapters).instance_id
    except SnapSelfError:
        return None

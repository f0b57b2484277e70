"""Give up a rollback that is half-way: nothing is done to its disks any more, by any command."""

from __future__ import annotations

from dataclasses import replace

from snap_self.errors import UsageError
from snap_self.model.going_back import Heading, ReturnRecord, Step
from snap_self.usecases.going_back.tools import GoingBack
from snap_self.usecases.tools import Tools


def give_up(tools: Tools, going: GoingBack, wanted: str) -> ReturnRecord:
    """Close the record of one that is not finished; return it. The cloud is not asked.

    Raises:
        UsageError: none with that id is half-way.
        LockHeld: a command is at work on it.
        StateUnusable: the journal could not be read or written; it is not given up.
    """
    with (
        tools.lock.hold(timeout_s=tools.lock_wait_s, purpose="rollback"),
        going.copies_lock.hold(timeout_s=tools.lock_wait_s, purpose="rollback"),
    ):
        record = going.returns.load(wanted)
        if record is None or record.is_done:
            raise UsageError(
                f"no rollback {wanted} is half-way", hint="`snap-self list` names those that are"
            )
        closed = replace(record.at(Step.DONE), heading=Heading.GIVEN_UP, ended=going.clock.now())
        going.returns.save(closed)
        return closed

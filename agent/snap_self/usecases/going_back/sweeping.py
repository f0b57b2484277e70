"""Go on with what a kill or a power cut interrupted: the next command does."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

from snap_self.errors import RollbackUnfinished, SnapSelfError, StateUnusable
from snap_self.model.going_back import Heading, ReturnRecord, Step
from snap_self.model.run import rebooted
from snap_self.usecases.going_back.journey import travel
from snap_self.usecases.going_back.tools import GoingBack
from snap_self.usecases.tools import Here, Tools

# Whoever agreed did so to what was lost then. What was written in an hour, or in another boot, is
# more than that, as long as the disks may have been in use.
AGREED_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GoneOn:
    """What became of an interrupted one.

    Args:
        error: why it is not finished; None if it is.
    """

    record: ReturnRecord
    error: SnapSelfError | None = None


def go_on(tools: Tools, going: GoingBack) -> tuple[GoneOn, ...]:
    """Take what was interrupted to its end; nothing is done while another command is at work.

    Raises:
        SnapSelfError: neither instance nor cloud could be asked, or the journal not be read.
    """
    with (
        tools.lock.attempt(purpose="rollback") as free,
        going.copies_lock.attempt(purpose="rollback") as alone,
    ):
        records = going.returns.unfinished() if free and alone else ()
        if not records:
            return ()
        if not going.ground.is_the_machines():
            going.warn(
                f"rollback {records[0].return_id} is not gone on with here: this command runs in "
                "a mount namespace of its own. Run `snap-self list` as root outside of it"
            )
            return ()
        here = tools.here()
        return tuple(_one(going, here, record) for record in records)


def _one(going: GoingBack, here: Here, record: ReturnRecord) -> GoneOn:
    if record.instance_id != here.identity.instance_id:
        # This machine was made of another one's image: that one's disks are its own affair.
        ended = replace(record.at(Step.DONE), heading=Heading.BACK, ended=going.clock.now())
        with suppress(StateUnusable):
            going.returns.save(ended)
        return GoneOn(record=ended)
    going.step(f"go on with rollback {record.return_id}")
    try:
        ended = travel(going, going.disks(here), _still_agreed(going, record))
    except RollbackUnfinished as error:
        return GoneOn(record=going.returns.load(record.return_id) or record, error=error)
    except SnapSelfError as error:
        going.warn(f"rollback {record.return_id} was given up, and nothing changed: {error.told}")
        return GoneOn(record=going.returns.load(record.return_id) or record)
    return GoneOn(record=ended)


def _still_agreed(going: GoingBack, record: ReturnRecord) -> ReturnRecord:
    """Return the record, headed back if what would be lost by now was never agreed to."""
    forward = record.heading is Heading.FORWARD and record.untouched
    age_s = (going.clock.now() - record.started).total_seconds()
    if not forward or not (rebooted(record.boot_id, going.boot_id) or age_s > AGREED_S):
        return record
    why = "it was interrupted before a disk was reset, and that was too long ago to go on"
    turned = replace(record, heading=Heading.BACK, trouble=why)
    going.returns.save(turned)
    return turned

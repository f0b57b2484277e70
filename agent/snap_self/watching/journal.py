"""What happened, as the system's journal has it: a message id of each kind, and fields.

Source: systemd.journal-fields(7), systemd's catalog format (systemd.io/CATALOG).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from snap_self.model.occurrences import Occasion, Occurrence
from snap_self.watching.login import TIME

IDENTIFIER = "snap-self"
# syslog(3)
_CRITICAL, _ERROR, _WARNING, _NOTICE, _INFO = 2, 3, 4, 5, 6
PRIORITIES = {
    _CRITICAL: "crit",
    _ERROR: "err",
    _WARNING: "warning",
    _NOTICE: "notice",
    _INFO: "info",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What the journal's readers know of one kind.

    Args:
        message_id: 128 bits, made once for each kind and never changed.
        priority: of syslog(3).
        subject: of the entry in the catalog.
        text: what it means and what to do, for the catalog.
    """

    message_id: str
    priority: int
    subject: str
    text: str


MESSAGES: Mapping[Occasion, Message] = {
    Occasion.BEGUN: Message(
        message_id="b57f0eef010f4387b758c018e8cf8e0a",
        priority=_INFO,
        subject="A snapshot run has begun",
        text="snap-self looks at this machine's disks and will ask the cloud for snapshots of "
        "them. Another message with the same text tells how it ended; if there is none, the run "
        "was ended by force: `snap-self list` tells what it had asked for.",
    ),
    Occasion.MADE: Message(
        message_id="c7de8b6fb3aa4f03b11ea20ee890ec35",
        priority=_NOTICE,
        subject="A snapshot was made",
        text="The disks' content is fixed. SNAP_SELF_RUN names the run: "
        "`snap-self show @SNAP_SELF_RUN@` has all of it, with the ways back.",
    ),
    Occasion.REUSED: Message(
        message_id="34f8cf539d494cfaa3c3d77b296f8880",
        priority=_NOTICE,
        subject="An earlier snapshot serves",
        text="A good snapshot of the same disks was young enough, so no new one was made. "
        "`snap-self show @SNAP_SELF_RUN@` has all of it.",
    ),
    Occasion.ASKED: Message(
        message_id="02efe3cdb01e4017a95041c47ab80dd6",
        priority=_WARNING,
        subject="A snapshot was asked for, and was not seen to be cut",
        text="The cloud took the order, and could not be asked in time what became of it. It may "
        "be there: `snap-self list`. Do not rely on it before it is shown as made.",
    ),
    Occasion.FAILED: Message(
        message_id="e1e3cc4205854f84b4b3181d626e468d",
        priority=_ERROR,
        subject="There is no snapshot to rely on",
        text="SNAP_SELF_CODE tells why; what each code means stands in the manual, snap-self(8). "
        "`snap-self doctor` looks at every precondition and tells how to mend what fails.",
    ),
    Occasion.UNPROTECTED: Message(
        message_id="f7d3d844788642178573b0c84b215819",
        priority=_ERROR,
        subject="A change was made without a snapshot",
        text="A package manager changed this machine, and there was no snapshot to rely on. "
        "SNAP_SELF_TRIGGER names the manager, SNAP_SELF_CODE why. Nothing can bring back what was "
        "before that change. Mend what `snap-self doctor` tells, and make a snapshot now: "
        '`snap-self --before "the next change"`.',
    ),
    Occasion.INTERRUPTED: Message(
        message_id="e21e0c0f483a45eb9788aa6767656b01",
        priority=_WARNING,
        subject="The hook of a package manager was interrupted",
        text="Whether the package manager made its change all the same, without a snapshot to rely "
        "on, is not known. SNAP_SELF_TRIGGER names the manager: see its own log. What was asked of "
        "the cloud by then goes on: `snap-self list`.",
    ),
    Occasion.FROZEN: Message(
        message_id="f407d21a71624e5baf1e3d5c36c1e13a",
        priority=_CRITICAL,
        subject="A filesystem may still be frozen",
        text="Programs that write to it hang until it is thawed. End it: `snap-self thaw`.",
    ),
    Occasion.UPLOADED: Message(
        message_id="5111afadd6c4482daf975e9d6e09730a",
        priority=_INFO,
        subject="The upload of a snapshot has ended",
        text="The snapshots of the run are copied whole into the snapshot store. This machine may "
        "be stopped or restarted.",
    ),
    Occasion.UPLOAD_FAILED: Message(
        message_id="9ec5b7977f9c4d68bacb7b3bf428010f",
        priority=_ERROR,
        subject="The upload of a snapshot came to nothing",
        text="Snapshots of the run failed, were deleted, or were not shown any more. "
        "`snap-self show @SNAP_SELF_RUN@` tells which. Do not go back to them; make another.",
    ),
    Occasion.PRUNED: Message(
        message_id="9e32834999064a438ea36adcdd83ef4d",
        priority=_INFO,
        subject="Snapshots were deleted",
        text="`snap-self prune` deleted snapshots of this machine that were due.",
    ),
    Occasion.ARMED: Message(
        message_id="e3c17413c9f44f26a6b955b65b9dfe77",
        priority=_WARNING,
        subject="This machine goes back unless somebody confirms",
        text="The cloud stops this machine at the time named, resets its disks to the run's "
        "snapshots and starts it again, unless `snap-self confirm` is said by then.",
    ),
    Occasion.CONFIRMED: Message(
        message_id="f2b1c7fe05a14dea804293556079a048",
        priority=_NOTICE,
        subject="The rollback that waited is called off",
        text="All was said to be well, so this machine does not go back.",
    ),
    Occasion.WENT_BACK: Message(
        message_id="623eff1e89a7499cba391bb16c99f21b",
        priority=_WARNING,
        subject="This machine went back to a snapshot",
        text="Its disks hold what they held at the cut of the run's snapshots; what came later is "
        "lost. `snap-self show @SNAP_SELF_RUN@` tells by whose order, when, and what was lost.",
    ),
}


# Our own fields: what each holds, and where from.
FIELDS: Mapping[str, tuple[str, Callable[[Occurrence], str]]] = {
    "SNAP_SELF_EVENT": ("The word of the table above.", lambda one: one.kind.value),
    "SNAP_SELF_AT": (
        "When it happened, in UTC; the entry may be younger.",
        lambda one: f"{_utc(one.at):%Y-%m-%dT%H:%M:%SZ}",
    ),
    "SNAP_SELF_RUN": ("The run that it is about.", lambda one: one.run_id),
    "SNAP_SELF_TRIGGER": (
        "What started it: `cli`, `run` or a package manager.",
        lambda one: one.trigger,
    ),
    "SNAP_SELF_RESULT": ("`result` of the run's JSON.", lambda one: one.result),
    "SNAP_SELF_CODE": ("The error's code.", lambda one: one.code),
    "SNAP_SELF_STATUS": (
        "The run's exit status.",
        lambda one: "" if one.exit_status is None else str(one.exit_status),
    ),
    "SNAP_SELF_INSTANCE": ("This instance.", lambda one: one.instance_id),
    "SNAP_SELF_DISKS": ("Its disks, with spaces between.", lambda one: " ".join(one.disks)),
    "SNAP_SELF_SNAPSHOTS": ("Snapshots, likewise.", lambda one: " ".join(one.snapshots)),
    "SNAP_SELF_BEFORE": ("The text of `--before`.", lambda one: one.before),
    "SNAP_SELF_HINT": ("What to do about it.", lambda one: one.hint),
}


def journal_fields(one: Occurrence, *, late: bool = False) -> Mapping[str, str]:
    """Return what happened as fields of the journal; empty ones are left out.

    Args:
        late: it happened some time ago, so the message says when.
    """
    known = MESSAGES[one.kind]
    text = f"{one.text} -> {one.hint}" if one.hint else one.text
    text = f"at {_utc(one.at):{TIME}} {text}" if late else text
    own = {name: value for name, (_, of) in FIELDS.items() if (value := of(one))}
    return {
        "MESSAGE": text,
        "MESSAGE_ID": known.message_id,
        "PRIORITY": str(known.priority),
        "SYSLOG_IDENTIFIER": IDENTIFIER,
        **own,
    }


def _utc(at: datetime) -> datetime:
    return at.astimezone(timezone.utc)

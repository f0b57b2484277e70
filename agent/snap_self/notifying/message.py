"""The words in which people are told: what happened, on which machine, what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timezone

from snap_self.model.notifying import Notice, Pace
from snap_self.model.occurrences import Occasion, Occurrence
from snap_self.model.shown import printable

TITLES = {
    Occasion.BEGUN: "a run has begun",
    Occasion.MADE: "a snapshot was made",
    Occasion.REUSED: "an earlier snapshot serves",
    Occasion.ASKED: "A SNAPSHOT WAS ASKED FOR, BUT ITS CUT WAS NOT SEEN",
    Occasion.FAILED: "NO SNAPSHOT, OR NOT ALL OF IT",
    Occasion.UNPROTECTED: "A CHANGE WENT ON WITHOUT A GOOD SNAPSHOT",
    Occasion.INTERRUPTED: "A HOOK WAS INTERRUPTED; WHETHER ITS CHANGE WAS MADE IS NOT KNOWN",
    Occasion.FROZEN: "A FILESYSTEM MAY STILL BE FROZEN",
    Occasion.UPLOADED: "a snapshot is uploaded",
    Occasion.UPLOAD_FAILED: "THE UPLOAD OF A SNAPSHOT HAS FAILED",
    Occasion.PRUNED: "old snapshots were deleted",
    Occasion.ARMED: "this machine goes back by itself unless it is confirmed",
    Occasion.CONFIRMED: "the change is confirmed",
    Occasion.WENT_BACK: "THIS MACHINE WENT BACK TO A SNAPSHOT",
}
TEST_TITLE = "a test; nothing happened"
TEST_TEXT = "Somebody tries whether snap-self can tell you. Nothing is to be done."
# So that neither a long text nor a long hint leaves no room for the other.
MOST_TEXT_BYTES, MOST_HINT_BYTES, MOST_BEFORE_BYTES = 700, 400, 200
_CUT = "…"


def message(notices: Sequence[Notice], host: str, before: Pace, most_bytes: int) -> str:
    """Return the text of a message.

    Args:
        host: this machine's own name.
        before: what was not told since the last message.
        most_bytes: of the text in UTF-8.
    """
    tail = "".join(f"\n{line}" for line in _not_told(before))
    body = "\n\n".join("\n".join(_lines(each, host)) for each in notices)
    return cut(body, most_bytes - len(tail.encode())) + tail


def cut(text: str, most_bytes: int) -> str:
    """Return the text, or so much of its beginning as fits with a mark that more was there."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= most_bytes:
        return raw.decode()
    return raw[: max(0, most_bytes - len(_CUT.encode()))].decode("utf-8", "ignore") + _CUT


def _lines(notice: Notice, host: str) -> Iterator[str]:
    one = notice.occurrence
    yield f"snap-self: {TEST_TITLE if notice.test else TITLES[one.kind]}"
    yield f"Machine: {_machine(one, host)}"
    yield f"Time: {_instant(one.at)}"
    if one.run_id:
        yield f"Run: {printable(one.run_id)}"
    if one.text:
        yield f"What: {_shown(one.text, MOST_TEXT_BYTES)}"
    if one.hint:
        yield f"To do: {_shown(one.hint, MOST_HINT_BYTES)}"
    if one.before:
        yield f"Before: {_shown(one.before, MOST_BEFORE_BYTES)}"


def _machine(one: Occurrence, host: str) -> str:
    known = ", ".join(printable(each) for each in (one.instance_id, one.region) if each)
    return f"{_shown(host, 100)} ({known})" if known else _shown(host, 100)


def _not_told(before: Pace) -> Iterator[str]:
    if not before.held:
        return
    count = sum(before.held.values())
    kinds = ", ".join(f"{n} {printable(event)}" for event, n in sorted(before.held.items()))
    since = f" since {_instant(before.held_since)}" if before.held_since else ""
    yield cut(f"Also: {count} more{since}, not told here ({kinds}): see the system's log", 300)


def _instant(at: datetime | None) -> str:
    return at.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC") if at else ""


def _shown(text: str, most_bytes: int) -> str:
    return cut(printable(text), most_bytes)

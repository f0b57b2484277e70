"""What somebody who logs in is told of this machine; nothing where all is well.

A shell script prints it, since it must cost next to nothing. So each line carries the time from
which, and until which, it is true.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from snap_self.model.summary import Summary

FIELDS = "\t"
ALWAYS = 0
FOREVER = 2**53
FROZEN_TEXT = "snap-self: A FILESYSTEM MAY STILL BE FROZEN: snap-self thaw\n"
TIME = "%Y-%m-%d %H:%M UTC"


def login_lines(summary: Summary, *, old_after_s: int | None) -> str:
    """Return the lines, each ``FROM<tab>UNTIL<tab>TEXT`` with seconds since 1970.

    Args:
        old_after_s: a newest good snapshot is old from that age on; None for never.
    """
    told = (*_goes_back(summary), *_went_back(summary))
    changed = (*_unprotected(summary), *_interrupted(summary))
    lines = (*told, *changed, *_failed(summary), *_old(summary, old_after_s))
    return "".join(f"{begin}{FIELDS}{end}{FIELDS}snap-self: {text}\n" for begin, end, text in lines)


_Line = tuple[int, int, str]


def _goes_back(summary: Summary) -> Iterator[_Line]:
    if (at := summary.goes_back) is not None:
        text = f"this machine goes back at {at:{TIME}} unless you say: snap-self confirm"
        yield (ALWAYS, int(at.timestamp()), text)


def _went_back(summary: Summary) -> Iterator[_Line]:
    if (at := summary.went_back) is not None:
        whole = "this machine went back"
        part = "disks of this machine went back, or may have,"
        what = part if summary.back_in_part else whole
        yield (ALWAYS, FOREVER, f"{what} at {at:{TIME}}: snap-self list")


def _unprotected(summary: Summary) -> Iterator[_Line]:
    bare = summary.unprotected
    if bare is not None and not bare.settled:
        why = f" ({bare.code})" if bare.code else ""
        text = (
            f"{bare.manager} changed this machine at {bare.at:{TIME}} WITHOUT A SNAPSHOT{why}: "
            "snap-self doctor"
        )
        yield (ALWAYS, FOREVER, text)


def _interrupted(summary: Summary) -> Iterator[_Line]:
    doubt = summary.interrupted
    if doubt is not None and not doubt.settled:
        text = (
            f"the hook of {doubt.manager} was interrupted at {doubt.at:{TIME}}, so it may have "
            "changed this machine without a snapshot: snap-self list"
        )
        yield (ALWAYS, FOREVER, text)


def _failed(summary: Summary) -> Iterator[_Line]:
    if summary.upload_failed:
        text = "the newest snapshot of a disk came to nothing: snap-self list"
        yield (ALWAYS, FOREVER, text)


def _old(summary: Summary, old_after_s: int | None) -> Iterator[_Line]:
    """Yield when the oldest of the disks' newest snapshots is old."""
    cuts = [disk.cut for disk in summary.disks if disk.cut is not None]
    if old_after_s is None or not cuts:
        return
    oldest = min(cuts)
    begin = int((oldest + timedelta(seconds=old_after_s)).timestamp())
    text = f"the last good snapshot of a disk is of {oldest:{TIME}}: snap-self list"
    yield (begin, FOREVER, text)

"""What changed on this machine, as one screen, in full, and as JSON (schema 1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from snap_self.errors import ExitStatus
from snap_self.model.differences import Change, Differences, Kind, NotCompared, Part, Side
from snap_self.model.manifest import FileFact, Package
from snap_self.model.report import ErrorReport
from snap_self.model.result import Result
from snap_self.model.shell import command
from snap_self.model.shown import printable, quoted
from snap_self.model.wrapping import wrapped
from snap_self.output.cells import cell_width, fitted
from snap_self.output.columns import columns_of
from snap_self.output.difference_words import (
    LABELS,
    MIND,
    NAMES,
    Grouped,
    aspect_words,
    grouped,
    kernel_first,
    words,
)
from snap_self.output.jsonform import envelope, when, write_json
from snap_self.output.streams import Streams
from snap_self.output.text import ago_words, short_instant
from snap_self.recovery.contents import outside

if TYPE_CHECKING:  # the form of one value is not to load what makes the others
    from snap_self.model.looking import DiffReport, Looked, Since

LABEL_CELLS = 11
# Of these there are more than a line holds, so each way to differ has one.
ROOMY = (Part.PACKAGES, Part.FILES)
SHOWN_DOUBTS = 3
# Beyond so many no line has room, whatever they are called.
MOST_IN_A_LINE = 40
MARKS = {Kind.NEW: "+", Kind.GONE: "-", Kind.CHANGED: "~"}


def write_differences(
    streams: Streams, report: DiffReport, *, status: ExitStatus, now: datetime
) -> None:
    """Write what differs: on one screen, or in full where everything was asked for."""
    if streams.json:
        error = ErrorReport.of(report.left) if report.left else None
        write_json(streams, differences_json(report, status), error=error)
        return
    width = columns_of(streams.out)
    streams.data(*(fitted(line, width) for line in _head(report, now)))
    if report.everything or report.paths:
        streams.data(*_in_full(report))
    else:
        streams.data(*_screen(report.differences, width))
    streams.data(*_contents(report))
    equal = (wrapped(line, width, indent="  ") for line in _equal(report))
    streams.data(*(line for lines in equal for line in lines), *_doubts(report, width))
    streams.message(*(f"Note: {note}" for note in report.notes), *_more(report))
    if report.copy is not None:
        from snap_self.output.looked_into import write_end

        write_end(streams, report)


def summary(differences: Differences) -> str:
    """Return what differs in one line, by counts."""
    told = filter(None, (_counted(part, changes) for part, changes in differences.parts()))
    text = ", ".join(told)
    lacking = list(dict.fromkeys(NAMES[each.part] for each in differences.not_compared))
    if not text and len(lacking) == len(Part):
        return "not known: the machine could not be read"
    text = text or "nothing that a manifest tells"
    more = f" and {len(lacking) - SHOWN_DOUBTS} more" if len(lacking) > SHOWN_DOUBTS else ""
    names = ", ".join(lacking[:SHOWN_DOUBTS])
    return f"{text} (not compared: {names}{more})" if lacking else text


def _counted(part: Part, changes: Sequence[Change[Any]]) -> str:
    if not changes:
        return ""
    if part is Part.KERNEL:
        first = kernel_first(changes)[0]
        what = _KERNEL.get(first.name, "")
        return f"{what} {first.before} → {first.after}" if what else "kernel command line"
    return f"{len(changes)} {_COUNTED[part].format(s='s' * (len(changes) != 1))}"


_COUNTED = {
    Part.PACKAGES: "package{s}",
    Part.FILES: "file{s} in /etc",
    Part.UNITS: "unit{s}",
    Part.BOOT: "boot file{s}",
    Part.MOUNTS: "mount{s}",
    Part.USERS: "user{s}",
    Part.GROUPS: "group{s}",
    Part.LISTENING: "listening port{s}",
    Part.ALTERNATIVES: "alternative{s}",
    Part.DIVERSIONS: "diversion{s}",
}
_KERNEL = {"running": "kernel", "default": "kernel at the next start"}


# --- the head ----------------------------------------------------------------------------------


def _head(report: DiffReport, now: datetime) -> Iterator[str]:
    before, after = report.before, report.after
    if after.run_id is None:
        yield f"Since {_looked(before, now)}"
    else:
        yield f"From {_looked(before, now)}"
        yield f"to {_looked(after, now)}"
    if before.instance_id != after.instance_id and before.instance_id and after.instance_id:
        yield f"The first is of {before.instance_id}, the second of {after.instance_id}"


def _looked(one: Looked, now: datetime) -> str:
    text = f", before {quoted(one.before)}" if one.before else ""
    return f"run {one.run_id}, {short_instant(one.taken)}{ago_words(one.taken, now)}{text}"


# --- one screen --------------------------------------------------------------------------------


def _screen(differences: Differences, width: int) -> Iterator[str]:
    for part, changes in differences.parts():
        if not changes:
            continue
        groups = grouped(part, changes)
        if part in ROOMY:
            counted = [(word, texts) for word, texts in groups if word != MIND]
            counts = ", ".join(f"{len(texts)} {word}" for word, texts in counted)
            yield _labelled(part, counts)
            yield from (_line(f"  {word:<7}  ", [("", texts)], width) for word, texts in groups)
        else:
            yield _line(_labelled(part, ""), groups, width)


def _labelled(part: Part, text: str) -> str:
    return f"{LABELS[part]:<{LABEL_CELLS}}{text}"


def _line(begin: str, groups: Grouped, width: int) -> str:
    """Return as much of these as a line has room for; how many more there are is told."""
    shown = [(word, [printable(each) for each in texts]) for word, texts in groups]
    best = ""
    for count in range(1, min(MOST_IN_A_LINE, max(len(texts) for _, texts in shown)) + 1):
        line = begin + "; ".join(_some(word, texts, count) for word, texts in shown)
        if cell_width(line) <= width:
            best = line
        elif cell_width(line) > 2 * width:  # what follows " and N more" may still be shorter
            break
    return best or _narrow(begin, shown, width)


def _some(word: str, texts: Sequence[str], count: int) -> str:
    more = f" and {len(texts) - count} more" if len(texts) > count else ""
    return f"{word} {', '.join(texts[:count])}{more}".lstrip()


def _narrow(begin: str, groups: Grouped, width: int) -> str:
    """Return one thing of as many groups as fit, and counts of the others.

    Of a single group as much of its first thing as fits is shown.
    """
    if len(groups) == 1:
        ((word, texts),) = groups
        more = f" and {len(texts) - 1} more" if len(texts) > 1 else ""
        return fitted(begin + f"{word} {texts[0]}".lstrip(), width - len(more)) + more
    line = ""
    for named in range(len(groups) - 1, -1, -1):
        told = [_some(word, texts, 1) for word, texts in groups[:named]]
        told += [f"{word} {len(texts)}" for word, texts in groups[named:]]
        line = begin + "; ".join(told)
        if cell_width(line) <= width:
            break
    return fitted(line, width)


# --- in full -----------------------------------------------------------------------------------


def _in_full(report: DiffReport) -> Iterator[str]:
    for part, changes in report.differences.parts():
        if not changes:
            continue
        kinds = (sum(change.kind is kind for change in changes) for kind in Kind)
        counts = zip(kinds, Kind, strict=True)
        yield _labelled(part, ", ".join(f"{count} {kind.value}" for count, kind in counts if count))
        for change in changes:
            usual = "  (changes by itself)" if change.usual else ""
            yield f"  {MARKS[change.kind]} {words(part, change, whole=True)}{usual}"


def _contents(report: DiffReport) -> Iterator[str]:
    if report.contents is None:
        return
    for each in report.contents.found:
        yield f"{each.path}: {each.why or each.kind.value}"
        yield from each.lines
    if report.contents.same:
        same = report.contents.same
        yield f"{same} file{'s' * (same != 1)} with the same content"
    yield from (f"Not compared  {note}" for note in report.contents.notes)


# --- what is equal, and what is not known ------------------------------------------------------


def _equal(report: DiffReport) -> Iterator[str]:
    """Yield what was compared to its end without a difference."""
    differences = report.differences
    doubted = {each.part for each in differences.not_compared}
    parts = [(part, changes) for part, changes in differences.parts() if part not in doubted]
    if report.paths:
        parts = [(part, changes) for part, changes in parts if part is Part.FILES]
    same = [NAMES[part] for part, changes in parts if not changes]
    if report.paths and outside(report.paths) == report.paths:
        return
    if same and report.paths:
        yield "No difference that a manifest tells, in what of these lies in /etc"
    elif same:
        yield f"No difference in {', '.join(same)}"


def _doubts(report: DiffReport, width: int) -> Iterator[str]:
    texts = [_doubt(each, whole=report.everything) for each in report.differences.not_compared]
    if report.outside:
        texts.append(f"{', '.join(report.outside)}: a manifest tells of /etc alone")
    elif not report.paths:
        texts.append("content outside /etc")
    if len(report.unread) > len(report.outside):
        texts.append("contents: a manifest has digests of them alone")
    if report.everything or len(texts) <= SHOWN_DOUBTS:
        shown: Sequence[str] = texts
    else:
        more = len(texts) - SHOWN_DOUBTS + 1
        shown = [*texts[: SHOWN_DOUBTS - 1], f"{more} more (--all tells which)"]
    for place, text in enumerate(shown):
        line = f"{'Not compared' if not place else '':<13} {text}"
        yield line if report.everything else fitted(line, width)


def _doubt(one: NotCompared, *, whole: bool) -> str:
    side = {Side.BEFORE: " of then", Side.AFTER: " of now", Side.BOTH: ""}[one.side]
    if not one.names:
        return f"{NAMES[one.part]}{side}: {one.why}"
    if whole:
        return f"{NAMES[one.part]}{side}: {one.why}: {', '.join(one.names)}"
    first = one.names[0] if len(one.names) == 1 else f"{len(one.names)} of them"
    return f"{NAMES[one.part]}{side}: {one.why}: {first}"


def _more(report: DiffReport) -> Iterator[str]:
    run = report.before.run_id
    if run is None or (report.paths and not report.unread):
        return
    if report.paths or report.after.run_id is not None:
        yield f"`{command('snap-self', 'mount', run)}` opens the snapshot, with all contents."
    else:
        yield f"`{command('snap-self', 'diff', run, 'PATH')}` shows contents then and now."


# --- JSON --------------------------------------------------------------------------------------


def differences_json(report: DiffReport, status: ExitStatus) -> dict[str, Any]:
    """Return what differs as a JSON object."""
    differences = report.differences
    error = ErrorReport.of(report.left) if report.left else None
    result = Result.PARTIAL if report.left else Result.DONE
    return {
        **envelope("diff", exit_status=status, result=result, error=error),
        "different": report.different,
        "before": _looked_json(report.before),
        "after": _looked_json(report.after),
        "all": report.everything,
        "paths": list(report.paths),
        **{
            part.value: [_change_json(part, change) for change in changes]
            for part, changes in differences.parts()
        },
        "not_compared": [
            {
                "part": each.part.value,
                "reason": each.doubt.value,
                "of": each.side.value,
                "why": each.why,
                "names": list(each.names),
            }
            for each in differences.not_compared
        ],
        "outside": list(report.outside),
        "contents": report.contents
        and {
            "files": [
                {
                    "path": each.path,
                    "change": each.kind.value,
                    "lines": list(each.lines),
                    "why": each.why,
                }
                for each in report.contents.found
            ],
            "same": report.contents.same,
            "notes": list(report.contents.notes),
        },
        "unread": list(report.unread),
        "disks": _disks_json(report),
        "notes": list(report.notes),
    }


def since_json(since: Since) -> dict[str, Any]:
    """Return what a change has made of the machine: how many of each part differ."""
    differences = since.differences
    return {
        "taken": when(since.taken),
        "different": differences.different,
        "text": summary(differences),
        "counts": {part.value: len(changes) for part, changes in differences.parts()},
        "not_compared": list(dict.fromkeys(each.part.value for each in differences.not_compared)),
    }


def _disks_json(report: DiffReport) -> list[dict[str, Any]]:
    if report.copy is None:
        return []
    from snap_self.output.restored import disks_json

    return disks_json(report.copy)


def _looked_json(one: Looked) -> dict[str, Any]:
    return {
        "run": one.run_id,
        "before": one.before,
        "instance": one.instance_id or None,
        "taken": when(one.taken),
        "complete": one.complete,
    }


def _change_json(part: Part, change: Change[Any]) -> dict[str, Any]:
    return {
        "name": change.name,
        "change": change.kind.value,
        "what": aspect_words(change),
        "from": _fact_json(part, change.before),
        "to": _fact_json(part, change.after),
        "usual": change.usual,
    }


def _fact_json(part: Part, fact: Any) -> Any:
    """Return a fact as JSON: text or number where it is one, else an object; never a digest."""
    if isinstance(fact, FileFact):
        return {
            "mode": f"{fact.mode:06o}",
            "uid": fact.uid,
            "gid": fact.gid,
            "size": fact.size,
            "target": fact.target,
        }
    if isinstance(fact, Package):
        return {"version": fact.version, "state": fact.state, "held": fact.held}
    if part is Part.BOOT and fact is not None:
        return {"size": fact.size}
    if part is Part.MOUNTS and fact is not None:
        return {"source": fact.source, "fstype": fact.fstype, "options": fact.options}
    if part is Part.USERS and fact is not None:
        return {
            "uid": fact.uid,
            "gid": fact.gid,
            "shell": fact.shell,
            "groups": list(fact.groups),
        }
    return fact.program if part is Part.LISTENING and fact is not None else fact

"""What `verify` is about to do and has proved, as text and as JSON (schema 1; only added to)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from snap_self.errors import SnapSelfError
from snap_self.model.opening import Checked, CheckResult
from snap_self.model.report import ErrorReport
from snap_self.model.restored import Intent
from snap_self.model.result import Result
from snap_self.model.verification import Verdict
from snap_self.model.verified import FileProof, FilesystemProof, Verified
from snap_self.output.caveats import caveat_lines, caveats_json
from snap_self.output.jsonform import envelope, when, write_json
from snap_self.output.restored import disks_json
from snap_self.output.streams import Streams, Style
from snap_self.output.text import ago_words, short_instant, write_error, write_paragraph

MOST_NAMES = 3

_VERDICTS = {
    Verdict.PROVED: "proved",
    Verdict.IN_PART: "proved in part",
    Verdict.DAMAGED: "DAMAGED",
    Verdict.NOT_OPENED: "not proved",
}
_STYLES = {
    Verdict.PROVED: Style.GOOD,
    Verdict.IN_PART: Style.DOUBT,
    Verdict.NOT_OPENED: Style.DOUBT,
    Verdict.DAMAGED: Style.BAD,
}


def intent_lines(intents: Sequence[Intent], now: datetime) -> Iterator[str]:
    """Yield what is about to be made."""
    first = intents[0]
    age = f"{short_instant(first.cut_time)}{ago_words(first.cut_time, now)}"
    yield f"Verify {first.run}, cut {age}, before: {first.before or '-'}"
    for each in intents:
        yield (
            f"  {each.source} ({each.fstype}) in {', '.join(each.snapshot_ids)}: {each.gib} GiB "
            "are made for it"
        )
    yield (
        "One after the other is made, checked and deleted again, each after minutes, at the latest "
        f"at {short_instant(max(each.until for each in intents))}; the account pays for that time."
    )


def write_verified(streams: Streams, done: Verified) -> None:
    """Write what was proved of each filesystem, and what not."""
    error = done.error
    if streams.json:
        write_json(streams, verified_json(done), error=_error(done))
        return
    for proof in done.filesystems:
        streams.data(*_lines(proof))
    streams.message(*(f"Note: {note}" for note in done.notes))
    for each in _errors(done):
        write_error(streams, each)
    style = Style.BAD if error else _STYLES[done.result]
    write_paragraph(streams, _conclusion(done), style=style, loud=error is not None)


def _errors(done: Verified) -> Iterator[SnapSelfError]:
    if done.error is not None:
        yield done.error
    if done.stopped is not None and done.stopped is not done.error:
        yield done.stopped


def _lines(proof: FilesystemProof) -> Iterator[str]:
    kind = f"{proof.fstype}, " if proof.fstype else ""
    yield f"{proof.source} ({kind}{', '.join(proof.snapshot_ids)}): {_VERDICTS[proof.verdict]}"
    if not proof.opened:
        yield f"  not opened: {proof.why}"
    if proof.checked is not None:
        how = "its log replayed" if proof.replayed else "not mounted, as it has no log"
        yield f"  opened beside the running system, {how}"
        yield f"  {_checked_words(proof.checked)}"
    yield from (f"  {line}" for line in caveat_lines(proof.caveats, all_of=False))
    if proof.files is not None:
        yield from (f"  {line}" for line in _file_lines(proof.files))


def _checked_words(checked: Checked) -> str:
    why = " ".join(checked.why.split())
    if checked.result is CheckResult.CLEAN:
        return f"{checked.program} found no fault"
    if checked.result is CheckResult.DAMAGED:
        return f"{checked.program} found damage: {why[-200:]}"
    by = f" by {checked.program}" if checked.program else ""
    return f"not checked{by}: {why}"


def _file_lines(files: FileProof) -> Iterator[str]:
    if files.compared:
        large = f", {files.by_time} of them by size and time alone" if files.by_time else ""
        yield f"/etc: {files.equal} of {files.compared} names are as the run noted them{large}"
    if files.manifest_held is not None:
        yield f"what the run noted is {'' if files.manifest_held else 'NOT '}in it, byte for byte"
    for names, words in (
        (files.different, "differ, and nobody has changed them since"),
        (files.unreadable, "cannot be read"),
        (files.changed, "were changed between the noting and the cut"),
        (files.not_known, "have a content that was not noted, or by another key"),
    ):
        if names:
            yield f"{len(names)} {words}: {_some(names)}"
    if files.why:
        yield f"not all was compared: {files.why}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{', '.join(names[:MOST_NAMES])}{more}"


def _conclusion(done: Verified) -> str:
    count = len(done.filesystems)
    proved = sum(each.verdict is Verdict.PROVED for each in done.filesystems)
    what = "1 filesystem" if count == 1 else f"{count} filesystems"
    noted = "; `snap-self list` shows it" if done.recorded else ""
    if done.result is Verdict.DAMAGED:
        return f"{done.name} is damaged{noted}."
    lead = f"{done.name}: {proved} of {what} proved{noted}."
    return f"{lead} What files outside /etc hold was not compared with anything."


def verified_json(done: Verified) -> dict[str, Any]:
    """Return the same as a JSON object."""
    records = [proof.record for proof in done.filesystems if proof.record]
    return {
        **envelope(
            "verify",
            exit_status=done.exit_status,
            result=_result(done),
            error=_error(done),
        ),
        "verify": {
            "run": done.name,
            "at": when(done.at),
            "result": done.result.value,
            "recorded": done.recorded,
            "tagged": done.tagged,
        },
        "filesystems": [_proof_json(each) for each in done.filesystems],
        "disks": [disk for record in records for disk in disks_json(record)],
        "notes": list(done.notes),
    }


def _error(done: Verified) -> ErrorReport | None:
    return ErrorReport.of(done.error) if done.error else None


def _result(done: Verified) -> Result:
    if done.result is Verdict.DAMAGED:
        return Result.FAILED
    return Result.PARTIAL if done.exit_status else Result.DONE


def _proof_json(proof: FilesystemProof) -> dict[str, Any]:
    checked, files = proof.checked, proof.files
    return {
        "source": proof.source,
        "fstype": proof.fstype or None,
        "snapshot_ids": list(proof.snapshot_ids),
        "result": proof.verdict.value,
        "opened": proof.opened,
        "replayed": proof.replayed,
        "checked": checked and checked.result.value,
        "program": checked.program or None if checked else None,
        "check_status": checked and checked.status,
        "check_words": checked.why or None if checked else None,
        "files": files
        and {
            "compared": files.compared,
            "equal": files.equal,
            "by_time": files.by_time,
            "different": list(files.different),
            "changed": list(files.changed),
            "unreadable": list(files.unreadable),
            "not_known": list(files.not_known),
            "manifest_held": files.manifest_held,
            "why": files.why or None,
        },
        "code": proof.code or None,
        "why": proof.why or None,
        "caveats": caveats_json(proof.caveats),
    }

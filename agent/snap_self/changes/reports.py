"""What the main job's report says to a hook."""

from __future__ import annotations

import json

from snap_self.disks.fstypes import PSEUDO
from snap_self.model.asked import CutUnseen
from snap_self.model.job_end import Ending
from snap_self.model.manager_facts import Asked
from snap_self.model.result import Result
from snap_self.model.shell import command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from snap_self.model.job_end import JobEnd
    from snap_self.model.manager_facts import Mounted

MAX_LAST_WORDS = 300
MAX_GAPS = 4
MAX_IDS = 4
# A snapshot's status when there is nothing to go back to, and the error code of too many calls.
LOST = ("gone", "failed")
THROTTLED_CODE = "cloud-throttled"
# Shows the files of filesystems that are listed; the report has those that lie on none.
OVERLAY = "overlay"
# Where packages put files, and what their scripts change. Mounts elsewhere, as a share below /mnt,
# lack in every snapshot and are no news before a change.
WRITTEN_TO = (
    *("/usr", "/etc", "/var", "/boot", "/efi", "/opt"),
    *("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"),
)
# Below these are the mounts of containers, pods and snaps, which come and go by the hundred.
OF_CONTAINERS = (
    *("/var/lib/docker", "/var/lib/containers", "/var/lib/containerd", "/var/lib/kubelet"),
    *("/var/lib/lxd", "/var/lib/incus", "/var/lib/snapd", "/var/snap"),
)


class MadeReport:
    """What of the report a hook tells.

    Args:
        run_id: empty where there is no report, or no run.
        sentence: what was made, for people.
        uploading: it may still be, which a reboot would spoil.
        less: why it is worth less than asked; empty if it is not.
        covered: mount points that are in the snapshot.
        gaps: places that the report itself says are not.
        left_out: those of them without which the snapshot is partial.
        excluded: places that are not, as the configuration asks.
        error: the error's message and hint; empty if there is none.
        code: the error's code; empty likewise.
        asked: what was asked for and not seen to be cut; None unless that is the result.
        made: snapshots that were made, whatever else failed.
        goes_back: when the machine does so by itself unless somebody confirms; empty for never.
    """

    __slots__ = (
        *("asked", "code", "covered", "error", "excluded", "gaps", "left_out", "less", "made"),
        *("goes_back", "run_id", "sentence", "uploading"),
    )

    def __init__(
        self,
        run_id: str = "",
        sentence: str = "",
        less: str = "",
        *,
        covered: Sequence[str] = (),
        gaps: Sequence[str] = (),
        left_out: Sequence[str] = (),
        excluded: Sequence[str] = (),
        error: str = "",
        code: str = "",
        asked: Asked | None = None,
        made: Sequence[str] = (),
        uploading: bool = False,
        goes_back: str = "",
    ) -> None:
        self.run_id = run_id
        self.sentence = sentence
        self.less = less
        self.covered = tuple(covered)
        self.gaps = tuple(gaps)
        self.left_out = tuple(left_out)
        self.excluded = tuple(excluded)
        self.error = error
        self.code = code
        self.asked = asked
        self.made = tuple(made)
        self.uploading = uploading
        self.goes_back = goes_back


def read_report(out: bytes) -> MadeReport:
    """Return what the main job's JSON says; it is our own, but may be cut off or missing."""
    said = _object(out)
    run, error = said.get("run"), said.get("error")
    level = said.get("consistency") or {}
    run_id = run.get("id") if isinstance(run, dict) else None
    return MadeReport(
        str(run_id or ""),
        _sentence(said),
        str(level.get("why") or ""),
        covered=[
            str(m.get("path")) for d in said.get("disks") or () for m in d.get("mounts") or ()
        ],
        gaps=[str(gap.get("what")) for gap in said.get("not_covered") or ()],
        left_out=_left_out(said),
        excluded=[str(path) for gap in said.get("excluded") or () for path in gap.get("paths")],
        error=_error(error) if isinstance(error, dict) else "",
        code=str(error.get("code") or "") if isinstance(error, dict) else "",
        asked=_asked(said, str(run_id or "")),
        uploading=isinstance(said.get("watch"), dict),
        goes_back=str((said.get("armed") or {}).get("deadline") or ""),
        made=[] if said.get("result") == Result.FAILED.value else _ids(said, but=LOST),
    )


class CoverReport:
    """What the cloud was found to have of an earlier run.

    Args:
        serves: None where it could not be asked, or shows a snapshot that is not cut yet.
        why: why it does not serve, or could not be asked.
        uncut: snapshots that are there and not seen to be cut.
    """

    __slots__ = ("serves", "uncut", "why")

    def __init__(self, *, serves: bool | None, why: str = "", uncut: Sequence[str] = ()) -> None:
        self.serves = serves
        self.why = why
        self.uncut = tuple(uncut)


def read_cover(ended: JobEnd, limit_s: float) -> CoverReport:
    """Return what the process that asked says; anything but its whole answer is none."""
    if ended.ending is Ending.TIMED_OUT:
        return CoverReport(serves=None, why=f"no answer within {limit_s:.0f} s")
    said = _object(ended.out)
    error = said.get("error")
    if isinstance(error, dict) and error.get("code") == THROTTLED_CODE:
        return CoverReport(serves=None, why=CutUnseen.THROTTLED.words)
    if ended.status != 0 or not isinstance(said.get("serves"), bool):
        return CoverReport(serves=None, why=what_failed(ended, read_report(ended.out), limit_s))
    if said.get("pending") is True:
        return CoverReport(
            serves=None,
            why=CutUnseen.NOT_CUT.words,
            uncut=[str(one) for one in said.get("uncut") or ()],
        )
    lists = (("no longer there", said.get("gone")), ("failed", said.get("failed")))
    why = "; ".join(f"{word}: {', '.join(map(str, ids))}" for word, ids in lists if ids)
    return CoverReport(serves=said["serves"], why=why or "the cloud shows none of it")


def what_lacks(report: MadeReport, mounts: Iterable[Mounted]) -> str:
    """Return in one sentence what makes the snapshot partial, or what it has not and is written to.

    Args:
        mounts: of this machine.
    """
    known = {*report.covered, *report.excluded}
    others = (
        one.path
        for one in mounts
        if one.path not in known and one.fstype not in PSEUDO and one.fstype != OVERLAY
    )
    found = {place for place in (*report.gaps, *others) if _is_written_to(place)}
    found |= set(report.left_out)
    gaps = sorted(found, key=lambda gap: (len(gap), gap))
    more = f" and {len(gaps) - MAX_GAPS} more" if len(gaps) > MAX_GAPS else ""
    return f"Not in the snapshot: {', '.join(gaps[:MAX_GAPS])}{more}" if gaps else ""


def what_was_asked(asked: Asked, why: str) -> str:
    """Return in one sentence what was asked for, and why no cut of it was seen."""
    more = f" and {len(asked.ids) - MAX_IDS} more" if len(asked.ids) > MAX_IDS else ""
    ids = f": {', '.join(asked.ids[:MAX_IDS])}{more}" if asked.ids else ""
    look = command("snap-self", "show", asked.run_id)
    return (
        f"snapshot asked for, but its cut was not seen ({why}){ids}; look at it before you rely "
        f"on it: `{look}`"
    )


def what_is_doubted(run_id: str, why: str) -> str:
    """Return in one sentence that a snapshot was made, and may be gone by now."""
    look = command("snap-self", "show", run_id)
    return (
        f"the snapshot of run {run_id} is of the same action; whether it is still there is not "
        f"known: {why}; look at it before you rely on it: `{look}`"
    )


def failure_code(ended: JobEnd, report: MadeReport) -> str:
    """Return why there is no snapshot as a stable word: the error's code, or how the job ended."""
    if ended.ending is Ending.EXITED:
        return report.code or f"status-{ended.status}"
    return ended.ending.name.lower().replace("_", "-")


def what_failed(ended: JobEnd, report: MadeReport, limit_s: float) -> str:
    """Return in one sentence why there is no snapshot."""
    if ended.ending is Ending.TIMED_OUT:
        # The report only says that it was ended, which we did.
        return f"it was not made within {limit_s:.0f} s"
    if report.error:
        return report.error.rstrip(".")
    last = ended.err.decode("utf-8", "replace").strip().rpartition("\n")[2][:MAX_LAST_WORDS]
    if ended.ending is Ending.NOT_STARTED:
        return f"snap-self could not be started: {last}"
    if ended.ending is Ending.KILLED:
        return "the process that makes it was killed"
    return f"snap-self ended with status {ended.status}" + (f": {last}" if last else "")


def _object(out: bytes) -> dict[str, Any]:
    try:
        said = json.loads(out)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _asked(said: dict[str, Any], run_id: str) -> Asked | None:
    if said.get("result") != Result.ASKED.value or not run_id:
        return None
    unseen = said.get("unseen")
    why = unseen.get("why") if isinstance(unseen, dict) else ""
    return Asked(run_id, _ids(said), why=str(why or ""))


def _ids(said: dict[str, Any], but: Sequence[str] = ()) -> list[str]:
    """Return the snapshots of a report; a group stands for members that are not known yet."""
    shots = [shot for shot in said.get("snapshots") or () if shot.get("status") not in but]
    found = (shot.get("snapshot_id") or shot.get("group_id") for shot in shots)
    return list(dict.fromkeys(str(each) for each in found if each))


def _left_out(said: dict[str, Any]) -> list[str]:
    """Return the filesystems that make a snapshot partial; or the disks, if none is on them."""
    gaps = [str(gap.get("what")) for gap in said.get("not_covered") or () if gap.get("left_out")]
    disks = (each for each in said.get("skipped") or () if each.get("asked") is False)
    return gaps or [str(each.get("disk_id")) for each in disks]


def _is_reused(said: dict[str, Any]) -> bool:
    if said.get("result") == Result.REUSED.value:
        return True
    whole = said.get("result") != Result.PARTIAL.value or said.get("error")
    return not whole and said.get("of_earlier") is True


def _sentence(said: dict[str, Any]) -> str:
    ids = [str(shot.get("snapshot_id")) for shot in said.get("snapshots") or ()]
    shown = ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")
    word = "the earlier snapshot serves" if _is_reused(said) else "snapshot made"
    return f"{word}: {shown}"


def _is_written_to(place: str) -> bool:
    if place == "/":
        return True
    return _is_below(place, WRITTEN_TO) and not _is_below(place, OF_CONTAINERS)


def _is_below(place: str, folders: Iterable[str]) -> bool:
    return any(f"{place}/".startswith(f"{folder}/") for folder in folders)


def _error(error: dict[str, Any]) -> str:
    words = (error.get("message"), error.get("hint"))
    return "; ".join(" ".join(str(word).split()) for word in words if word)

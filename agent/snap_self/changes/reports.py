"""What the main job's report says to a hook."""

from __future__ import annotations

import json

from snap_self.changes.policy import KILLED, NOT_STARTED, TIMED_OUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from snap_self.model.hook_facts import JobEnd

MAX_LAST_WORDS = 300


class MadeReport:
    """What of the report a hook tells.

    Args:
        run_id: empty where there is no report, or no run.
        sentence: what was made, for people.
        less: why it is worth less than asked; empty if it is not.
        error: the error's message and hint; empty if there is none.
    """

    __slots__ = ("error", "less", "run_id", "sentence")

    def __init__(self, run_id: str, sentence: str, less: str, error: str) -> None:
        self.run_id = run_id
        self.sentence = sentence
        self.less = less
        self.error = error


def read_report(out: bytes) -> MadeReport:
    """Return what the main job's JSON says; it is our own, but may be cut off or missing."""
    try:
        said = json.loads(out)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        return MadeReport("", "", "", "")
    run, error = said.get("run"), said.get("error")
    level = said.get("consistency") or {}
    run_id = run.get("id") if isinstance(run, dict) else None
    return MadeReport(
        str(run_id or ""),
        _sentence(said, str(run_id or "")),
        "; ".join(filter(None, (str(level.get("why") or ""), _left_out(said)))),
        _error(error) if isinstance(error, dict) else "",
    )


def what_failed(ended: JobEnd, report: MadeReport, limit_s: float) -> str:
    """Return in one sentence why there is no snapshot."""
    if ended.ending == TIMED_OUT:
        # The report only says that it was ended, which we did.
        return f"it was not made within {limit_s:.0f} s"
    if report.error:
        return report.error.rstrip(".")
    last = ended.err.decode("utf-8", "replace").strip().rpartition("\n")[2][:MAX_LAST_WORDS]
    if ended.ending == NOT_STARTED:
        return f"snap-self could not be started: {last}"
    if ended.ending == KILLED:
        return "the process that makes it was killed"
    return f"snap-self ended with status {ended.ending}" + (f": {last}" if last else "")


def _sentence(said: dict[str, Any], run_id: str) -> str:
    ids = [str(shot.get("snapshot_id")) for shot in said.get("snapshots") or ()]
    shown = ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")
    word = "the earlier snapshot serves" if said.get("result") == "reused" else "snapshot made"
    return f"{word}: {shown} (run {run_id}; `snap-self show {run_id}` tells the ways back)"


def _left_out(said: dict[str, Any]) -> str:
    gaps = [str(gap.get("what")) for gap in said.get("not_covered") or ()]
    return f"not in it: {', '.join(gaps[:3])}" if gaps else ""


def _error(error: dict[str, Any]) -> str:
    words = (error.get("message"), error.get("hint"))
    return "; ".join(" ".join(str(word).split()) for word in words if word)

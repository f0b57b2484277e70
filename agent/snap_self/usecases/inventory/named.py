"""The snapshots that somebody means by an id, or by the word for the newest run."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from snap_self.errors import UsageError
from snap_self.model.listed import ListedRun, ListedSnapshot
from snap_self.model.run import RunRecord

# The word that stands for the newest run.
LAST = "last"


def named_shots(
    runs: Sequence[ListedRun], wanted: str
) -> tuple[Sequence[ListedSnapshot], tuple[str, ...]]:
    """Return the snapshots that are meant, or are of that run, and what to know of newer ones.

    Args:
        runs: newest first.

    Raises:
        UsageError: the last one is wanted, and there is none.
    """
    if wanted != LAST:
        every = (shot for run in runs for shot in run.shots)
        return [s for s in every if wanted in (s.snapshot_id, s.group_id, s.run_id)], ()
    for place, run in enumerate(runs):
        if run.serves:
            failed = ", ".join(newer.name for newer in runs[:place])
            return run.shots, (f"newer, but failed: {failed}",) if failed else ()
    raise UsageError(
        f"every snapshot of {runs[0].name} failed" if runs else "there is no snapshot yet",
        hint="`snap-self list` shows them" if runs else f"{_FIRST} makes the first one",
    )


_FIRST = '`snap-self --before "os upgrade"`'


def record_of(
    records: Collection[RunRecord], wanted: str, named: Sequence[ListedSnapshot]
) -> RunRecord | None:
    """Return the journal's record of the run that is meant; None where it has none."""
    run_ids = {wanted, *(s.run_id for s in named if s.run_id)}
    return next((one for one in records if one.run_id in run_ids), None)


def unknown(wanted: str) -> UsageError:
    """Return what is said of an id that is none of ours."""
    return UsageError(
        f"{wanted} is not a snapshot, group or run of this instance that snap-self made",
        hint="`snap-self list` shows their ids, `snap-self show last` the newest",
    )

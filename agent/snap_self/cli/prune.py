"""`prune`: whether it may delete, the use case, rendering, exit status."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

from snap_self.cli.manifests import manifest_tools
from snap_self.cli.options import Manner
from snap_self.cli.session import open_session
from snap_self.errors import UsageError
from snap_self.output.pruned import write_pruned
from snap_self.usecases.inventory.keep import PrunePolicy
from snap_self.usecases.prune import prune


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneOptions:
    """The options as typed; None means not given."""

    keep_last: int | None
    keep_per_text: int | None
    force: bool
    yes: bool
    dry_run: bool


def only_shows(*, yes: bool, dry_run: bool, terminal: bool) -> bool:
    """Tell whether nothing is to be deleted.

    Raises:
        UsageError: both were asked for, or nobody is there to read what a dry run says: a job that
            for ever deletes nothing must not look like one that works.
    """
    if yes and dry_run:
        raise UsageError(
            "--yes and --dry-run contradict each other", hint="give one of the two, or none"
        )
    if not (yes or dry_run or terminal):
        raise UsageError(
            "prune deletes nothing without --yes, and there is no terminal to show a dry run on",
            hint="give --yes to delete, or --dry-run",
        )
    return not yes


def run_prune(options: PruneOptions, manner: Manner) -> int:
    """Delete what may go, or show it."""
    dry_run = only_shows(
        yes=options.yes,
        dry_run=options.dry_run,
        terminal=sys.stdin.isatty() and sys.stdout.isatty(),
    )
    policy = PrunePolicy(
        keep_last=options.keep_last, keep_per_text=options.keep_per_text, force=options.force
    )
    with open_session(manner, sweeps=True) as session:
        tools = replace(session.tools(), manifests=manifest_tools(session.adapters))
        pruned = prune(tools, policy, dry_run=dry_run)
        session.end_progress()
        deleted = [sid for outcome in pruned.outcomes for sid in outcome.deleted]
        if deleted and not dry_run:
            session.adapters.watch.pruned(pruned.identity.instance_id, deleted)
        write_pruned(session.streams, pruned)
    return int(pruned.exit_status)

"""`prune`: whether it may delete, the use case, rendering, exit status."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from snap_self.cli.options import Manner
from snap_self.cli.wiring import Wiring, load_settings
from snap_self.errors import UsageError
from snap_self.output.jsonform import dumps
from snap_self.output.progress import progress_view
from snap_self.output.pruned import pruned_json, write_pruned
from snap_self.output.streams import make_streams
from snap_self.usecases.prune import prune as prune_use_case
from snap_self.usecases.pruning import PrunePolicy


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


def prune(options: PruneOptions, manner: Manner) -> int:
    """Delete what may go, or show it."""
    dry_run = only_shows(
        yes=options.yes,
        dry_run=options.dry_run,
        terminal=sys.stdin.isatty() and sys.stdout.isatty(),
    )
    policy = PrunePolicy(
        keep_last=options.keep_last, keep_per_text=options.keep_per_text, force=options.force
    )
    streams = make_streams(
        sys.stdout, sys.stderr, env=os.environ, verbosity=manner.verbosity, json=manner.json
    )
    config = load_settings(os.environ)
    with progress_view(streams) as view:
        wiring = Wiring(config=config, env=os.environ, listener=view)
        pruned = prune_use_case(wiring.tools(), policy, dry_run=dry_run)
    if streams.json:
        streams.data(dumps(pruned_json(pruned)))
    else:
        write_pruned(streams, pruned)
    return int(pruned.exit_status)

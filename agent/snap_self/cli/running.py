"""``run``: configuration, wiring, the use case, rendering; the command's exit status is passed on.

Everything that is needed after the command is imported before it: the command may replace the
Python that the agent runs on.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from snap_self.cli.boundary import fail
from snap_self.cli.options import JobOptions, Manner
from snap_self.cli.recorded import simulated_tools
from snap_self.cli.requesting import make_request
from snap_self.cli.wiring import Wiring, load_settings
from snap_self.config.options import with_options
from snap_self.errors import ExitStatus, SnapSelfError
from snap_self.model.command import NotStartable
from snap_self.model.report import Report
from snap_self.output import command
from snap_self.output.jsonform import dumps
from snap_self.output.progress import progress_view
from snap_self.output.streams import OutputLost, Streams, make_streams
from snap_self.output.text import write_error
from snap_self.system.foreground import SystemForeground
from snap_self.usecases.changing import Change, Changed, run_change


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """Writes what the use case tells; progress ends where the command begins."""

    streams: Streams
    progress: ExitStack
    argv: Sequence[str]

    def snapshot_ended(self, report: Report, *, starting: bool) -> None:
        self.progress.close()
        command.write_before(self.streams, report, starting=starting)
        sys.stdout.flush()

    def command_ended(self, changed: Changed) -> None:
        command.write_after(self.streams, self.argv, changed)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What ``run`` has beyond the main job's options; None means not given."""

    argv: tuple[str, ...]
    on_snapshot_failure: str | None
    recorded: Path | None


def run(options: JobOptions, extra: RunOptions, manner: Manner) -> int:
    """Make the snapshot, run the command, and return its status.

    A failure of the agent before the command is started is status 125, whatever it was.
    """
    streams = make_streams(
        sys.stdout, sys.stderr, env=os.environ, verbosity=manner.verbosity, json=manner.json
    )
    try:
        changed = _change(streams, options, extra)
    except SnapSelfError as error:
        fail(streams, error)
        return int(ExitStatus.NOT_STARTED)
    _conclude(streams, extra.argv, changed)
    return changed.exit_status


def _change(streams: Streams, options: JobOptions, extra: RunOptions) -> Changed:
    config = with_options(
        load_settings(os.environ), {"--on-snapshot-failure": extra.on_snapshot_failure}
    )
    with ExitStack() as progress:
        listener = progress.enter_context(progress_view(streams))
        wiring = Wiring(config=config, env=os.environ, listener=listener)
        request = make_request(options, config)
        tools = (
            simulated_tools(wiring, extra.recorded) if extra.recorded else wiring.tools_for(request)
        )
        change = Change(request=request, argv=extra.argv, policy=config.run.on_snapshot_failure)
        view = _View(streams=streams, progress=progress, argv=extra.argv)
        return run_change(change, tools, SystemForeground(), view)


def _conclude(streams: Streams, argv: Sequence[str], changed: Changed) -> None:
    """Write the JSON object, if it was asked for; its loss does not hide a failed command.

    Raises:
        OutputLost: it could not be written, and the command had status 0.
    """
    if changed.report is None and isinstance(changed.ending, NotStartable):
        write_error(streams, command.not_startable(argv, changed.ending))
    if not streams.json:
        return
    try:
        streams.data(dumps(command.changed_json(argv, changed)))
    except OutputLost as lost:
        if changed.exit_status == 0:
            raise
        streams.fault(f"snap-self: standard output cannot be written: {lost.why}")

"""The commands' bodies: configuration, wiring, one use case, rendering, exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from snap_self.cli.options import JobOptions, Manner
from snap_self.cli.recorded import recorded_tools, simulated_tools, write_recording
from snap_self.cli.requesting import make_request
from snap_self.cli.wiring import Wiring, load_settings
from snap_self.model.progress import Event, EventKind
from snap_self.model.report import Report
from snap_self.output import jsonform, text
from snap_self.output.progress import progress_view
from snap_self.output.streams import Streams, make_streams
from snap_self.usecases.doctor import diagnose
from snap_self.usecases.listing import list_snapshots as list_use_case
from snap_self.usecases.listing import show as show_use_case
from snap_self.usecases.planning import plan_snapshot
from snap_self.usecases.snapshot import take_snapshot
from snap_self.usecases.tools import Tools


def snapshot(options: JobOptions, manner: Manner, *, recorded: Path | None) -> int:
    """Run the main job; of a recorded machine only against a simulated cloud."""
    with _session(manner) as (streams, wiring):
        request = make_request(options, wiring.config)
        tools = wiring.tools_for(request) if recorded is None else simulated_tools(wiring, recorded)
        report = take_snapshot(request, tools)
        _tell_source(streams, wiring)
    return _report(streams, report)


def plan(options: JobOptions, manner: Manner, *, recorded: Path | None, offline: bool) -> int:
    """Show the plan, of this machine or of a recorded one.

    Args:
        offline: the recording also tells what the cloud says; else the cloud is asked.
    """
    with _session(manner) as (streams, wiring):
        request = make_request(options, wiring.config)
        tools = _tools(wiring, recorded, recorded_tools if offline else simulated_tools)
        report = plan_snapshot(request, tools)
    return _report(streams, report)


def list_snapshots(manner: Manner) -> int:
    """List our snapshots."""
    with _session(manner) as (streams, wiring):
        listing = list_use_case(wiring.tools())
    if streams.json:
        _json(streams, jsonform.listing_json(listing))
    else:
        text.write_listing(streams, listing, now=wiring.clock.now())
    return 0


def show(wanted: str, manner: Manner) -> int:
    """Show one run in full."""
    with _session(manner) as (streams, wiring):
        shown = show_use_case(wiring.tools(), wanted)
    if streams.json:
        _json(streams, jsonform.shown_json(shown))
    else:
        text.write_shown(streams, shown, now=wiring.clock.now())
    return 0


def doctor(manner: Manner, *, record: Path | None) -> int:
    """Check every precondition; with ``record`` also write down what was found."""
    with _session(manner) as (streams, wiring):
        root = os.geteuid() == 0
        diagnosis = diagnose(
            wiring.tools(),
            credentials=wiring.trail,
            root=root,
            try_freeze=wiring.try_freeze if root and wiring.root_may_freeze else None,
        )
        if record is not None:
            write_recording(wiring, record)
            streams.message(f"Recorded in {record}; read it before you give it away.")
    if streams.json:
        _json(streams, jsonform.diagnosis_json(diagnosis))
    else:
        text.write_diagnosis(streams, diagnosis)
    return int(diagnosis.exit_status)


def thaw(manner: Manner) -> int:
    """End a freeze that an interrupted run left behind."""
    with _session(manner) as (streams, wiring):
        ended = wiring.end_stale_freeze()
    streams.message(ended or "No freeze of snap-self is left: there is no marker of one.")
    if streams.json:
        _json(streams, {"schema": 1, "thawed": bool(ended), "text": ended})
    return 0


@contextmanager
def _session(manner: Manner) -> Iterator[tuple[Streams, Wiring]]:
    streams = make_streams(
        sys.stdout, sys.stderr, env=os.environ, verbosity=manner.verbosity, json=manner.json
    )
    config = load_settings(os.environ)
    with progress_view(streams) as view:
        yield streams, Wiring(config=config, env=os.environ, listener=view)


def _tools(
    wiring: Wiring, recorded: Path | None, of_recording: Callable[[Wiring, Path], Tools]
) -> Tools:
    return wiring.tools() if recorded is None else of_recording(wiring, recorded)


def _report(streams: Streams, report: Report) -> int:
    if streams.json:
        _json(streams, jsonform.report_json(report))
    else:
        text.write_report(streams, report)
    return int(report.exit_status)


def _tell_source(streams: Streams, wiring: Wiring) -> None:
    if streams.verbosity > 0:
        for source, verdict in wiring.provider.trail:
            wiring.gate(Event(kind=EventKind.NOTE, text=f"credentials: {source}: {verdict}"))


def _json(streams: Streams, value: Mapping[str, Any]) -> None:
    streams.data(jsonform.dumps(value))

"""The commands' bodies: configuration, wiring, one use case, rendering, exit status.

Each imports its own use case: a plan is not to wait for what makes a snapshot.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snap_self.cli.options import JobOptions, Manner
from snap_self.cli.requesting import make_request
from snap_self.cli.wiring import Wiring, load_settings
from snap_self.config.load import default_config
from snap_self.config.settings import Config
from snap_self.errors import ConfigError
from snap_self.model.progress import Event, EventKind
from snap_self.output import jsonform, text
from snap_self.output.progress import progress_view
from snap_self.output.streams import Streams, make_streams

if TYPE_CHECKING:
    from snap_self.model.report import Report
    from snap_self.usecases.tools import Tools


def snapshot(options: JobOptions, manner: Manner, *, recorded: Path | None) -> int:
    """Run the main job; of a recorded machine only against a simulated cloud."""
    from snap_self.usecases.snapshot import take_snapshot

    with _session(manner) as (streams, wiring):
        request = make_request(options, wiring.config)
        tools = wiring.tools_for(request) if recorded is None else _simulated(wiring, recorded)
        report = take_snapshot(request, tools)
        _tell_source(streams, wiring)
    return _report(streams, report)


def plan(options: JobOptions, manner: Manner, *, recorded: Path | None, offline: bool) -> int:
    """Show the plan, of this machine or of a recorded one.

    Args:
        offline: the recording also tells what the cloud says; else the cloud is asked.
    """
    from snap_self.usecases.planning import plan_snapshot

    with _session(manner) as (streams, wiring):
        request = make_request(options, wiring.config)
        if recorded is None:
            tools = wiring.tools()
        else:
            tools = (_recorded if offline else _simulated)(wiring, recorded)
        report = plan_snapshot(request, tools)
    return _report(streams, report)


def list_snapshots(manner: Manner) -> int:
    """List our snapshots."""
    from snap_self.usecases import listing as use_case

    with _session(manner) as (streams, wiring):
        listing = use_case.list_snapshots(wiring.tools())
    if streams.json:
        _json(streams, jsonform.listing_json(listing))
    else:
        text.write_listing(streams, listing, now=wiring.clock.now())
    return 0


def show(wanted: str, manner: Manner) -> int:
    """Show one run in full."""
    from snap_self.usecases import listing as use_case

    with _session(manner) as (streams, wiring):
        shown = use_case.show(wiring.tools(), wanted)
    if streams.json:
        _json(streams, jsonform.shown_json(shown))
    else:
        text.write_shown(streams, shown, now=wiring.clock.now())
    return 0


def doctor(manner: Manner, *, record: Path | None) -> int:
    """Check every precondition; with ``record`` also write down what was found."""
    from snap_self.cli.hook_app import hook_glance
    from snap_self.output.diagnosis import write_diagnosis
    from snap_self.usecases.doctor import diagnose

    with _session(manner) as (streams, wiring):
        root = os.geteuid() == 0
        diagnosis = diagnose(
            wiring.tools(),
            credentials=wiring.trail,
            root=root,
            try_freeze=wiring.try_freeze if root and wiring.root_may_freeze else None,
            try_hold=wiring.try_hold if root else None,
            hooks=hook_glance(wiring.config.package_managers.enabled),
        )
        if record is not None:
            from snap_self.cli.recorded import write_recording

            write_recording(wiring, record)
            streams.message(f"Recorded in {record}; read it before you give it away.")
    if streams.json:
        _json(streams, jsonform.diagnosis_json(diagnosis))
    else:
        write_diagnosis(streams, diagnosis)
    return int(diagnosis.exit_status)


def thaw(manner: Manner) -> int:
    """End a freeze that an interrupted run left behind; no fault of the configuration keeps it."""
    with _session(manner, load=_settings_or_defaults) as (streams, wiring):
        ended = wiring.end_stale_freeze(must_look=True)
    streams.message(ended or "No freeze of snap-self is left: there is no marker of one.")
    if streams.json:
        _json(streams, {"schema": 1, "thawed": bool(ended), "text": ended})
    return 0


def _settings_or_defaults(env: Mapping[str, str]) -> Config:
    try:
        return load_settings(env)
    except ConfigError as error:
        print(f"snap-self: going on without the configuration: {error.message}", file=sys.stderr)
        return default_config()


@contextmanager
def _session(
    manner: Manner, *, load: Callable[[Mapping[str, str]], Config] = load_settings
) -> Iterator[tuple[Streams, Wiring]]:
    streams = make_streams(
        sys.stdout, sys.stderr, env=os.environ, verbosity=manner.verbosity, json=manner.json
    )
    config = load(os.environ)
    with progress_view(streams) as view:
        yield streams, Wiring(config=config, env=os.environ, listener=view)


def _recorded(wiring: Wiring, directory: Path) -> Tools:
    from snap_self.cli.recorded import recorded_tools

    return recorded_tools(wiring, directory)


def _simulated(wiring: Wiring, directory: Path) -> Tools:
    from snap_self.cli.recorded import simulated_tools

    return simulated_tools(wiring, directory)


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

"""`thaw`: the end of a freeze that was left behind."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import partial

from snap_self.cli.options import Manner
from snap_self.cli.places import RUN_DIRECTORY
from snap_self.cli.session import open_session, streams_of
from snap_self.cli.wiring import end_stale_freeze, load_settings
from snap_self.config.load import default_config
from snap_self.config.settings import Config
from snap_self.errors import ConfigError, StateUnusable
from snap_self.output.jsonform import envelope, write_json
from snap_self.system.watching.login_file import show_frozen_text


def run_thaw(manner: Manner) -> int:
    """End a freeze that an interrupted run left behind; no fault of the configuration keeps it."""
    with open_session(manner, load=partial(_settings_or_defaults, manner)) as session:
        ended = end_stale_freeze(session.adapters, must_look=True)
        with suppress(StateUnusable):  # the next run takes it away
            show_frozen_text(RUN_DIRECTORY, "")
    streams = session.streams
    streams.message(ended or "No freeze of snap-self is left: there is no marker of one.")
    if streams.json:
        write_json(streams, {**envelope("thaw"), "thawed": bool(ended), "text": ended})
    return 0


def _settings_or_defaults(manner: Manner, env: Mapping[str, str]) -> Config:
    try:
        return load_settings(env)
    except ConfigError as error:
        first, *others = error.lines
        streams_of(manner).fault(f"snap-self: going on without the configuration: {first}", *others)
        return default_config()

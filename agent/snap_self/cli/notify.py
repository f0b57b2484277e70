"""`notify`: the process that tells people what happened, and the trial of it."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from collections.abc import Mapping, Sequence
from types import FrameType

from snap_self.cli.adapters import Adapters, unheard
from snap_self.cli.options import Manner
from snap_self.cli.places import RUN_DIRECTORY
from snap_self.cli.session import open_session
from snap_self.cli.wiring import usable_settings
from snap_self.config.settings import NotifySettings
from snap_self.errors import ConfigError, UsageError
from snap_self.model.notifying import LAST_S, WAIT_S, Handed, Notice, Outcome
from snap_self.model.occurrences import Occasion, Occurrence
from snap_self.notifying.message import TEST_TEXT
from snap_self.notifying.sinks import configured
from snap_self.output.notified import log_line, write_notified
from snap_self.output.occurrences import occurrence_json
from snap_self.ports import HttpFailed, HttpTransport
from snap_self.system.key_programs import checked_program
from snap_self.system.state.files import make_private_folder, make_run_folder
from snap_self.system.state.plainform import ShapeError, from_plain
from snap_self.system.system_log import write_notice
from snap_self.system.watching.notice_program import NoticePrograms
from snap_self.system.watching.pace_file import PaceFile
from snap_self.system.watching.secret_file import read_secret
from snap_self.usecases.doctor import Finding
from snap_self.usecases.notify import NotifyTools, notify
from snap_self.usecases.notify_check import check_notify

PACE = "notified.json"
MOST_BYTES = 1 << 20


def run_notifier() -> int:
    """Tell people what the process that started this one has put into standard input."""
    signal.alarm(WAIT_S + LAST_S)
    _outlive_the_starter()
    try:
        handed = _handed(sys.stdin.buffer.read(MOST_BYTES))
    except (ValueError, ShapeError):
        raise UsageError(
            "--occurrences is for snap-self itself", hint="to try it: snap-self notify --test"
        ) from None
    _wait_for_the_one_before(handed.after)
    signal.alarm(LAST_S)
    loaded = usable_settings(os.environ)
    adapters = Adapters(config=loaded.config, env=os.environ, listener=unheard)
    settings = loaded.config.notify
    notices = [Notice(occurrence=each) for each in handed.happened]
    made = notify(notices, settings, tools_of(adapters))
    for delivery in made:
        if delivery.outcome is not Outcome.SENT:
            write_notice(log_line(delivery))
    return 0


def run_notify_test(manner: Manner, *, test: bool) -> int:
    """Send a test message to all that are configured."""
    if not test:
        raise UsageError(
            "notify tells nobody anything by itself", hint="to try it: snap-self notify --test"
        )
    with open_session(manner) as session:
        settings = session.config.notify
        _refuse_nobody(settings)
        now = session.adapters.clock.now()
        one = Occurrence(kind=Occasion.BEGUN, at=now, text=TEST_TEXT)
        made = notify([Notice(occurrence=one, test=True)], settings, tools_of(session.adapters))
    return int(write_notified(session.streams, made, settings))


def notify_findings(adapters: Adapters) -> Sequence[Finding]:
    """Return what `doctor` tells of the configuration's ways to tell people."""
    return tuple(check_notify(adapters.config.notify, read_secret, checked_program))


def tools_of(adapters: Adapters) -> NotifyTools:
    """Return what people are told with."""
    at_root = os.geteuid() == 0
    folder = RUN_DIRECTORY if at_root else adapters.config.state.dir
    return NotifyTools(
        clock=adapters.clock,
        host=os.uname().nodename,
        read_secret=read_secret,
        transport=lambda: _transport(adapters),
        run_program=NoticePrograms(env=adapters.env),
        pace=PaceFile(
            path=folder / PACE,
            clock=adapters.clock,
            make_folder=make_run_folder if at_root else make_private_folder,
        ),
        as_json=_as_json,
    )


def _transport(adapters: Adapters) -> HttpTransport:
    try:
        return adapters.transport
    except ConfigError as error:  # the file of CA certificates
        raise HttpFailed(error.message, hint=error.hint) from None


def _as_json(notice: Notice) -> Mapping[str, object]:
    return {**occurrence_json(notice.occurrence), "event": notice.event}


def _refuse_nobody(settings: NotifySettings) -> None:
    if not configured(settings):
        raise ConfigError(
            "the configuration names nobody to tell",
            hint="set notify.command, notify.ping_url_file, or notify.robot with its files",
        )


def _handed(raw: bytes) -> Handed:
    read: Handed = from_plain(Handed, json.loads(raw), "occurrences")
    return read


def _wait_for_the_one_before(ended: int | None) -> None:
    """Wait until it has told all it had to, or must have."""
    if ended is None:
        return
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    poll.poll(WAIT_S * 1000)
    os.close(ended)


def _outlive_the_starter() -> None:
    """Go on when the starter's service, session or terminal ends; all here ends soon anyway.

    A handler, as ignoring would be passed on to the command.
    """
    ends = (signal.SIGTERM, signal.SIGHUP)
    for number in ends:
        signal.signal(number, _go_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ends)


def _go_on(number: int, frame: FrameType | None) -> None:
    del number, frame

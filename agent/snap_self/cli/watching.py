"""Wire those who are told what happens."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from snap_self import __version__
from snap_self.cli.adapters import Adapters, text_of, unheard
from snap_self.cli.boundary import ENDED_BY_SIGNAL, ENDING_SIGNALS, Interrupted, write_details
from snap_self.cli.places import BOOT_ID, MARKER, RUN_DIRECTORY
from snap_self.cli.wiring import usable_settings
from snap_self.config.load import default_config
from snap_self.config.settings import Config
from snap_self.errors import ExitStatus, SnapSelfError
from snap_self.model.summary import Summary
from snap_self.system.system_log import write_notice
from snap_self.system.watching.journald import send_to_journal
from snap_self.system.watching.login_file import show_frozen_text, write_login_lines
from snap_self.system.watching.notifier import Notifiers
from snap_self.system.watching.summary_file import read_summary, write_summary
from snap_self.system.watching.tally import TallyFile
from snap_self.system.watching.untold import UntoldFile
from snap_self.usecases.watching import Watch, WatchTools
from snap_self.watching.happened import BUG, Asking, interrupted, unprotected
from snap_self.watching.login import FROZEN_TEXT, login_lines
from snap_self.watching.summing import Moment

# For root alone; of each ECS instance it is another one, and the same for its life.
MACHINE = Path("/sys/class/dmi/id/product_uuid")


def make_watch(adapters: Adapters) -> Watch:
    """Return what a command tells of what happens."""
    return Watch(make_watch_tools(adapters))


def make_watch_tools(adapters: Adapters) -> WatchTools:
    """Return who is told."""
    config, state = adapters.config, adapters.config.state.dir
    notifiers = Notifiers(config.notify, adapters.env)
    return WatchTools(
        clock=adapters.clock,
        log=_Log(config.watch.journal),
        tally=TallyFile(state, adapters.clock),
        untold=_untold(config),
        summary=_Summary(state),
        records=adapters.store.newest,
        moment=partial(_moment, adapters),
        show=partial(_show, config),
        frozen=partial(os.path.lexists, MARKER),
        show_frozen=partial(_show_frozen, config),
        notify=notifiers,
        wait_notified=notifiers.wait,
        calls=adapters.calls,
        refused_calls=adapters.refused_calls,
    )


def close_watch(watch: Watch, *, last: bool = True) -> None:
    """Tell everybody what happened; whatever goes wrong with it changes nothing of what did.

    Args:
        last: nothing follows, so a signal that comes meanwhile has nothing to end. Else it is
            taken when all is told.
    """
    came: list[int] = []
    handlers = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    heeded = [number for number in handlers if handlers[number] is not signal.SIG_IGN]
    for number in heeded:
        signal.signal(number, lambda number, _: came.append(number))
    try:
        watch.close()
    # The border: a fault of ours in the telling is no fault of the run that is told of.
    except Exception as error:  # noqa: BLE001
        write_notice(f"what happened is not told: {write_details(error)}")
    finally:
        for number in heeded:
            signal.signal(number, handlers[number])
    if came and not last:
        signal.raise_signal(came[0])


def tell_unprotected(manager: str, *, code: str, text: str, run_id: str) -> None:
    """Tell that a package manager goes on without a snapshot to rely on.

    A configuration with a fault is read without it: the fault may be why there is no snapshot.
    """
    watch = _watch_without_session()
    now = watch.tools.clock.now()
    watch.tell(unprotected(manager, now, code=code, text=text, run_id=run_id))
    close_watch(watch)


def tell_interrupted(manager: str, *, run_id: str, snapshots: Sequence[str]) -> None:
    """Tell that a hook was interrupted whose change may have been made all the same."""
    watch = _watch_without_session()
    now = watch.tools.clock.now()
    watch.tell(interrupted(manager, now, run_id=run_id, snapshots=snapshots))
    close_watch(watch)


def tell_refused(asked: Asking, error: SnapSelfError) -> None:
    """Tell that a run of the main job was refused before it began, maybe for its configuration."""
    watch = _watch_without_session()
    watch.refused(asked, error)
    close_watch(watch)


def _watch_without_session() -> Watch:
    config = usable_settings(os.environ).config
    return Adapters(config=config, env=os.environ, listener=unheard, watching=make_watch).watch


def trouble() -> tuple[str, int]:
    """Return a stable word for what ends a run just now and is no error of ours, and its status."""
    error = sys.exc_info()[1]
    if isinstance(error, Interrupted):
        return ENDED_BY_SIGNAL, 128 + error.number
    return BUG, int(ExitStatus.BUG)


def _moment(adapters: Adapters) -> Moment:
    return Moment(
        now=adapters.clock.now(),
        version=__version__,
        boot_id=text_of(BOOT_ID),
        machine=text_of(MACHINE),
    )


def _show(config: Config, summary: Summary) -> None:
    _show_metrics(config, summary, frozen=os.path.lexists(MARKER))
    if _is_machines_own(config):
        lines = login_lines(summary, old_after_s=config.watch.old_after_s)
        write_login_lines(config.state.dir, lines, now=summary.written)
        show_frozen_text(RUN_DIRECTORY, "")


def _show_metrics(config: Config, summary: Summary, *, frozen: bool) -> None:
    if config.metrics.textfile:
        from snap_self.system.watching.textfile import write_textfile
        from snap_self.watching.metrics import exposition

        write_textfile(Path(config.metrics.textfile), exposition(summary, frozen=frozen))


def _show_frozen(config: Config, summary: Summary | None) -> None:
    if summary is not None:
        _show_metrics(config, summary, frozen=True)
    if _is_machines_own(config):
        show_frozen_text(RUN_DIRECTORY, FROZEN_TEXT)


def _untold(config: Config) -> UntoldFile:
    """Return where that is kept; the hooks' guard knows the machine's own place alone.

    A command against a simulated cloud, as in the demo, leaves that for one that is in earnest.
    """
    if _is_machines_own(config):
        return UntoldFile(RUN_DIRECTORY)
    from snap_self.cli.recorded import is_simulated

    takes = os.geteuid() == 0 and not is_simulated(config.network.ecs_endpoint)
    return UntoldFile(config.state.dir, *((RUN_DIRECTORY,) if takes else ()))


def _is_machines_own(config: Config) -> bool:
    """Tell whether this is the state that somebody who logs in is to be told of."""
    return config.state.dir == default_config().state.dir and os.geteuid() == 0


class _Log:
    """Implement ``ports_watching.EventLog``."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted

    def tell(self, fields: Mapping[str, str]) -> None:
        if self._wanted:
            send_to_journal(fields)

    def complain(self, text: str) -> None:
        if self._wanted:
            write_notice(text)


class _Summary:
    """Implement ``ports_watching.SummaryStore``."""

    def __init__(self, state: Path) -> None:
        self._state = state

    def read(self) -> Summary | None:
        return read_summary(self._state)

    def write(self, summary: Summary) -> None:
        write_summary(self._state, summary)

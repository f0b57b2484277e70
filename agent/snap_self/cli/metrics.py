"""`metrics`: what was noted here as Prometheus reads it."""

from __future__ import annotations

import os
from pathlib import Path

from snap_self.cli.check import readable_settings
from snap_self.cli.console import console
from snap_self.cli.options import Manner
from snap_self.cli.places import MARKER
from snap_self.errors import EnvironmentFault, RootNeeded, UsageError
from snap_self.model.kept_state import TextfileEnd
from snap_self.model.shell import command
from snap_self.model.shown import printable, shown
from snap_self.model.summary import Summary
from snap_self.system.watching.summary_file import read_summary
from snap_self.system.watching.textfile import remove_textfile, replace_textfile
from snap_self.watching.metrics import BEGINNING, exposition, exposition_lines


def run_metrics(output: Path | None, manner: Manner, *, refresh: bool) -> int:
    """Print the metrics, or write them to a file; as root put them together first."""
    if output is not None and not output.name:
        raise UsageError("--output names no file", hint="write it as /folder/snap-self.prom")
    if refresh and os.geteuid():
        raise RootNeeded("--refresh reads the journal, which needs root", hint="run it with sudo")
    summary, frozen = _summary(), _is_frozen()
    if output is not None:
        _write(output, exposition(summary, frozen=frozen))
    elif not refresh:
        console(verbosity=manner.verbosity).data(*exposition_lines(summary, frozen=frozen))
    return 0


def run_removal(manner: Manner) -> int:
    """Remove the file of the key ``metrics.textfile``; what packages call as the agent goes.

    Nobody renews it any more, and while it is served it tells of a machine that is watched. It
    says nothing where there is none. A fault elsewhere in the configuration is no hindrance.

    Raises:
        RootNeeded: this is not root.
        EnvironmentFault: it is left.
    """
    if os.geteuid():
        raise RootNeeded("--remove needs root", hint="run it with sudo")
    from snap_self.cli.wiring import usable_settings

    name = usable_settings(os.environ).config.metrics.textfile
    end = remove_textfile(name, beginning=BEGINNING)
    if end is TextfileEnd.LEFT:
        removal = command("rm", name)
        raise EnvironmentFault(
            f"{printable(name)} (metrics.textfile) is still there: it does not begin as snap-self "
            "writes it, or could not be removed",
            hint=f"if it tells of this machine, alerts go on until it is gone: {removal}",
        )
    if end is TextfileEnd.REMOVED:
        console(verbosity=manner.verbosity).message(
            f"snap-self: removed {printable(name)} (metrics.textfile)"
        )
    return 0


def _summary() -> Summary:
    """Return the summary: put together anew by root, as it was left by others.

    Raises:
        ConfigError: the configuration has faults.
        StateUnusable, EnvironmentFault: there is none, or it can be neither read nor renewed.
    """
    return _read() if os.geteuid() else _renew()


def _renew() -> Summary:
    from snap_self.cli.adapters import Adapters, unheard
    from snap_self.cli.watching import make_watch_tools
    from snap_self.cli.wiring import load_settings
    from snap_self.system.state.files import make_private_folder, state_faults
    from snap_self.usecases.watching import refresh

    adapters = Adapters(config=load_settings(os.environ), env=os.environ, listener=unheard)
    folder = adapters.config.state.dir
    with state_faults(folder, doing="made"):
        make_private_folder(folder)
    return refresh(make_watch_tools(adapters))


def _read() -> Summary:
    config, _ = readable_settings()
    summary = read_summary(config.state.dir)
    if summary is None:
        raise EnvironmentFault(
            "snap-self has noted nothing on this machine yet",
            hint="as root: snap-self metrics --refresh",
        )
    return summary


def _is_frozen() -> bool | None:
    """Tell whether the marker of a freeze is there; None where that cannot be seen."""
    try:
        return MARKER.exists()
    except OSError:
        return None


def _write(path: Path, text: str) -> None:
    try:
        replace_textfile(path, text)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise EnvironmentFault(
            f"{shown(str(path))} could not be written: {why}",
            hint=f"is the folder there? See: {command('ls', '-ld', str(path.parent))}",
        ) from None

"""`check`: thresholds, the summary, what is seen of the machine, and the verdict on them.

It is started every few minutes, as any user, so it loads little and reads one small file.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from types import FrameType

from snap_self.cli.console import console
from snap_self.cli.options import Manner
from snap_self.cli.places import BOOT_ID, MARKER, RUN_DIRECTORY
from snap_self.config import parsers
from snap_self.config.keys import BY_NAME
from snap_self.config.load import Sources, load_config
from snap_self.config.settings import CheckSettings, Config
from snap_self.errors import EnvironmentFault, StateUnusable, UsageError
from snap_self.model.duration import format_duration
from snap_self.model.shell import command
from snap_self.model.shown import shown
from snap_self.model.snapshots import Consistency
from snap_self.model.summary import Summary
from snap_self.output.checked import write_judged
from snap_self.system.configfiles import distrust_config, list_config_folder, read_config_file
from snap_self.system.watching.summary_file import read_summary
from snap_self.system.watching.untold import is_untold
from snap_self.watching.check import Finding, Kind, Present, Thresholds, judge

SYSTEMD = Path("/run/systemd/system")
TIMER = Path("/etc/systemd/system/timers.target.wants/snap-self-metrics.timer")
# A file may lie on a filesystem that does not answer; Nagios gives a plugin 60 s, NRPE 10.
LIMIT_S = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """The options as typed."""

    warning: str | None
    critical: str | None
    level: str | None
    disk: str | None


def run_check(options: CheckOptions, manner: Manner) -> int:
    """Judge this machine by its summary; the status is a monitoring plugin's."""
    if options.disk is not None and not options.disk.strip():
        raise UsageError("--disk is empty", hint="leave it out to look at all disks")
    with _limited():
        config, hidden = readable_settings()
        thresholds = thresholds_of(options, config.check)
        summary, unreadable = _summary(config.state.dir)
        present = read_present(config.state.dir)
    if hidden and (unsure := _not_given(options)):
        present = replace(present, settings_hidden=str(hidden[0]), unsure=unsure)
    judged = judge(summary, thresholds, present, disk_id=options.disk or "", unreadable=unreadable)
    write_judged(console(verbosity=manner.verbosity, json=manner.json), judged)
    return int(judged.status)


def readable_settings() -> tuple[Config, Sequence[Path]]:
    """Return the configuration as far as this user may read it, and what of it may not be read.

    Raises:
        ConfigError: what can be read has faults.
    """
    hidden: list[Path] = []

    def read(path: Path) -> bytes:
        try:
            return read_config_file(path)
        except PermissionError:
            hidden.append(path)
            raise FileNotFoundError(str(shown(str(path)))) from None

    def listing(path: Path) -> Sequence[str]:
        try:
            return list_config_folder(path)
        except PermissionError:
            hidden.append(path)
            return ()

    sources = Sources(env=os.environ, read=read, listing=listing, distrust=distrust_config)
    return load_config(sources), hidden


def _not_given(options: CheckOptions) -> frozenset[Kind]:
    """Return what is judged by a threshold that neither options nor environment give."""
    kinds = {
        "warning": (options.warning, Kind.OLD),
        "critical": (options.critical, Kind.VERY_OLD),
        "level": (options.level, Kind.WEAK),
    }
    return frozenset(
        kind
        for name, (given, kind) in kinds.items()
        if given is None and os.environ.keys().isdisjoint(BY_NAME["check", name].env_names)
    )


def thresholds_of(options: CheckOptions, settings: CheckSettings) -> Thresholds:
    """Return what was typed, else what is configured.

    Raises:
        UsageError: a value cannot be used, or the two ages exclude each other.
    """
    warning, critical, level = options.warning, options.critical, options.level
    warning_s, critical_s = settings.warning_s, settings.critical_s
    chosen: Consistency = settings.level
    if warning is not None:
        warning_s = parsers.duration(warning, "--warning")
    if critical is not None:
        critical_s = parsers.duration(critical, "--critical")
    if level is not None:
        chosen = Consistency(parsers.Choice(Consistency)(level, "--level"))
    if critical_s < warning_s:
        raise UsageError(
            f"an age of {format_duration(critical_s)} would be critical before it is a warning "
            f"({format_duration(warning_s)})",
            hint="give both --warning and --critical",
        )
    return Thresholds(warning_s=warning_s, critical_s=critical_s, level=chosen)


def read_present(state: Path) -> Present:
    """Return what is seen of the machine now.

    Args:
        state: the state directory.
    """
    since, hidden = None, False
    try:
        since = datetime.fromtimestamp(MARKER.stat().st_mtime, tz=timezone.utc)
    except FileNotFoundError:
        pass
    except OSError:
        hidden = True
    return Present(
        now=datetime.now(timezone.utc),
        boot_id=_boot_id(),
        frozen_since=since,
        marker_hidden=hidden,
        timer=SYSTEMD.is_dir() and os.path.lexists(TIMER),
        untold=any(is_untold(place) for place in (RUN_DIRECTORY, state)),
    )


def _boot_id() -> str:
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _summary(state: Path) -> tuple[Summary | None, Finding | None]:
    """Return the summary, or why it cannot be read."""
    try:
        return read_summary(state), None
    except StateUnusable as error:
        hint = error.hint
        if isinstance(error.__cause__, PermissionError):
            hint = f"as root: {command('chmod', '0711', str(state))}"
        return None, Finding(kind=Kind.UNREADABLE, text=error.message, hint=hint)


@contextmanager
def _limited() -> Iterator[None]:
    """End what takes too long, as far as the kernel lets it be ended."""

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise EnvironmentFault(
            f"what was noted here could not be read within {LIMIT_S} s",
            hint="a filesystem may not answer; see the kernel's log",
        )

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(LIMIT_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)

"""`mount` and `unmount`: what may be asked for, the use cases, rendering, exit status."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from snap_self.cli.asking import agreed, refuse_empty, refuse_unasked
from snap_self.cli.left import see_to_left
from snap_self.cli.looking_back import looking_back, need_root
from snap_self.cli.options import Manner
from snap_self.cli.session import Session, open_session, streams_of
from snap_self.errors import UsageError
from snap_self.model.copying import CopyPlan
from snap_self.model.duration import parse_duration
from snap_self.model.restored import Intent
from snap_self.output.mounted import intent_lines, write_mounted
from snap_self.output.restored import write_declined
from snap_self.output.unmounted import status_of, write_unmounted
from snap_self.usecases.looking_back.mount import MountRequest, mount
from snap_self.usecases.looking_back.sweeping import unmount

MOST_LIFE_S = 24 * 3600
LEAST_LIFE_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class MountOptions:
    """The options as typed."""

    wanted: str
    at: str | None
    path: str | None
    life: str
    yes: bool


def run_mount(options: MountOptions, manner: Manner) -> int:
    """Open a snapshot for people."""
    refuse_empty(ID=options.wanted, at=options.at, path=options.path)
    request = MountRequest(
        wanted=options.wanted,
        at=_absolute(options.at),
        path=options.path,
        life_s=_life(options.life),
        sure=options.yes,
    )
    need_root("mount")
    refuse_unasked(
        streams_of(manner),
        yes=options.yes,
        command="mount",
        does="makes a disk that costs money until it is closed",
    )
    with open_session(manner) as session:
        tools = session.tools()
        see_to_left(session.adapters, tools)
        consent = _Consent(session, yes=options.yes)
        mounted = mount(tools, looking_back(session.adapters), request, consent)
    if mounted is None:
        write_declined(session.streams)
        return 0
    write_mounted(session.streams, mounted)
    return 0


def run_unmount(which: str, manner: Manner, *, every: bool) -> int:
    """End what is open, and what a kill left."""
    if which and every:
        raise UsageError("--all means all that is open", hint="give one of the two")
    need_root("unmount")
    if which and ("/" in which or which == "."):
        which = _absolute(which) or which
    with open_session(manner) as session:
        tools = session.tools()
        swept = unmount(tools, looking_back(session.adapters), which or None, every=every)
    write_unmounted(session.streams, swept)
    return int(status_of(swept))


def _absolute(path: str | None) -> str | None:
    return None if path is None else str(Path(path).resolve())


def _life(text: str) -> int:
    life_s = parse_duration(text, what="--for")
    if not LEAST_LIFE_S <= life_s <= MOST_LIFE_S:
        raise UsageError(f"--for {text} is not from 1m to 24h", hint="such as --for 2h")
    return life_s


class _Consent:
    """Asks on the terminal; with --yes it agrees."""

    def __init__(self, session: Session, *, yes: bool) -> None:
        self._session = session
        self._yes = yes

    def to_disk(self, intent: Intent) -> bool:
        """Tell whether a disk may be made."""
        if self._yes:
            return True
        lines = intent_lines(intent, self._session.adapters.clock.now())
        return agreed(self._session, "Make the disk and open it?", *lines)

    def to_change(self, plan: CopyPlan, intent: Intent) -> bool:
        """Tell whether what differs may be replaced: nothing is."""
        del plan, intent
        return False

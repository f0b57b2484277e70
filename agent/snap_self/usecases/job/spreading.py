"""A delay that is fixed for a machine, so that a thousand of them do not ask all at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from snap_self.errors import SnapSelfError
from snap_self.model.duration import format_duration
from snap_self.model.ids import InstanceId
from snap_self.model.progress import Event, EventKind
from snap_self.usecases.tools import Tools


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Over how long machines are spread, and who is to know.

    Args:
        within_s: the delay is shorter than that.
        terminal: somebody waits at one, so there is none.
        delayed: is told how long the delay is, before it.
    """

    within_s: int
    terminal: bool
    delayed: Callable[[float], None] = lambda seconds: None  # noqa: ARG005


def delay_s(instance_id: InstanceId, within_s: int) -> int:
    """Return a machine's delay: the same each time, and evenly spread over all machines.

    The first eight bytes of the SHA-256 of the instance's id, as a number, modulo the seconds.
    """
    import hashlib  # loads OpenSSL

    digest = hashlib.sha256(instance_id.encode()).digest()
    return int.from_bytes(digest[:8], "big") % within_s


def wait_for_turn(tools: Tools, spread: Spread) -> None:
    """Sleep until this machine's turn has come, and say for how long."""
    if spread.within_s <= 0:
        return
    within = format_duration(spread.within_s)
    if spread.terminal:
        _say(tools, f"not spread over {within}: somebody waits at this terminal")
        return
    instance_id = _instance_id(tools)
    if instance_id is None:
        _say(tools, f"not spread over {within}: which instance this is is not known")
        return
    seconds = delay_s(instance_id, spread.within_s)
    spread.delayed(seconds)
    _say(tools, f"beginning in {seconds} s: this machine's place when spread over {within}")
    tools.clock.sleep(seconds)


def _instance_id(tools: Tools) -> InstanceId | None:
    """Return it as the metadata service tells it, or else the journal."""
    try:
        return tools.identify().instance_id
    except SnapSelfError:
        return _noted(tools)


def _noted(tools: Tools) -> InstanceId | None:
    try:
        return next((record.instance_id for record in tools.store.all()), None)
    except SnapSelfError:
        return None


def _say(tools: Tools, text: str) -> None:
    tools.listener(Event(kind=EventKind.NOTE, text=text))

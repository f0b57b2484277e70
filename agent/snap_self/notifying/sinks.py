"""Which occurrence is told to whom; loaded by every run, so it imports little."""

from __future__ import annotations

from snap_self.model.notifying import Robot, Sink
from snap_self.model.occurrences import BAD, Occasion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from snap_self.config.settings import NotifySettings

# What is put behind a ping URL's path. Source: https://healthchecks.io/docs/http_api/.
PING_ENDS: Mapping[Occasion, str] = {
    Occasion.BEGUN: "/start",
    Occasion.MADE: "",
    Occasion.REUSED: "",
    **dict.fromkeys(BAD, "/fail"),
}
# It is noted there, and changes no state: a try is neither a success nor a failure.
PING_TEST_END = "/log"


def sinks_of(kind: Occasion, settings: NotifySettings) -> tuple[Sink, ...]:
    """Return whom such an occurrence is told to."""
    told = kind in settings.on
    return tuple(
        sink for sink in configured(settings) if (kind in PING_ENDS if sink is Sink.PING else told)
    )


def configured(settings: NotifySettings) -> tuple[Sink, ...]:
    """Return all who can be told; the quick ones first."""
    wanted = (
        (Sink.PING, bool(settings.ping_url_file)),
        (Sink.ROBOT, settings.robot is not Robot.NONE),
        (Sink.COMMAND, bool(settings.command)),
    )
    return tuple(sink for sink, is_wanted in wanted if is_wanted)

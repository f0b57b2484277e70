"""Which occurrence is told to whom."""

from __future__ import annotations

from dataclasses import replace

import pytest

from snap_self.config.load import default_config
from snap_self.config.settings import NotifySettings
from snap_self.model.notifying import Robot, Sink
from snap_self.model.occurrences import BAD, Occasion
from snap_self.notifying.sinks import configured, sinks_of

NOBODY = default_config().notify
EVERYBODY = replace(
    NOBODY, command=("/bin/true",), ping_url_file="/p", robot=Robot.WECOM, robot_url_file="/r"
)


@pytest.mark.parametrize("kind", Occasion)
def test_nobody_is_told_by_default(kind: Occasion) -> None:
    assert sinks_of(kind, NOBODY) == ()


def test_command_and_robot_are_told_of_what_is_bad_by_default() -> None:
    assert NOBODY.on == BAD
    told = {kind for kind in Occasion if Sink.ROBOT in sinks_of(kind, EVERYBODY)}
    assert told == BAD
    assert told == {kind for kind in Occasion if Sink.COMMAND in sinks_of(kind, EVERYBODY)}


def test_command_and_robot_are_told_of_what_is_named() -> None:
    settings = replace(EVERYBODY, on=frozenset({Occasion.UPLOADED}))
    assert sinks_of(Occasion.UPLOADED, settings) == (Sink.ROBOT, Sink.COMMAND)
    assert sinks_of(Occasion.FROZEN, settings) == (Sink.PING,)


def test_ping_is_told_of_begin_success_and_failure_whatever_is_named() -> None:
    settings = replace(EVERYBODY, on=frozenset())
    told = {kind for kind in Occasion if sinks_of(kind, settings) == (Sink.PING,)}
    assert told == {Occasion.BEGUN, Occasion.MADE, Occasion.REUSED, *BAD}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (NOBODY, ()),
        (EVERYBODY, (Sink.PING, Sink.ROBOT, Sink.COMMAND)),
        (replace(NOBODY, robot_url_file="/r"), ()),
    ],
)
def test_configured_are_those_who_are_named(
    settings: NotifySettings, told: tuple[Sink, ...]
) -> None:
    assert configured(settings) == told

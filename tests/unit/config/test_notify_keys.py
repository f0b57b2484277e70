"""The keys of ``[notify]``, and that what a command is given is none of them."""

from __future__ import annotations

from dataclasses import fields

import pytest

from fakes.clock import START
from fakes.configfiles import FakeConfigFiles
from snap_self.config.load import load_config
from snap_self.config.settings import NotifySettings
from snap_self.errors import ConfigError
from snap_self.model.notifying import Notice, Robot
from snap_self.model.occurrences import BAD, Occasion, Occurrence
from snap_self.notifying.program import variables


def load(main: str = "", **env: str) -> NotifySettings:
    return load_config(FakeConfigFiles({"config.toml": f"[notify]\n{main}"}).sources(env)).notify


def test_nobody_is_told_unless_it_is_written() -> None:
    found = load()
    told = {each.name for each in fields(found) if getattr(found, each.name)} - {"on"}
    assert told == {"robot"}  # an Enum is never false
    assert found.robot is Robot.NONE
    assert found.on == BAD


def test_keys_are_read_from_file_and_environment() -> None:
    found = load('command = ["/bin/tell", ""]\non = ["made"]', SNAP_SELF_NOTIFY_ROBOT="feishu")
    assert found.command == ("/bin/tell", "")
    assert found.on == {Occasion.MADE}
    assert found.robot is Robot.FEISHU


@pytest.mark.parametrize(
    ("main", "word"),
    [
        ('command = "/bin/tell"', "array"),
        ('command = [""]', "names no program"),
        ('command = ["/bin/tell", 7]', "command[1]"),
        ('command = ["/bin/tell", "a\\nb"]', "line break"),
        ('on = ["failing"]', "failing"),
        ("on = [[]]", "on[0]"),
        ('robot = "slack"', "dingtalk, feishu, wecom"),
        ('robot_url_file = "robot"', "not absolute"),
        ('ping_url = "https://h.example"', "ping_url_file"),
    ],
)
def test_what_is_wrong_is_refused_with_what_is_accepted(main: str, word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(main)
    assert word in caught.value.message


def test_command_may_call_snap_self_with_the_variables_that_it_has() -> None:
    notice = Notice(occurrence=Occurrence(kind=Occasion.FAILED, at=START, text="x"))
    given = {name: value or "x" for name, value in variables(notice, "web-1", "x").items()}
    assert load(**given) == load()


@pytest.mark.parametrize("text", ["a\0b", "\udcff", "x" * 200_000])
def test_variables_can_always_be_given(text: str) -> None:
    one = Occurrence(kind=Occasion.FAILED, at=START, text=text, hint=text, run_id=text)
    for value in variables(Notice(occurrence=one), "web-1", "x").values():
        assert b"\0" not in value.encode()
        assert len(value.encode()) < 131_072

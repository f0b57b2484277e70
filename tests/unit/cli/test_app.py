"""What the command line refuses before anything is done."""

from __future__ import annotations

import json

import pytest

from json_schemas import hold
from snap_self import __version__
from snap_self.cli.app import run_app
from snap_self.errors import UsageError


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--json", "list"], "--json before the word list"),
        (["-v", "--path", "/srv", "doctor"], "--verbose, --path before the word doctor"),
        (["--before", "os upgrade", "plan"], "--before before the word plan"),
        (["--on-quiesce-failure", "abort", "show", "s-1"], "--on-quiesce-failure before"),
        (["--dry-run", "thaw"], "--dry-run before the word thaw"),
    ],
)
def test_options_when_they_stand_before_the_command_then_are_refused_by_name(
    arguments: list[str], named: str
) -> None:
    with pytest.raises(UsageError, match=named) as caught:
        run_app(arguments)
    assert "snap-self" in caught.value.hint


@pytest.mark.parametrize("arguments", [["--before", "x", "--help"], ["-vh"]])
def test_help_after_options_tells_of_every_command(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    run_app(arguments)
    shown = capsys.readouterr().out
    run_app(["--help"])
    assert shown == capsys.readouterr().out
    assert "prune" in shown


def test_version_as_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["--version", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    hold(said, "version")
    assert said["version"] == __version__


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["restore", "last", "/etc/fstab", "--to", ""], "--to is empty"),
        (["restore", "last", ""], "PATH is empty"),
        (["restore", "last", "/etc/fstab", " "], "PATH is empty"),
        (["restore", "--undo", ""], "--undo is empty"),
        (["mount", ""], "ID is empty"),
        (["mount", "last", "--at", ""], "--at is empty"),
        (["mount", "last", "--path", ""], "--path is empty"),
    ],
)
def test_empty_value_when_a_variable_is_not_set_then_is_refused(
    arguments: list[str], named: str
) -> None:
    with pytest.raises(UsageError, match=named):
        run_app([*arguments, "--yes"])


def test_undo_when_nobody_can_be_asked_then_needs_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snap_self.cli.restore.need_root", lambda command: None)
    with pytest.raises(UsageError, match="restore --undo replaces files") as caught:
        run_app(["restore", "--undo", "r1", "--json"])
    assert "--yes" in caught.value.hint


@pytest.mark.parametrize("root", ["/", "/proc/self/root", "/usr/.."])
def test_restore_when_beside_is_the_root_then_is_refused(root: str) -> None:
    with pytest.raises(UsageError, match="where everything is already"):
        run_app(["restore", "last", "/etc/fstab", "--to", root, "--yes"])

"""What the command line refuses before anything is done."""

from __future__ import annotations

import json

import pytest

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


def test_version_as_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["--version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"schema": 1, "version": __version__}

"""`rollback` refuses what cannot be meant before it asks anything, and stops nothing unasked."""

from __future__ import annotations

import os

import pytest

from snap_self.cli.app import run_app
from snap_self.errors import SnapSelfError


def refused(*typed: str) -> SnapSelfError:
    with pytest.raises(SnapSelfError) as caught:
        run_app(["rollback", *typed])
    return caught.value


@pytest.mark.parametrize(
    ("typed", "said", "hint"),
    [
        ("last --print --script", "contradict each other", "one of the four"),
        ("last --script --oos", "contradict each other", "one of the four"),
        ("last --yes", "--yes goes with --oos or --online", "rollback last --oos --yes"),
        ("last --snapshot-first", "--snapshot-first goes with --oos or", "--oos --snapshot"),
        ("last --oos --online", "contradict each other", "one of the four"),
        ("last --unit x", "--unit goes with --online alone", "rollback last --online --unit x"),
    ],
)
def test_options_that_do_not_go_together_are_refused(typed: str, said: str, hint: str) -> None:
    error = refused(*typed.split())
    assert (error.code, said in error.message, hint in error.hint) == ("usage", True, True)


def test_empty_id_is_refused() -> None:
    assert "ID is empty" in refused("").message


def test_without_a_terminal_and_without_yes_nothing_is_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    error = refused("last", "--oos")
    assert (error.code, "stops this machine" in error.message) == ("usage", True)
    assert "give --yes to agree" in error.hint


def test_whoever_is_not_root_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert refused("last", "--oos", "--yes").code == "root-needed"

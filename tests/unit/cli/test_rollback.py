"""`rollback` refuses what cannot be meant before it asks anything, and stops nothing unasked."""

from __future__ import annotations

import os
from pathlib import Path

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
        ("last --print --script", "contradict each other", "one of the five"),
        ("last --script --oos", "contradict each other", "one of the five"),
        ("last --yes", "--yes goes with --oos or --online", "rollback last --oos --yes"),
        ("last --snapshot-first", "--snapshot-first goes with --oos or", "--oos --snapshot"),
        ("last --oos --online", "contradict each other", "one of the five"),
        ("last --online --give-up", "contradict each other", "one of the five"),
        ("r1 --give-up --json", "for people only", "leave out --json"),
        ("r1 --give-up --yes", "--yes goes with --oos or --online", "--yes"),
        ("last --unit x", "--unit goes with --online alone", "rollback last --online --unit x"),
    ],
)
def test_options_that_do_not_go_together_are_refused(typed: str, said: str, hint: str) -> None:
    error = refused(*typed.split())
    assert (error.code, said in error.message, hint in error.hint) == ("usage", True, True)


def test_empty_id_is_refused() -> None:
    assert "ID is empty" in refused("").message


@pytest.mark.parametrize(
    ("how", "does"), [("--oos", "stops this machine"), ("--online", "takes disks away for a while")]
)
def test_without_a_terminal_and_without_yes_nothing_is_stopped(
    monkeypatch: pytest.MonkeyPatch, how: str, does: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    error = refused("last", how)
    assert (error.code, does in error.message) == ("usage", True)
    assert "give --yes to agree" in error.hint


@pytest.mark.parametrize("how", ["--oos", "--online"])
def test_whoever_is_not_root_stops_nothing(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert refused("last", how, "--yes").code == "root-needed"


def test_data_disks_that_are_half_way_back_are_not_left_behind_by_a_rollback_of_the_system(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("SNAP_SELF_STATE_DIR", str(tmp_path))
    (tmp_path / "returns").mkdir()
    (tmp_path / "returns" / "r1.json").write_text("{}", "utf-8")
    error = refused("last", "--oos", "--yes")
    assert (error.code, "rollback --online" in error.message) == ("rollback-goes-on", True)


def test_empty_unit_is_refused() -> None:
    assert "--unit is empty" in refused("last", "--online", "--unit", " ").message


def test_whoever_is_not_root_gives_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert refused("r1", "--give-up").code == "root-needed"

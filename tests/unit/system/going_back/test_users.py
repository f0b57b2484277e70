"""Which processes share this one's mounts, and whose units they are."""

from __future__ import annotations

import os

import pytest

from snap_self.system.going_back import users
from snap_self.system.going_back.users import own_units, shares_mounts_with, unit_of


def test_process_shares_its_own_mounts_and_those_of_none_that_cannot_be_seen() -> None:
    assert shares_mounts_with(str(os.getpid()))
    assert shares_mounts_with(str(os.getppid()))
    assert not shares_mounts_with("0")


def test_unit_that_this_process_is_accounted_to_is_one_of_its_own() -> None:
    assert {unit_of("self")} - {""} <= own_units()
    assert all(unit.endswith((".service", ".scope", ".slice")) for unit in own_units())


@pytest.mark.parametrize(
    ("path", "unit", "own"),
    [
        (
            "0::/user.slice/user-0.slice/user@0.service/app.slice/run-1.service",
            "user@0.service",
            {"user.slice", "user-0.slice", "user@0.service", "app.slice", "run-1.service"},
        ),
        (
            "3:cpu:/no.slice\n1:name=systemd:/system.slice/x.service",
            "x.service",
            {"system.slice", "x.service"},
        ),
        ("0::/", "", set()),
    ],
)
def test_units_are_those_of_the_control_group(
    monkeypatch: pytest.MonkeyPatch, path: str, unit: str, own: set[str]
) -> None:
    monkeypatch.setattr(users, "text_if_there", lambda _: path)
    assert unit_of("7") == unit
    assert own_units() == own

"""Which units are stopped beside those that are named, and in what order."""

from __future__ import annotations

from snap_self.model.going_back import UnitFacts
from snap_self.usecases.going_back.judging import units_touched

KNOWN = {
    "db.service": UnitFacts(
        name="db.service",
        known=True,
        active=True,
        stopped_with=("web.service", "idle.service"),
        triggered_by=("db.socket",),
    ),
    "db.socket": UnitFacts(name="db.socket", known=True, active=True, stopped_with=("db.service",)),
    "web.service": UnitFacts(
        name="web.service", known=True, active=True, stopped_with=("db.service", "front.service")
    ),
    "idle.service": UnitFacts(
        name="idle.service", known=True, active=False, triggered_by=("idle.timer",)
    ),
    "idle.timer": UnitFacts(name="idle.timer", known=True, active=True),
    "front.service": UnitFacts(name="front.service", known=True, active=True),
    "kept.service": UnitFacts(
        name="kept.service",
        known=True,
        active=True,
        upheld_by=("keeper.service", "idle-keeper.service"),
    ),
    "keeper.service": UnitFacts(
        name="keeper.service", known=True, active=True, stopped_with=("front.service",)
    ),
    "idle-keeper.service": UnitFacts(name="idle-keeper.service", known=True, active=False),
}


def touched(*names: str) -> list[str]:
    unknown = UnitFacts(name="typo.service", known=False, active=False)
    return [each.name for each in units_touched(lambda n: KNOWN.get(n, unknown), names)]


def test_what_needs_a_unit_is_stopped_before_it_and_what_starts_it_after_it() -> None:
    # Started in the other order: the socket, the database, and who needs it.
    assert touched("db.service") == [
        "front.service",
        "web.service",
        "idle.timer",
        "db.service",
        "db.socket",
    ]


def test_named_ones_are_kept_though_they_do_not_run_or_are_not_known() -> None:
    assert touched("idle.service") == ["idle.service", "idle.timer"]
    assert touched("typo.service") == ["typo.service"]


def test_each_unit_is_touched_once() -> None:
    assert touched("front.service", "db.service", "web.service").count("front.service") == 1


def test_what_upholds_a_unit_is_stopped_before_it_as_systemd_would_start_it_again() -> None:
    assert touched("kept.service") == ["front.service", "keeper.service", "kept.service"]

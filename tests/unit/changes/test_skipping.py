"""When no snapshot is made: the reasons, and which comes first."""

from __future__ import annotations

from typing import Any

import pytest

from snap_self.changes.skipping import SHORT_LIMIT_S, find_skip, limit_s
from snap_self.model.manager_facts import Facts

ECS = {"product": "Alibaba Cloud ECS\n"}
# In the order in which they count.
REASONS: tuple[tuple[dict[str, Any], str, bool], ...] = (
    ({"variable": "1"}, "SNAP_SELF_SKIP is set", True),
    ({"told": "told to by SnapSelf::Skip"}, "told to by SnapSelf::Skip", True),
    ({"now": 100.0, "skip_until": 200.0}, "skip-until holds for 2 more minutes", True),
    ({"container": "/.dockerenv"}, "inside a container (/.dockerenv)", True),
    (
        {"container": "/.dockerenv", "container_sure": True},
        "inside a container (/.dockerenv)",
        False,
    ),
    ({"chroot": True}, "inside a chroot", False),
    ({"root": "/mnt"}, "the packages go to /mnt", False),
    ({"building": "policy-rc.d"}, "an image is being built: policy-rc.d", True),
    ({"product": "Standard PC"}, "not an ECS instance", False),
)


def test_firmware_that_cannot_be_asked_skips_aloud() -> None:
    skip = find_skip(Facts(product=None))
    assert skip is not None
    assert (skip.loud, "the firmware cannot be asked" in skip.why) == (True, True)
    assert find_skip(Facts(product=None, metadata_named=True)) is None


def test_ecs_instance_that_runs_its_own_system_is_not_skipped() -> None:
    assert find_skip(Facts(product="Alibaba Cloud ECS\n")) is None


@pytest.mark.parametrize(("facts", "why", "loud"), REASONS)
def test_reason_is_told_and_loud_only_where_it_may_surprise(
    facts: dict[str, Any], why: str, loud: bool
) -> None:
    skip = find_skip(Facts(**(ECS | facts)))
    assert skip is not None
    assert skip.why.endswith(why)
    assert skip.loud == loud


@pytest.mark.parametrize("first", range(len(REASONS)))
def test_first_reason_of_several_counts(first: int) -> None:
    together = {key: value for facts, _, _ in REASONS[first:] for key, value in facts.items()}
    skip = find_skip(Facts(**together))
    assert skip is not None
    assert skip.why.endswith(REASONS[first][1])


@pytest.mark.parametrize("value", ["", "0", "no", "False", "off"])
def test_skip_variable_may_say_no(value: str) -> None:
    assert find_skip(Facts(variable=value, **ECS)) is None  # type: ignore[arg-type]


def test_moment_in_the_past_skips_nothing() -> None:
    assert find_skip(Facts(now=200.0, skip_until=200.0, **ECS)) is None  # type: ignore[arg-type]


def test_named_metadata_service_counts_as_an_ecs_instance() -> None:
    assert find_skip(Facts(product="Standard PC", metadata_named=True)) is None


@pytest.mark.parametrize("root", ["/", "", "//", "/.", "/./"])
def test_own_root_however_it_is_written_is_not_skipped(root: str) -> None:
    assert find_skip(Facts(root=root, **ECS)) is None  # type: ignore[arg-type]


def test_system_that_stops_gets_a_short_limit() -> None:
    assert limit_s(Facts(stopping=True), 300.0) == SHORT_LIMIT_S
    assert limit_s(Facts(stopping=True), 5.0) == 5.0
    assert limit_s(Facts(), 300.0) == 300.0

"""Retries' intervals and the length of a Sleep."""

from __future__ import annotations

from typing import Any

import pytest

from ecs_simulator.clock import parse_iso
from ecs_simulator.oos.faults import TaskFault, TemplateFault
from ecs_simulator.oos.waiting import Retry, sleep_s

NOW = parse_iso("2026-11-22T08:00:00Z") or 0.0


def intervals(**task: Any) -> list[float | None]:
    retry = Retry.of(task)
    return [retry.interval_s(times) for times in range(retry.retries + 1)]


def test_usual_retries_are_ten_whose_interval_doubles() -> None:
    assert intervals() == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, None]


def test_no_interval_is_longer_than_the_longest() -> None:
    assert intervals(Retries=13)[10:] == [1024, 1800, 1800, None]
    assert intervals(Retries=4, MaxRetryInterval=3) == [1, 2, 3, 3, None]


def test_interval_is_constant_or_grows_by_a_step() -> None:
    assert intervals(Retries=3, DelayType="Constant", Delay=20) == [20, 20, 20, None]
    assert intervals(Retries=3, DelayType="Linear", Delay=5, BackOff=4) == [5, 9, 13, None]
    assert intervals(Retries=0) == [None]


@pytest.mark.parametrize(
    "task",
    [
        {"Retries": 301},
        {"Retries": -1},
        {"Retries": "5"},
        {"Retries": True},
        {"Delay": 0},
        {"Delay": 3601},
        {"BackOff": 0},
        {"MaxRetryInterval": 1801},
        {"DelayType": "Sometimes"},
    ],
)
def test_number_outside_its_range_is_refused(task: dict[str, Any]) -> None:
    with pytest.raises(TemplateFault):
        Retry.of(task)


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [
        ("PT15M", 900),
        ("pt1h2m", 3720),
        ("1H2M", 3720),
        ("30s", 30),
        ("P1DT1S", 86401),
        ("PT90M", 5400),
    ],
)
def test_sleep_lasts_its_duration(duration: str, seconds: float) -> None:
    assert sleep_s({"Duration": duration}, NOW) == seconds


@pytest.mark.parametrize(("end", "seconds"), [("08:00:10", 10), ("07:00:00", 0)])
def test_sleep_lasts_until_its_end(end: str, seconds: float) -> None:
    assert sleep_s({"EndDate": f"2026-11-22T{end}Z"}, NOW) == seconds


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"Duration": "PT1M", "EndDate": "2026-11-22T08:00:10Z"},
        {"Duration": "soon"},
        {"Duration": "PT0S"},
        {"Duration": 900},
        {"EndDate": "tomorrow"},
    ],
)
def test_sleep_without_a_length_is_a_fault(properties: dict[str, Any]) -> None:
    with pytest.raises(TaskFault):
        sleep_s(properties, NOW)

"""The words in which people are told, and their length."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from fakes.clock import START
from snap_self.model.notifying import Notice, Pace, Robot
from snap_self.model.occurrences import BAD, Occasion, Occurrence
from snap_self.notifying.message import TITLES, cut, message
from snap_self.notifying.robots import MOST_BYTES

LONG = "快照" * 5000
ONE = Occurrence(
    kind=Occasion.UNPROTECTED,
    at=START,
    text="apt went on without a snapshot: the cloud refused it",
    instance_id="i-bp1aaaabbbbccccdddde",
    region="cn-hangzhou",
    run_id="20261122t083225z-abc123",
    trigger="apt",
    before="upgrade of libc6",
    hint="look at `snap-self doctor`",
)
NOTHING = Pace()
EARLIER = Pace(
    sent=START,
    held={"failed": 2, "frozen": 1},
    held_since=START - timedelta(minutes=7),
)


def told(one: Occurrence, *, before: Pace = NOTHING, most: int = 2048, test: bool = False) -> str:
    return message([Notice(occurrence=one, test=test)], "web-1", before, most)


def test_message_has_machine_what_happened_run_and_what_to_do() -> None:
    assert told(ONE).split("\n") == [
        "snap-self: A CHANGE WENT ON WITHOUT A GOOD SNAPSHOT",
        "Machine: web-1 (i-bp1aaaabbbbccccdddde, cn-hangzhou)",
        "Time: 2026-11-22 08:32:25 UTC",
        "Run: 20261122t083225z-abc123",
        "What: apt went on without a snapshot: the cloud refused it",
        "To do: look at `snap-self doctor`",
        "Before: upgrade of libc6",
    ]


def test_every_kind_has_words_and_bad_ones_are_loud() -> None:
    assert set(TITLES) == set(Occasion)
    assert {kind for kind, title in TITLES.items() if title.isupper()} == BAD


def test_what_was_held_back_is_told_with_kinds_and_time() -> None:
    assert told(ONE, before=EARLIER).endswith(
        "\nAlso: 3 more since 2026-11-22 08:25:25 UTC, not told here (2 failed, 1 frozen): see the "
        "system's log"
    )


def test_test_message_says_that_nothing_happened() -> None:
    said = told(replace(ONE, kind=Occasion.BEGUN), test=True)
    assert said.startswith("snap-self: a test; nothing happened\n")


def test_several_are_told_in_one_message() -> None:
    notices = [Notice(occurrence=ONE), Notice(occurrence=replace(ONE, kind=Occasion.FROZEN))]
    said = message(notices, "web-1", NOTHING, 2048)
    assert TITLES[Occasion.UNPROTECTED] in said
    assert TITLES[Occasion.FROZEN] in said


@pytest.mark.parametrize("robot", MOST_BYTES)
def test_longest_message_fits_and_keeps_what_matters(robot: Robot) -> None:
    most = MOST_BYTES[robot]
    one = replace(ONE, text=LONG, hint=LONG, before=LONG)
    said = told(one, before=EARLIER, most=most)
    assert len(said.encode()) <= most
    for word in ("Machine: web-1", "Run: 2026", "What: 快照", "To do: 快照", "Also: 3 more"):
        assert word in said


def test_many_long_ones_keep_what_was_held_back() -> None:
    notices = [Notice(occurrence=replace(ONE, text=LONG))] * 20
    said = message(notices, "web-1", EARLIER, 2048)
    assert len(said.encode()) <= 2048
    assert "Also: 3 more" in said


@pytest.mark.parametrize("foreign", ["a\nRun: other", "\x1b[31mred", "a\u202eb", "\udcff"])
def test_foreign_text_stays_on_its_line(foreign: str) -> None:
    said = told(replace(ONE, text=foreign, before=foreign, hint=foreign))
    assert len(said.split("\n")) == len(told(ONE).split("\n"))
    assert foreign not in said
    said.encode()


@pytest.mark.parametrize("most", range(12))
def test_cut_text_never_is_longer_than_asked_and_always_text(most: int) -> None:
    assert len(cut("快照", most).encode()) <= max(most, len("…".encode()))
    assert cut("快照", 6) == "快照"

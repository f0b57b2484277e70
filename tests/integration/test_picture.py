"""The README's picture shows what the program prints today."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import pytest

from agent_runner import AgentRunner

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "packaging/docs/first-snapshot.svg"
SCRIPT = ROOT / "packaging/picture.py"
sys.path.insert(0, str(SCRIPT.parent))

from picture import RUN, Cell, settled, svg  # noqa: E402


@pytest.mark.slow
def test_picture_is_what_the_program_shows_today(agent: AgentRunner) -> None:
    drawn = replace(agent, program=(sys.executable, str(SCRIPT))).run("--output", "-")
    assert (drawn.status, drawn.err) == (0, "")
    assert drawn.out == PICTURE.read_text(encoding="utf-8"), "run: python packaging/picture.py"


def test_picture_is_well_formed_and_shows_the_commands() -> None:
    drawn = ElementTree.parse(PICTURE)
    shown = "\n".join(drawn.getroot().itertext())
    assert 'snap-self --before "os upgrade"' in shown
    assert "snap-self list" in shown


def row(text: str) -> list[Cell]:
    return [Cell(letter) for letter in text]


def text(cells: list[Cell]) -> str:
    return "".join(cell.text for cell in cells)


@pytest.mark.parametrize(
    ("shown", "drawn"),
    [
        ("run 20261129t235958z-0a1b2c made", f"run {RUN} made"),
        ("kept until 2026-12-13 23:59 UTC", "kept until 2026-03-28 03:12 UTC"),
        ("kept until 13 Dec", "kept until 28 Mar"),
        ("kept until 3 Jan", "kept until 18 Apr"),
        ("cut 2026-11-29 23:59:59 UTC", "cut 2026-03-14 03:12:09 UTC"),
        ("made in 12 s", "made in 2 s"),
        ("id  12s  os upgrade", "id  3s   os upgrade"),
        ("40 GiB, /dev/vda: / (ext4)", "40 GiB, /dev/vda: / (ext4)"),
    ],
)
def test_times_of_a_run_become_those_of_one_fixed_run(shown: str, drawn: str) -> None:
    assert text(settled(row(shown), date(2026, 11, 29))) == drawn


def test_colour_and_weight_stay_with_what_is_replaced() -> None:
    shown = [*row("in "), *(Cell(letter, "green", bold=True) for letter in "17 s"), *row(".")]
    drawn = settled(shown, date(2026, 11, 29))
    assert [(cell.text, cell.colour, cell.bold) for cell in drawn[3:6]] == [
        (letter, "green", True) for letter in "2 s"
    ]
    assert drawn[6:] == row(".")


def test_drawing_shows_marks_of_its_own_language_as_text() -> None:
    drawn = ElementTree.fromstring(svg([row("a <b> & c")]))
    assert "a <b> & c" in list(drawn.itertext())

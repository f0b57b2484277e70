"""CONTRIBUTING.md names files that are there, at most three of the product for each addition."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PAGES = (
    *("package manager", "database driver", "command", "option of the main job", "cloud call"),
    "configuration key",
)
PLACEHOLDER = "NAME"
MOST_FILES = 3


def page(subject: str) -> str:
    begin = TEXT.index(f"## A new {subject}\n")
    end = TEXT.find("\n## ", begin + 1)
    return TEXT[begin : end if end > 0 else None]


def named_paths() -> list[str]:
    """Return every path that is named, from the checkout's root."""
    words = re.findall(r"`([\w./-]+)`", TEXT)
    tops = tuple(f"{path.name}/" for path in ROOT.iterdir() if path.is_dir())
    return [word for word in words if word.startswith(tops) or word.endswith((".md", ".toml"))]


def test_paths_named_in_the_guide_exist() -> None:
    paths = named_paths()
    missing = [
        path
        for path in paths
        if not (ROOT / (path if PLACEHOLDER not in path else Path(path).parent)).exists()
    ]
    assert len(paths) > 40
    assert missing == []


@pytest.mark.parametrize("subject", PAGES)
def test_addition_touches_at_most_three_files_of_the_product(subject: str) -> None:
    steps = re.findall(r"^(\d)\. `(agent/snap_self/[\w/]+\.py)`:", page(subject), re.MULTILINE)
    assert 1 < len(steps) <= MOST_FILES
    assert len(steps) == len(re.findall(r"^\d\. ", page(subject), re.MULTILINE))


@pytest.mark.parametrize("subject", PAGES)
def test_addition_says_what_packaging_and_tests_need(subject: str) -> None:
    assert "\nPackaging: " in page(subject)
    assert "Tests: " in page(subject)

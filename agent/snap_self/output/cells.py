"""How many cells of a terminal a text takes, and texts of just so many.

Source: Unicode Standard Annex 11 (wide characters) and Technical Standard 51 (emoji sequences),
which terminals follow; old ones draw what is joined one beside the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from snap_self.model.shown import printable

_JOINER = "\u200d"
_AS_EMOJI = "\ufe0f"  # variation selector 16
_SKIN_TONES = ("\U0001f3fb", "\U0001f3ff")
_FLAG_LETTERS = ("\U0001f1e6", "\U0001f1ff")
# Vowels and final consonants of Hangul, which are drawn into the syllable they belong to.
_IN_SYLLABLE = (("\u1160", "\u11ff"), ("\ud7b0", "\ud7ff"))
# What can be drawn as an emoji, beside the digits of keycaps.
_SIGNS = ("So", "Sm", "Po")


@dataclass(slots=True)
class _Cluster:
    """What is drawn as one.

    Args:
        last: its last character that is drawn.
    """

    text: str
    cells: int
    last: str

    def takes(self, char: str, cells: int) -> bool:
        """Take a character that is drawn with what is here already; tell whether it is one."""
        if char == _AS_EMOJI and self.cells == 1 and _is_sign(self.last):
            self.cells = 2
        elif _within(_FLAG_LETTERS, char) and len(self.text) == 1:
            if not _within(_FLAG_LETTERS, self.text):
                return False
            self.cells += 1
        elif cells == 2 and (self.text.endswith(_JOINER) or _within(_SKIN_TONES, char)):
            if self.cells < 2:
                return False
        elif cells:
            return False
        self.text += char
        self.last = char if cells else self.last
        return True


def is_plain(text: str) -> bool:
    """Tell whether each character is printable and takes one cell; a fast test of many texts."""
    return text.isascii() and text.isprintable()


def cell_width(text: str) -> int:
    """Return how many cells a printable text takes."""
    return len(text) if text.isascii() else sum(cells for _, cells in _pieces(text))


def fitted(text: str, most: int) -> str:
    """Return the text, printable and cut off where it would take more cells than these."""
    whole = printable(text)
    if cell_width(whole) <= most:
        return whole
    taken, left = "", most - 1
    for piece, cells in _pieces(whole):
        if (left := left - cells) < 0:
            break
        taken += piece
    return f"{taken}…" if most > 0 else ""


def padded(text: str, cells: int) -> str:
    """Return a printable text with as many blanks behind it as fill these cells."""
    return text + " " * (cells - cell_width(text))


def _pieces(text: str) -> Iterable[tuple[str, int]]:
    """Return what is drawn as one, piece by piece, each with its cells."""
    alone = list(map(_alone, text))
    if all(alone):  # nearly always, and much quicker
        return zip(text, alone, strict=True)
    return ((each.text, each.cells) for each in _clusters(text))


def _clusters(text: str) -> Iterator[_Cluster]:
    whole: _Cluster | None = None
    for char in text:
        cells = _cells(char)
        if whole is not None:
            if whole.takes(char, cells):
                continue
            yield whole
        whole = _Cluster(char, cells, char)
    if whole is not None:
        yield whole


@cache
def _alone(char: str) -> int:
    """Return the cells of a character; 0 if what stands beside it decides how it is drawn."""
    joins = _within(_SKIN_TONES, char) or _within(_FLAG_LETTERS, char)
    return 0 if joins else _cells(char)


@cache
def _cells(char: str) -> int:
    if char.isascii():
        return 1
    from unicodedata import category, east_asian_width

    if category(char) in ("Mn", "Me", "Cf") or any(_within(each, char) for each in _IN_SYLLABLE):
        return 0
    return 2 if east_asian_width(char) in "WF" else 1


def _is_sign(char: str) -> bool:
    from unicodedata import category

    return char.isdecimal() or category(char) in _SIGNS


def _within(span: tuple[str, str], char: str) -> bool:
    return span[0] <= char <= span[1]

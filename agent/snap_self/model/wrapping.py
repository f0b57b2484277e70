"""Lines of a width, broken between words only."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# A blank at which no line is broken.
GLUE = "\xa0"


def wrapped(
    text: str, most: int, *, indent: str = "", measure: Callable[[str], int] = len
) -> Iterator[str]:
    """Yield the text in lines of at most so many cells; a longer word has a line for itself.

    What stands between backquotes is a command to be copied, and counts as one word.

    Args:
        indent: what all lines but the first begin with, unless a word has no room behind it.
        measure: how many cells a text takes.
    """
    line = ""
    for word in _words(text):
        longer = f"{line} {word}" if line.strip() else f"{line}{word}"
        if line.strip() and measure(longer) > most:
            yield line
            longer = f"{indent}{word}"
            if measure(longer) > most:
                longer = word
        line = longer
    yield line


def _words(text: str) -> Iterator[str]:
    """Yield the words; blanks at the text's begin stay at the first one, further ones are words."""
    rest = text.lstrip(" ")
    words = rest.split(" ")
    words[0] = text[: len(text) - len(rest)] + words[0]
    command: list[str] = []
    for word in words:
        command.append(word)
        if sum(each.count("`") for each in command) % 2 == 0:
            yield " ".join(command).replace(GLUE, " ")
            command = []
    yield from command  # a backquote that is never closed

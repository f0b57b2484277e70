"""How foreign text is shown: on one line, and so that no terminal obeys it and no eye is misled.

Foreign is whatever others choose: names of files, mounts, devices and packages, tags, messages of
the API and of programs, options as typed. Nothing slow is imported before there is such a text.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Callable

MAX_SHOWN = 60

# Letters for Python, but nothing is seen of them.
_FILLERS = "\u115f\u1160\u3164\uffa0"
# Source: DerivedCoreProperties.txt of Unicode, Default_Ignorable_Code_Point. Of those, variation
# selectors pass, which emoji need. So do characters newer than this Python's tables.
_UNSEEN = "".join(
    (
        "\x00-\x1f\x7f-\x9f",  # control characters
        "\u2028\u2029",  # ends of lines
        "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069",  # the writing direction
        "\u00ad\u180e\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff0-\ufffb",  # nothing is seen
        "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff",
        _FILLERS,
        "\ud800-\udfff\ufffe\uffff",  # what UTF-8 cannot carry, or no text may hold
        "\ue000-\uf8ff\U000f0000-\U0010ffff",  # for private use: each font shows another thing
    )
)
# Scripts and emoji need them between two characters beyond ASCII; elsewhere nothing is seen.
_JOINERS = "\u200c\u200d"
_found: list[re.Pattern[str]] = []


def is_printable(text: str) -> bool:
    """Tell whether a text stays on its line and shows all that it holds."""
    # Nearly every text is plain, and the search is slow.
    if text.isprintable() and (text.isascii() or not any(each in text for each in _FILLERS)):
        return True
    return not _unprintable().search(text)


def printable(text: str) -> str:
    """Return the text on one line, with an escape for whatever would not be seen."""
    return escaped(text, _escape)


def escaped(text: str, escape: Callable[[str], str]) -> str:
    """Return the text with each character that is not printable replaced."""
    if is_printable(text):
        return text
    return _unprintable().sub(lambda match: escape(match[0]), text)


def shown(text: str) -> str:
    """Return the text in quotes, on one line, printable and at most 60 characters long."""
    cut = text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
    return quoted(cut)


def quoted(text: str) -> str:
    """Return the text whole, in quotes that it does not hold if there are such, and printable."""
    mark = '"' if "'" in text and '"' not in text else "'"
    return f"{mark}{printable(text)}{mark}"


def _unprintable() -> re.Pattern[str]:
    if not _found:
        import re

        joined = rf"[^\x00-\x7f{_JOINERS}{_UNSEEN}]"
        lone = rf"(?<!{joined})[{_JOINERS}]|[{_JOINERS}](?!{joined})"
        _found.append(re.compile(rf"[{_UNSEEN}]|{lone}"))
    return _found[0]


def _escape(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # a byte that is no UTF-8, as Python reads it
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")

"""JSON as package managers write it, read without the module ``json``.

That one loads ``re`` and ``enum``, which takes as long as the rest of a hook. Its own scanner is C
(https://github.com/python/cpython/blob/3.13/Modules/_json.c) and no public interface. So ``json``
reads whatever the scanner does not, and says what is wrong with it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WHITE_SPACE = " \t\r\n"


class _Usual:
    """What ``json.loads`` asks of the scanner."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    array_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float  # takes NaN, Infinity and -Infinity by these names
    memo: dict[str, str] = {}  # noqa: RUF012  # names seen; the C scanner has its own


def parse_json(text: str) -> Any:
    """Return the value that a text is.

    Raises:
        ValueError: it is not JSON.
        RecursionError: it is nested too deeply.
    """
    found = scan_json(text)
    if found is not None and not text[found[1] :].strip(WHITE_SPACE):
        return found[0]
    import json

    return json.loads(text)


def scan_json(text: str) -> tuple[Any, int] | None:
    """Return the value that a text begins with, and where it ends; None where that is not known."""
    try:
        from _json import make_scanner

        start = len(text) - len(text.lstrip(WHITE_SPACE))
        scan: Any = make_scanner(_Usual)  # type: ignore[arg-type]
        found: tuple[Any, int] = scan(text, start)
    # A SystemError is what it ends with where it would raise an error of `json`, not loaded here.
    except (ImportError, AttributeError, TypeError, ValueError, StopIteration, SystemError):
        return None
    return found

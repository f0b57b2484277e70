"""Name patterns with ``*`` and ``?``; ``fnmatch`` loads ``re``, which takes too long for a hook."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Patterns:
    """Several patterns that are tried on thousands of names.

    Nearly all are a plain name, or a name's beginning, which cost one look-up together.
    """

    __slots__ = ("_beginnings", "_names", "_others")

    def __init__(self, patterns: Iterable[str]) -> None:
        self._names: set[str] = set()
        self._beginnings: tuple[str, ...] = ()
        self._others: list[str] = []
        for pattern in patterns:
            stem = pattern[:-1] if pattern.endswith("*") else pattern
            if "*" in stem or "?" in stem:
                self._others.append(pattern)
            elif stem == pattern:
                self._names.add(pattern)
            else:
                self._beginnings += (stem,)

    def match(self, name: str) -> bool:
        """Tell whether one of them fits the whole name."""
        return (
            name in self._names
            or name.startswith(self._beginnings)
            or any(fits(pattern, name) for pattern in self._others)
        )


def fits(pattern: str, name: str) -> bool:
    """Tell whether a pattern fits a whole name, going back to the last star at most."""
    at = begun = 0
    star = -1
    for_star = 0
    while at < len(name):
        sign = pattern[begun] if begun < len(pattern) else ""
        if sign == "*":
            star, for_star = begun, at
            begun += 1
        elif sign in ("?", name[at]) and sign:
            at, begun = at + 1, begun + 1
        elif star >= 0:
            for_star += 1
            at, begun = for_star, star + 1
        else:
            return False
    return not pattern[begun:].strip("*")

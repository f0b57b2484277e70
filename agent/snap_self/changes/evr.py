"""The order of rpm's versions.

Source: rpm, ``rpmio/rpmvercmp.c`` and rpm-version(7): runs of digits and of letters are compared
one after the other; ``~`` sorts before the end of a version, ``^`` just after it.
"""

from __future__ import annotations


def compare_evr(one: str, other: str) -> int:
    """Return -1, 0 or 1 as a version, with epoch and release, is older, the same or newer."""
    for left, right in zip(_split(one), _split(other), strict=True):
        result = compare_part(left, right)
        if result:
            return result
    return 0


def compare_part(one: str, other: str) -> int:
    """Return the same for two epochs, versions or releases."""
    left, right = _ranks(one), _ranks(other)
    size = max(len(left), len(right))
    end = (1, 0, "")
    left += [end] * (size - len(left))
    right += [end] * (size - len(right))
    return (left > right) - (left < right)


def _split(evr: str) -> tuple[str, str, str]:
    epoch, colon, rest = evr.rpartition(":")
    version, hyphen, release = rest.rpartition("-")
    return (epoch if colon else "0", version, release) if hyphen else (epoch or "0", rest, "")


def _ranks(text: str) -> list[tuple[int, int, str]]:
    import re

    return [_rank(run) for run in re.findall(r"\d+|[a-zA-Z]+|~|\^", text)]


def _rank(run: str) -> tuple[int, int, str]:
    if run == "~":
        return (0, 0, "")
    if run == "^":
        return (2, 0, "")
    return (4, int(run), "") if run.isdigit() else (3, 0, run)

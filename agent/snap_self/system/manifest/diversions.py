"""dpkg's diversions and overridden owners and modes; pure."""

from __future__ import annotations

OVERRIDE = "statoverride "


def parse_diversions(diversions: str, overrides: str) -> dict[str, str]:
    """Return path → where its content is diverted to, and ``statoverride PATH`` → owner and mode.

    Source: dpkg-divert(1), three lines each: from, to, by whom (``:`` for the administrator);
    dpkg-statoverride(1): ``OWNER GROUP MODE PATH``.
    """
    lines = diversions.split("\n")
    found = dict(zip(lines[0::3], lines[1::3], strict=False))
    for line in overrides.split("\n"):
        fields = line.split(" ", 3)
        if len(fields) == 4:
            found[f"{OVERRIDE}{fields[3]}"] = " ".join(fields[:3])
    return {path: value for path, value in found.items() if path}

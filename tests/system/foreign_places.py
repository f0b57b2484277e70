"""Files and folders as other users could have left them, and which of them root may use.

The tables below are the rule: a place may be used when each of its traits may.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NOBODY = 65534

OWNERS = {0: True, NOBODY: False}
# Of a file; a folder has in addition the right to pass for whoever may read.
MODES = {0o600: True, 0o644: True, 0o660: False, 0o666: False}
# Owner and mode of the folder that the thing lies in; None: it depends on what is made of it.
ABOVE: dict[tuple[int, int], bool | None] = {
    (0, 0o755): True,
    (0, 0o777): False,
    (0, 0o1777): None,
    (NOBODY, 0o755): False,
    (NOBODY, 0o1777): False,
}
# Whose link the path names, if it is one.
LINKS = {None: True, 0: None, NOBODY: False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One row."""

    owner: int = 0
    mode: int = 0o600
    above: tuple[int, int] = (0, 0o755)
    link: int | None = None

    def usable(self, *, below_tmp: bool, by_link: bool) -> bool:
        """Tell whether root may use it.

        Args:
            below_tmp: root's own things in folders like /tmp may be used.
            by_link: so may links of root's.
        """
        above, link = ABOVE[self.above], LINKS[self.link]
        return (
            OWNERS[self.owner]
            and MODES[self.mode]
            and (below_tmp if above is None else above)
            and (by_link if link is None else link)
        )


def all_places() -> Iterator[Place]:
    """Yield every row."""
    for owner, mode, above, link in itertools.product(OWNERS, MODES, ABOVE, LINKS):
        yield Place(owner=owner, mode=mode, above=above, link=link)


def lay(place: Place, base: Path, name: str, content: str | None) -> Path:
    """Make the thing below an empty folder of root's and return the path that leads to it.

    Args:
        content: of a file; None for a folder.
    """
    folder = base / "above"
    folder.mkdir()
    thing = folder / name
    if content is None:
        thing.mkdir()
    else:
        thing.write_text(content, encoding="utf-8")
    return settle(place, base, thing, passable=content is None)


def settle(place: Place, base: Path, thing: Path, *, passable: bool = False) -> Path:
    """Give the thing and its folder their owners and modes, and return the path to it.

    Args:
        passable: whoever may read it may also pass or execute it.
    """
    may_pass = (place.mode & 0o444) >> 2 if passable else 0
    thing.chmod(place.mode | may_pass)
    os.chown(thing, place.owner, 0)
    os.chown(thing.parent, place.above[0], 0)
    thing.parent.chmod(place.above[1])
    if place.link is None:
        return thing
    (base / "door").mkdir()
    link = base / "door" / thing.name
    link.symlink_to(thing)
    os.chown(link, place.link, 0, follow_symlinks=False)
    return link

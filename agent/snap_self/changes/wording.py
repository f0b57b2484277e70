"""What a transaction is called: the ``--before`` text of its snapshot."""

from __future__ import annotations

from snap_self.model.packages import CHANGE
from snap_self.model.shown import is_printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from snap_self.model.packages import Package, Transaction

# A tag's value may be this long, and the text is to stay whole in it.
MAX_TEXT = 128
MAX_NAMED = 4
MAX_NAME = 60


def before_text(transaction: Transaction, first: Sequence[Package] = ()) -> str:
    """Return words such as ``apt: upgrade linux-image-6.1.0-28, libc6 and 14 more``.

    Args:
        first: packages to be named, since they are why there is a snapshot; if there are none,
            any are.
    """
    count = len({package.name for package in transaction.packages})
    packages = tuple(first) or transaction.packages
    prefix = f"{_printable(transaction.program)}: "
    if transaction.release_upgrade:
        prefix += "release upgrade: "
    for named in range(MAX_NAMED, 0, -1):
        text = prefix + _listed(packages, named, count)
        if len(text) <= MAX_TEXT:
            return text
    return text[: MAX_TEXT - 1].rstrip() + "…"


def _listed(packages: Sequence[Package], most: int, count: int) -> str:
    shown: list[tuple[str, str]] = []
    for package in packages:
        name = _printable(package.name)
        if len(shown) < most and name not in (each for _, each in shown):
            shown.append((package.action, name))
    if not shown:
        return "a change that could not be read"
    # Those of one action beside each other, so that each verb stands once.
    verbs = list(dict.fromkeys(action for action, _ in shown))
    parts = [_joined(verb, [name for action, name in shown if action == verb]) for verb in verbs]
    more = count - len(shown)
    return ", ".join(parts) + (f" and {more} more" if more else "")


def _joined(verb: str, names: Sequence[str]) -> str:
    return f"{verb if verb != CHANGE else 'change'} {', '.join(names)}"


def _printable(text: str) -> str:
    # What `check_before` refuses must not stand in it, nor what a tag cannot hold.
    kept = "".join(char if char <= "\uffff" and is_printable(char) else "?" for char in text)
    return kept.replace("://", ":/")[:MAX_NAME]

"""What the plugin in dnf 4 says of a transaction, and the answer to it.

The plugin runs in dnf's own Python (3.6 on EL8) and cannot import the agent: it starts the agent as
a child and writes one JSON object to it. An item is four texts, as dnf names them::

    {"v": 1, "program": "/usr/bin/dnf", "arguments": ["upgrade"], "root": "/",
     "items": [["Upgrade", "bash", "x86_64", "5.1.8-9.el9"], ["Upgraded", "bash", …]]}

What stops dnf is raised by the plugin when this process ends with the status for it. The joining of
old and new versions is also what dnf 5 and yum need.
"""

from __future__ import annotations

from snap_self.changes.conversation import Conversation
from snap_self.changes.json_text import parse_json
from snap_self.model.packages import (
    CHANGE,
    DOWNGRADE,
    INSTALL,
    REINSTALL,
    REMOVE,
    UPGRADE,
    Package,
    Transaction,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

# What an item that leaves the system is; beside these the words of ``model.packages``.
REPLACED = "replaced"  # something of its name comes in its place
ERASED = "erased"  # replaced or removed: the manager uses one word for both
GONE = (REMOVE, REPLACED, ERASED)
KEPT = ""  # only the reason why it is installed changes

# https://github.com/rpm-software-management/libdnf/blob/dnf-4-master/libdnf/transaction/
# TransactionItem.cpp: never translated.
WORDS = {
    "Install": INSTALL,
    "Upgrade": UPGRADE,
    "Upgraded": REPLACED,
    "Downgrade": DOWNGRADE,
    "Downgraded": REPLACED,
    "Reinstall": REINSTALL,
    "Reinstalled": REPLACED,
    "Obsolete": INSTALL,
    "Obsoleted": REPLACED,
    "Removed": REMOVE,
    "Reason Change": KEPT,
}
PROGRAMS = ("dnf", "yum", "dnf-automatic")


class Item:
    """One line of a transaction as the rpm world tells it: a package comes, or goes.

    Args:
        kind: an action of ``model.packages``, or one of this module's words.
        version: epoch, version and release; no epoch where it is zero.
    """

    __slots__ = ("arch", "kind", "name", "version")

    def __init__(self, kind: str, name: str, arch: str, version: str) -> None:
        self.kind = kind
        self.name = name
        self.arch = arch
        self.version = version.removeprefix("0:")


class DnfConversation(Conversation):
    """One call by the plugin in dnf 4."""

    program = "dnf"
    words = WORDS

    def transaction(self) -> Transaction | None:
        """Read the plugin's object to its end."""
        return parse_event(self.stdin.read(), self.words, self.program)


def parse_event(data: bytes, words: Mapping[str, str], program: str) -> Transaction | None:
    """Return what a plugin announced; None where it changes no package.

    Args:
        words: what the manager calls an item, and which kind that is.
        program: the caller's name where the plugin tells none that is known.

    Raises:
        ValueError: it is not what the plugin writes.
    """
    event: Any = parse_json(data.decode("utf-8", "replace"))
    listed: Any = event.get("items") if isinstance(event, dict) else None
    must(isinstance(listed, list), f"the event of {program}: `items` is not a list")
    items = [_item(entry, f"items[{index}]", words) for index, entry in enumerate(listed)]
    packages = join(items)
    if not packages:
        return None
    called = str(event.get("program") or "").rpartition("/")[2].removesuffix("-3")
    name = called if called in PROGRAMS else program
    given = event.get("arguments")
    arguments = [printable(str(text)) for text in given] if isinstance(given, list) else []
    return Transaction(
        "dnf",
        packages,
        program=name,
        command=command_line(name, arguments) if arguments else "",
        root=str(event.get("root") or "/"),
        release_upgrade=is_release_upgrade(arguments),
    )


def printable(text: str) -> str:
    """Return a text that every terminal and file can take; arguments may be any bytes."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def is_release_upgrade(arguments: Sequence[str]) -> bool:
    """Tell from a command line of dnf whether the system goes to another release."""
    return any(
        argument == "system-upgrade" or argument.startswith("--releasever")
        for argument in arguments
    )


def must(true: object, otherwise: str) -> None:
    """Refuse what a manager said unless something is true.

    Raises:
        ValueError: it is not; the message is ``otherwise``.
    """
    if not true:
        raise ValueError(otherwise)


def _item(entry: Any, path: str, words: Mapping[str, str]) -> Item:
    must(
        isinstance(entry, list) and len(entry) == 4 and all(isinstance(e, str) for e in entry),
        f"{path} is not a list of four texts",
    )
    word, name, arch, version = map(printable, entry)
    must(name, f"{path} has no name")
    return Item(words.get(word, CHANGE), name, arch, version)


def join(items: Iterable[Item]) -> list[Package]:
    """Make one package of what comes and what goes in its place.

    Only an upgrade, a downgrade and a reinstallation take something's place. A kernel is installed
    beside the older ones, of which one may be removed in the same transaction.
    """
    coming: list[Item] = []
    going: dict[str, list[Item]] = {}
    for item in items:
        if item.kind in GONE:
            going.setdefault(item.name, []).append(item)
        elif item.kind != KEPT:
            coming.append(item)
    packages = [_arriving(item, going) for item in coming]
    renewed = {package.name for package in packages if package.action != INSTALL}
    for left in going.values():
        packages += [
            Package(item.name, REMOVE, arch=item.arch or None, old=item.version or None)
            for item in left
            if item.kind != REPLACED or item.name not in renewed
        ]
    return packages


def _arriving(item: Item, going: Mapping[str, list[Item]]) -> Package:
    old = None
    if item.kind in (UPGRADE, DOWNGRADE, REINSTALL, CHANGE):
        partner = _partner(item, going.get(item.name, []))
        if partner is not None:
            going[item.name].remove(partner)
            old = partner.version or None
        elif item.kind == REINSTALL:
            old = item.version or None
    return Package(item.name, item.kind, arch=item.arch or None, old=old, new=item.version or None)


def _partner(item: Item, candidates: Sequence[Item]) -> Item | None:
    """Return what an item takes the place of: of its architecture, else what changes that."""
    for kind in (REPLACED, ERASED):
        for candidate in candidates:
            if candidate.kind == kind and candidate.arch == item.arch:
                return candidate
    for candidate in candidates:
        if candidate.kind == REPLACED and "noarch" in (candidate.arch, item.arch):
            return candidate
    return None


def command_line(program: str, arguments: Sequence[str]) -> str:
    """Return what was typed, without what may be a secret.

    ``--setopt`` can carry a password, an address a user's name and password or a signature.
    """
    shown = [program]
    skip = False
    for argument in arguments:
        if skip:
            skip = False
        elif argument.startswith("--setopt"):
            skip = argument == "--setopt"
            shown.append("--setopt=…")
        else:
            shown.append(_without_secrets(argument))
    return " ".join(shown)


def _without_secrets(argument: str) -> str:
    scheme, separator, rest = argument.partition("://")
    if not separator:
        return argument
    for end in "?#":
        rest = rest.partition(end)[0]
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"

"""The process that reads what this machine is; started as ``python -c``.

It is a process of its own, since a file may lie where nobody answers: the agent leaves it behind
then, as it could not do with a thread. It loads little, and its work takes no time from the agent,
which waits for the cloud or loads its own modules meanwhile.

It is given one order on its standard input, and ends when that is closed. What it has read goes to
its standard output part by part, so that what is there at the end of the time is kept. A frame is
``(kind, part, value)``, packed as in ``system.disks.frames``.
"""

from __future__ import annotations

import _thread
import os

from snap_self.system.disks.frames import pack, unpack, write_whole
from snap_self.system.manifest.accounts import parse_groups, parse_users
from snap_self.system.manifest.diversions import parse_diversions
from snap_self.system.manifest.etc_files import (
    ETC,
    FIRST,
    HISTORIES,
    alternatives_of,
    read_etc,
    units_of,
)
from snap_self.system.manifest.json_text import json_text
from snap_self.system.manifest.kernel import BOOT, MOST_BOOT_NAMES, read_boot, read_kernel
from snap_self.system.manifest.mounts import LOCAL, below, fences, lasting, parse_mounts
from snap_self.system.manifest.packages import RPM_COMMAND, read_dpkg, read_pacman, read_rpm
from snap_self.system.manifest.plain_files import MOST_NAMES, Faults, Tree, read_file, text_of
from snap_self.system.manifest.programs import BesideCommands
from snap_self.system.manifest.sockets import read_listening

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from snap_self.ports import Commands

    Send = Callable[[str, str, bytes | str], None]
    Order = tuple[bytes, str, str]
    """Key of the hashes (none are made without), what stands before every path but the kernel's
    (empty for this machine), and whose packages there are."""

DATA, MISSING, DONE = "data", "missing", "done"
LONGEST_ORDER = 4096
# What is quick and what much hangs on comes first.
PARTS = (
    *("mounts", "kernel", "users", "groups", "diversions", "units", "alternatives"),
    *("packages", "files", "boot", "listening"),
)


def read_machine(order: Order, commands: Commands, send: Send) -> None:
    """Read all parts and send each as it is had."""
    reading = _Reading(order, commands, send)
    for part in _in_order(order):
        faults = Faults()
        try:
            reading.read(part, faults)
        except (OSError, ValueError, IndexError, OverflowError) as error:
            faults.add(part, f"cannot be read: {error}")
        if faults.words:
            send(MISSING, part, faults.words)
        send(DONE, part, "")


def _in_order(order: Order) -> tuple[str, ...]:
    """Return the parts; what rpm says comes last, as it takes longer than all the rest."""
    _, _, manager = order
    if manager != "rpm":
        return PARTS
    return (*(part for part in PARTS if part != "packages"), "packages")


class _Reading:
    """Reads the parts in their order: some are told from what those before have found."""

    def __init__(self, order: Order, commands: Commands, send: Send) -> None:
        self._key, self._root, self._manager = order
        self._commands = commands
        self._send = send
        self._fences: dict[str, str] = {}
        self._crossed: frozenset[str] = frozenset()
        self._first: dict[str, tuple[int, int, int, int, str, str]] = {}
        self._first_faults = Faults()

    def read(self, part: str, faults: Faults) -> None:
        """Read one part and send it."""
        if part == "files":
            self._files(faults)
        else:
            value: object = getattr(self, f"_{part}")(faults)
            if value:
                self._give(part, value)

    def _give(self, part: str, value: object) -> None:
        self._send(DATA, part, json_text([part, value]).encode())

    def _text(self, path: str, faults: Faults) -> str:
        return text_of(f"{self._root}{path}", faults)

    def _tree(self, *, seen: tuple[str, ...] = (), most: int = MOST_NAMES) -> Tree:
        return Tree(
            self._root,
            fences=self._fences,
            crossed=self._crossed,
            left_out=HISTORIES.union(seen),
            most=most,
        )

    def _mounts(self, faults: Faults) -> object:
        """Return the machine's mounts; find out where this process may not look.

        A service of systemd may have a mount table of its own, with more read-only mounts in it.
        """
        own = read_file("/proc/self/mountinfo")
        mounts = below(parse_mounts(own), self._root)
        self._fences = fences(mounts)
        self._crossed = frozenset(point for point, row in mounts.items() if row[1] in LOCAL)
        try:
            table = read_file("/proc/1/mountinfo")
        except OSError as error:
            table = own
            if not os.geteuid():
                faults.met("/proc/1/mountinfo", error)
        return lasting(below(parse_mounts(table), self._root))

    def _kernel(self, faults: Faults) -> object:
        return read_kernel(self._root, faults, boot=BOOT not in self._fences)

    def _users(self, faults: Faults) -> object:
        return parse_users(self._text("/etc/passwd", faults), self._text("/etc/group", faults))

    def _groups(self, faults: Faults) -> object:
        return parse_groups(self._text("/etc/group", faults))

    def _diversions(self, faults: Faults) -> object:
        folder = "/var/lib/dpkg"
        return parse_diversions(
            self._text(f"{folder}/diversions", faults), self._text(f"{folder}/statoverride", faults)
        )

    def _units(self, _: Faults) -> object:
        """Read the part of /etc first that units and alternatives are told from."""
        for top in FIRST:
            for found in read_etc(self._tree(), self._key, self._first_faults, top=top):
                self._first.update(found)
        return units_of(self._first, self._key)

    def _alternatives(self, _: Faults) -> object:
        return alternatives_of(self._first)

    def _packages(self, faults: Faults) -> object:
        if self._manager == "rpm":
            return read_rpm(self._commands, faults)
        if self._manager == "pacman":
            return read_pacman(self._root, faults)
        return read_dpkg(self._root, faults) if self._manager else {}

    def _files(self, faults: Faults) -> None:
        self._give("files", self._first)
        for found in read_etc(self._tree(seen=FIRST), self._key, faults, top=ETC):
            self._give("files", found)
        faults.take(self._first_faults)

    def _boot(self, faults: Faults) -> object:
        return read_boot(self._tree(most=MOST_BOOT_NAMES), faults)

    def _listening(self, faults: Faults) -> object:
        return read_listening(faults)


def main() -> None:
    """Take one order, answer it, and end; end at once when standard input is closed."""
    given = bytearray(os.read(0, LONGEST_ORDER))
    for order in unpack(given):
        commands = BesideCommands()
        if order[2] == "rpm":
            commands.begin(RPM_COMMAND)
        _thread.start_new_thread(_answer, (order, commands))
        while os.read(0, LONGEST_ORDER):
            pass
        commands.end()
    os._exit(0)  # threads that hang are not waited for


def _answer(order: Order, commands: Commands) -> None:
    try:
        read_machine(order, commands, lambda *frame: write_whole(1, pack(frame)))
    finally:
        os._exit(0)

"""The conversation with dnf 5: requests and replies in JSON with the plugin ``actions`` of libdnf5.

This program asks, the plugin answers; objects are separated by any white space or by nothing. The
list of packages has the old and the new one of an upgrade as two entries. ``stop`` gets no reply:
the plugin closes both pipes and dnf ends with the message.

Source: https://dnf5.readthedocs.io/en/latest/libdnf5_plugins/actions.8.html
"""

from __future__ import annotations

from snap_self.changes.conversation import STOP_STATUS, Conversation
from snap_self.changes.dnf import (
    ERASED,
    KEPT,
    REPLACED,
    Item,
    is_release_upgrade,
    join,
    must,
    printable,
)
from snap_self.changes.dnf import command_line as shown_command
from snap_self.changes.json_text import WHITE_SPACE, scan_json
from snap_self.model.packages import (
    CHANGE,
    DOWNGRADE,
    INSTALL,
    REINSTALL,
    UPGRADE,
    Transaction,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, BinaryIO

PROGRAM = "dnf5"
# Set by the line in the actions file for a plugin that cannot yet speak JSON: its standard output
# takes other words, and nobody tells which packages there are.
MODE_VARIABLE = "SNAP_SELF_DNF5"
PLAIN = "plain"
ACTIONS = {
    "I": INSTALL,
    "U": UPGRADE,
    "D": DOWNGRADE,
    "R": REINSTALL,
    "E": ERASED,
    "O": REPLACED,
    "?": KEPT,
}
ATTRIBUTES = ("action", "direction", "name", "evr", "arch")
_WANTED = '", "'.join(ATTRIBUTES)
# Every change asks this; `json` to write it would take as long to load as the rest of the hook.
LISTING = f'{{"op": "get", "domain": "trans_packages", "args": {{"output": ["{_WANTED}"]}}}}'
READ_BYTES = 65536
# 10,000 packages are about 1 Mi.
MAX_REPLY = 64 << 20


class Dnf5Conversation(Conversation):
    """One call by the plugin ``actions`` of libdnf5."""

    @property
    def _plain(self) -> bool:
        return self.env.get(MODE_VARIABLE) == PLAIN

    def transaction(self) -> Transaction | None:
        """Ask for the packages; without JSON nothing is known of them but that there are some."""
        program, arguments = self._caller()
        command = shown_command(program, arguments) if arguments else ""
        upgrade = is_release_upgrade(arguments)
        if self._plain:
            self.can_veto = self.ends_interrupted = False
            return Transaction(
                "dnf",
                (),
                program=program,
                command=command,
                truncated=True,
                release_upgrade=upgrade,
            )
        write_text(self.stdout, LISTING)
        items = parse_listing(ObjectReader(self.stdin).next())
        packages = join(items)
        if not packages:
            return None
        return Transaction(
            "dnf", packages, program=program, command=command, release_upgrade=upgrade
        )

    def _caller(self) -> tuple[str, Sequence[str]]:
        """Return the program that uses libdnf5, and its arguments."""
        pid = self.outside.parent_pid()
        for _ in range(4):  # the guard and its shell are between
            name = self.outside.executable(pid).rpartition("/")[2]
            if name.startswith(("dnf", "packagekitd")):
                return name, [printable(text) for text in self.outside.arguments(pid)[1:]]
            pid = self.outside.parent_of(pid)
        return PROGRAM, ()

    def stop(self, reason: str) -> int:
        """Stop dnf with a message; the exit status says it too, should the pipe be gone."""
        if not self._plain:
            import json

            from snap_self.model.shown import printable

            message = f"snap-self: {printable(' '.join(reason.split()))}"
            write_text(self.stdout, json.dumps({"op": "stop", "args": {"message": message}}))
        return STOP_STATUS


def write_text(stream: BinaryIO, text: str) -> None:
    """Write an object's text in one piece: half of it would be a fault in the plugin's eyes."""
    try:
        stream.write(text.encode() + b"\n")
        stream.flush()
    except OSError:
        return  # the plugin closed the pipes; there is nobody to tell


class ObjectReader:
    """Reads JSON objects from a stream that may cut them anywhere."""

    def __init__(self, stream: BinaryIO) -> None:
        import codecs

        self._stream = stream
        self._text = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def next(self) -> Mapping[str, Any]:
        """Return the next object.

        Raises:
            ValueError: the stream ended, or what came is no object.
        """
        found = self._take()
        while found is None:
            block = _read_some(self._stream)
            must(block, "dnf5 ended the conversation before its reply was whole")
            self._held += self._text.decode(block)
            must(len(self._held) <= MAX_REPLY, "dnf5's reply is longer than 64 Mi characters")
            found = self._take()
        return found

    def _take(self) -> Mapping[str, Any] | None:
        """Cut a whole object off what is held; None where it is not whole yet."""
        self._held = self._held.lstrip(WHITE_SPACE)
        if not self._held:
            return None
        must(self._held.startswith("{"), "dnf5's reply is not a JSON object")
        scanned = scan_json(self._held) or _scan_again(self._held)
        if scanned is None:
            return None
        found: Mapping[str, Any] = scanned[0]
        self._held = self._held[scanned[1] :]
        return found


def _scan_again(text: str) -> tuple[Any, int] | None:
    """Return what a text begins with, and where that ends; None where it is not whole yet.

    Raises:
        ValueError: it is whole, and not JSON.
    """
    rest = text.rstrip(WHITE_SPACE)
    # Only what ends like an object can be known to be wrong and not unfinished.
    if not rest.endswith("}"):
        return None
    import json

    try:
        return json.JSONDecoder().raw_decode(text)
    except json.JSONDecodeError as error:
        cut = error.pos >= len(rest) or _is_open_string(rest[error.pos :])
        must(cut, f"dnf5's reply is not JSON: {error.msg}")
        return None


def _is_open_string(text: str) -> bool:
    """Tell whether a text begins with a string of JSON whose closing quote is still to come."""
    return text.startswith('"') and text.replace(r"\\", "").replace(r"\"", "").count('"') == 1


def _read_some(stream: BinaryIO) -> bytes:
    """Read what is there: a plain ``read`` of a buffered stream waits until it has all."""
    read: Any = getattr(stream, "read1", stream.read)
    block: bytes = read(READ_BYTES)
    return block


def parse_listing(reply: Mapping[str, Any]) -> list[Item]:
    """Return the items of the reply that lists the transaction's packages.

    Raises:
        ValueError: it is another reply, or has another shape.
    """
    message = " ".join(str(reply.get("message") or "").split())[:200]
    must(reply.get("status") == "OK", f"dnf5 refused to list the packages: {message}")
    returned = reply.get("return")
    listed: Any = returned.get("trans_packages") if isinstance(returned, dict) else None
    must(isinstance(listed, list), "dnf5's reply: return.trans_packages is not a list")
    return [_item(entry, f"return.trans_packages[{i}]") for i, entry in enumerate(listed)]


def _item(entry: Any, path: str) -> Item:
    must(isinstance(entry, dict), f"dnf5's reply: {path} is not an object")
    action, direction, name, version, arch = (
        printable(str(entry.get(key) or "")) for key in ATTRIBUTES
    )
    must(name, f"dnf5's reply: {path}.name is missing")
    unknown = ERASED if direction == "OUT" else CHANGE
    return Item(ACTIONS.get(action, unknown), name, arch, version)

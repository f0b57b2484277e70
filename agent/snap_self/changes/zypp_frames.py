"""The frames in which libzypp speaks with its plugins.

A frame is a command line, header lines ``key:value``, an empty line, a body and one NUL.

Source: libzypp, ``zypp-core/zypp/PluginFrame.cc``.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

NUL = b"\0"
READ_BYTES = 65536
# A list of all packages of a big machine is 2 MiB.
MAX_FRAME_BYTES = 64 << 20
LENGTH_HEADER = "content-length"
_ESCAPES = {"n": "\n", "r": "\r", "c": ":", "\\": "\\"}


class Frame:
    """One message of libzypp."""

    __slots__ = ("body", "command", "headers")

    def __init__(self, command: str, headers: Mapping[str, str], body: bytes = b"") -> None:
        self.command = command
        self.headers = headers
        self.body = body


class FrameReader:
    """Cuts a stream into frames, however the stream cuts them."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._held = bytearray()

    def next(self) -> Frame | None:
        """Return the next frame; None at the end of the stream, also inside a frame.

        Raises:
            ValueError: what came is no frame.
        """
        end = self._find(b"\n\n", NUL)
        if end is None:
            return None
        if self._held[end : end + 1] == NUL:  # neither an empty line nor a body
            return _parse_frame(self._take(end + 1)[:-1])
        frame = _parse_frame(self._take(end + 2)[:-2])
        length = frame.headers.get(LENGTH_HEADER)
        size = self._find(NUL) if length is None else self._reach(_length(length))
        if size is None:
            return None
        frame.body = self._take(size + 1)[:-1]
        return frame

    def _find(self, *marks: bytes) -> int | None:
        """Return where the first of some marks is, reading on until there is one."""
        seen = 0
        while True:
            found = [at for mark in marks if (at := self._held.find(mark, seen)) >= 0]
            if found:
                return min(found)
            seen = max(0, len(self._held) - 1)
            if not self._more():
                return None

    def _reach(self, size: int) -> int | None:
        while len(self._held) <= size:
            if not self._more():
                return None
        if self._held[size : size + 1] != NUL:
            raise ValueError(f"no NUL after the {size} bytes of a {LENGTH_HEADER}")
        return size

    def _take(self, size: int) -> bytes:
        taken = bytes(self._held[:size])
        del self._held[:size]
        return taken

    def _more(self) -> bool:
        if len(self._held) > MAX_FRAME_BYTES:
            raise ValueError(f"a frame of more than {MAX_FRAME_BYTES >> 20} MiB")
        read = getattr(self._stream, "read1", self._stream.read)
        chunk: bytes = read(READ_BYTES)
        self._held += chunk
        return bool(chunk)


def unescape(text: str) -> str:
    r"""Return a header's text with ``\n``, ``\r``, ``\c`` and ``\\`` replaced."""
    if "\\" not in text:
        return text
    parts = text.split("\\")
    out = [parts[0]]
    rest = iter(parts[1:])
    for part in rest:
        if part:
            out.append(_ESCAPES.get(part[0], "\\" + part[0]) + part[1:])
        else:  # a backslash that is escaped; what follows it is plain
            out.append("\\" + next(rest, ""))
    return "".join(out)


def escape(text: str) -> str:
    """Return a header's text as it is sent."""
    text = text.replace("\\", "\\\\")
    return text.replace("\n", "\\n").replace("\r", "\\r").replace(":", "\\c")


def _parse_frame(head: bytes) -> Frame:
    lines = head.decode("utf-8", "surrogateescape").split("\n")
    headers = {}
    for line in lines[1:]:
        key, colon, value = line.partition(":")
        if not colon:
            raise ValueError(f"the header {line[:80]!r} has no colon")
        headers[unescape(key)] = unescape(value)
    if not lines[0]:
        raise ValueError("a frame without a command")
    return Frame(lines[0], headers)


def _length(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{LENGTH_HEADER} is {text[:80]!r}")
    size = int(text)
    if size > MAX_FRAME_BYTES:
        raise ValueError(f"{LENGTH_HEADER} is {size}")
    return size

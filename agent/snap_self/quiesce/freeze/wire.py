"""The messages between agent, guardian and understudy: all have one size, nothing is pickled.

A message is shorter than ``PIPE_BUF``, so a pipe never splits one (pipe(7)), and a read of that
size gives one message. This module is loaded into locked memory. ``typing`` and ``dataclasses``
would cost 3 MiB there (measured), so it has plain classes.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct

_LAYOUT = Struct("<BBHiQQ")
SIZE = _LAYOUT.size
# signalfd_siginfo (linux/signalfd.h): signal, errno, code, then the sender's process id.
_SENDER = Struct("=12xi")


class Kind(IntEnum):
    """What a message says; the comments name its other fields."""

    # agent to guardian
    FREEZE = 1  # number: longest hold in ms, first: longest sync in ms
    THAW = 2
    # guardian to understudy
    SYNC = 16
    FREEZE_ONE = 17  # index
    RELEASED = 18  # index: thawed by the guardian, no longer the understudy's to thaw
    WARM = 19  # number: longest hold in ms
    # understudy to guardian, passed on to the agent
    SYNCED = 32  # first, second: start and end in ns
    SYNC_REFUSED = 33  # index, number: errno
    FROZEN = 34  # index, first, second
    REFUSED = 35  # index, number: errno
    WARMED = 36  # index, number: how many times, first, second: the first time
    # guardian or understudy to agent
    READY = 48  # number: bits of Readiness, first: the understudy's process id
    HELD = 49  # all filesystems are frozen
    THAWED = 50  # index, number: errno or 0, first, second
    STUCK = 51  # index: its freeze call does not return; the others are thawed
    DONE = 52  # cause, number: the process that sent the signal, 0 if not known


class Cause(IntEnum):
    """Why a freeze ended."""

    NONE = 0
    ASKED = 1
    DEADLINE = 2
    AGENT_GONE = 3
    TERMINATED = 4
    HUNG_UP = 5
    FREEZE_REFUSED = 6
    SYNC_REFUSED = 7
    SYNC_LATE = 8
    UNDERSTUDY_GONE = 9
    GUARDIAN_GONE = 10
    GUARDIAN_STUCK = 11


class Readiness(IntEnum):
    """Bits of a READY message: what the guardian could do for its own safety."""

    MEMORY_LOCKED = 1
    OOM_EXEMPT = 2


class WireError(ValueError):
    """Bytes that are not a message; the text says which rule they break."""


class Message:
    """One message.

    Args:
        index: place of the filesystem in the freeze order.
        number: an errno, a duration in ms or bits, by kind.
        first: start in ns of CLOCK_BOOTTIME, or by kind.
        second: end in ns of CLOCK_BOOTTIME.
    """

    __slots__ = ("cause", "first", "index", "kind", "number", "second")

    def __init__(
        self,
        kind: Kind,
        *,
        cause: Cause = Cause.NONE,
        index: int = 0,
        number: int = 0,
        first: int = 0,
        second: int = 0,
    ) -> None:
        self.kind = kind
        self.cause = cause
        self.index = index
        self.number = number
        self.first = first
        self.second = second

    def encode(self) -> bytes:
        """Return the message's bytes, ``SIZE`` of them."""
        return _LAYOUT.pack(self.kind, self.cause, self.index, self.number, self.first, self.second)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Message) and self.encode() == other.encode()

    def __hash__(self) -> int:
        return hash(self.encode())

    def __repr__(self) -> str:
        return (
            f"Message({self.kind.name}, cause={self.cause.name}, index={self.index}, "
            f"number={self.number}, first={self.first}, second={self.second})"
        )


def sender_of(data: bytes) -> int:
    """Return the process that sent the signal in a signalfd's data; 0 if not known."""
    return int(_SENDER.unpack_from(data)[0]) if len(data) >= _SENDER.size else 0


def decode(data: bytes) -> Message:
    """Return the message in ``data``.

    Raises:
        WireError: wrong size, unknown kind or unknown cause.
    """
    if len(data) != SIZE:
        raise WireError(f"a message has {SIZE} bytes, not {len(data)}")
    kind, cause, index, number, first, second = _LAYOUT.unpack(data)
    try:
        return Message(
            Kind(kind), cause=Cause(cause), index=index, number=number, first=first, second=second
        )
    except ValueError:
        raise WireError(f"unknown kind {kind} or cause {cause}") from None


def marker_owner(guardian_pid: int) -> bytes:
    """Return a text that a marker contains if it belongs to that guardian's freeze."""
    return b'"guardian_pid": %d,' % guardian_pid


class HeldMount:
    """A mount held open by a descriptor, and what that descriptor must still be when it is used.

    Args:
        fd: directory descriptor, the same in agent, guardian and understudy.
        mount_id: ``mnt_id`` of the descriptor's fdinfo.
        device: ``st_dev`` of the descriptor, encoded as by makedev(3).
        listed_device: ``major:minor`` in mountinfo; differs from ``device`` on btrfs.
        rank: mounts of one rank are frozen in parallel, after all mounts of lower ranks.
    """

    __slots__ = ("device", "fd", "listed_device", "mount_id", "rank")

    def __init__(
        self, *, fd: int, mount_id: int, device: int, listed_device: str, rank: int = 0
    ) -> None:
        self.fd = fd
        self.mount_id = mount_id
        self.device = device
        self.listed_device = listed_device
        self.rank = rank

    def encode(self) -> str:
        """Return it as one argument of the guardian's command line."""
        return f"{self.fd},{self.mount_id},{self.device},{self.listed_device},{self.rank}"


def decode_mount(text: str) -> HeldMount:
    """Return the mount that ``HeldMount.encode`` wrote.

    Raises:
        WireError: it does not have that form.
    """
    parts = text.split(",")
    if len(parts) != 5 or not all(part.isdecimal() for part in (*parts[:3], parts[4])):
        raise WireError(f"not a mount of the guardian's command line: {text!r}")
    return HeldMount(
        fd=int(parts[0]),
        mount_id=int(parts[1]),
        device=int(parts[2]),
        listed_device=parts[3],
        rank=int(parts[4]),
    )

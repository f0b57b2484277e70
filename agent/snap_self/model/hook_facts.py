"""What a hook of a package manager learns of the machine; nothing slow is imported."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Facts:
    """What decides it, as an adapter reads it from the machine.

    Args:
        variable: value of ``SNAP_SELF_SKIP``.
        told: why the package manager was told that no snapshot is wanted; else empty.
        root: the root that the packages go to.
        skip_until: what ``/run/snap-self/skip-until`` says: seconds since 1970; 0 for nothing.
        now: the same, of now.
        container: by what it is known that this is one; else empty.
        chroot: ``/`` is not that of process 1.
        building: by what it is known that an image is being built; else empty.
        product: what the firmware calls the machine.
        metadata_named: the configuration or environment names a metadata service.
        stopping: the system is being shut down, or updates itself before it starts.
    """

    __slots__ = (
        "building",
        "chroot",
        "container",
        "metadata_named",
        "now",
        "product",
        "root",
        "skip_until",
        "stopping",
        "told",
        "variable",
    )

    def __init__(
        self,
        *,
        variable: str = "",
        told: str = "",
        root: str = "/",
        skip_until: float = 0.0,
        now: float = 0.0,
        container: str = "",
        chroot: bool = False,
        building: str = "",
        product: str = "",
        metadata_named: bool = False,
        stopping: bool = False,
    ) -> None:
        self.variable = variable
        self.told = told
        self.root = root
        self.skip_until = skip_until
        self.now = now
        self.container = container
        self.chroot = chroot
        self.building = building
        self.product = product
        self.metadata_named = metadata_named
        self.stopping = stopping


class Ancestor:
    """One process above the hook.

    Args:
        started: in the kernel's ticks since boot.
        name: as the kernel calls it.
        arguments: its command line.
    """

    __slots__ = ("arguments", "name", "pid", "started")

    def __init__(self, pid: int, started: int, name: str, arguments: Sequence[str] = ()) -> None:
        self.pid = pid
        self.started = started
        self.name = name
        self.arguments = tuple(arguments)

    @property
    def key(self) -> str:
        """What tells it from every other process of this boot."""
        return f"{self.pid}:{self.started}"


class Kept:
    """What came of an earlier call.

    Args:
        key: of the action that it was a part of.
        at: when it ended, in seconds since boot.
        run_id: the run whose snapshot covers it; empty where none was made.
        took_s: how long it was held up.
        text: what failed, or what the snapshot was for.
    """

    __slots__ = ("at", "key", "run_id", "text", "took_s")

    def __init__(self, key: str, at: float, *, run_id: str, took_s: float, text: str) -> None:
        self.key = key
        self.at = at
        self.run_id = run_id
        self.took_s = took_s
        self.text = text


class JobEnd:
    """How the process that makes a snapshot ended.

    Args:
        ending: its exit status, or a word for another ending (``changes.policy``).
        number: the signal that asked the hook to end; 0 for none.
        out: what it wrote to standard output.
        err: the end of what it wrote to standard error.
        took_s: how long it took.
    """

    __slots__ = ("ending", "err", "number", "out", "took_s")

    def __init__(
        self,
        ending: int | str,
        *,
        number: int = 0,
        out: bytes = b"",
        err: bytes = b"",
        took_s: float = 0.0,
    ) -> None:
        self.ending = ending
        self.number = number
        self.out = out
        self.err = err
        self.took_s = took_s

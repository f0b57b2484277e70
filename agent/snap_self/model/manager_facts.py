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
        container_sure: more than one mark says so, or the kernel itself.
        chroot: ``/`` is not that of process 1.
        building: by what it is known that an image is being built; else empty.
        product: what the firmware calls the machine; None if it cannot be asked.
        metadata_named: the configuration or environment names a metadata service.
        stopping: the system is being shut down, or updates itself before it starts.
    """

    __slots__ = (
        "building",
        "chroot",
        "container",
        "container_sure",
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
        container_sure: bool = False,
        chroot: bool = False,
        building: str = "",
        product: str | None = "",
        metadata_named: bool = False,
        stopping: bool = False,
    ) -> None:
        self.variable = variable
        self.told = told
        self.root = root
        self.skip_until = skip_until
        self.now = now
        self.container = container
        self.container_sure = container_sure
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
        stdin: what its standard input is, as /proc names it; empty if that is not known.
        terminal: a terminal controls it; also where that is not known.
    """

    __slots__ = ("arguments", "name", "pid", "started", "stdin", "terminal")

    def __init__(
        self,
        pid: int,
        started: int,
        name: str,
        arguments: Sequence[str] = (),
        *,
        stdin: str = "",
        terminal: bool = True,
    ) -> None:
        self.pid = pid
        self.started = started
        self.name = name
        self.arguments = tuple(arguments)
        self.stdin = stdin
        self.terminal = terminal

    @property
    def key(self) -> str:
        """What tells it from every other process of this boot."""
        return f"{self.pid}:{self.started}"


class Mounted:
    """One mount of the machine.

    Args:
        fstype: as the kernel calls it.
    """

    __slots__ = ("fstype", "path")

    def __init__(self, path: str, fstype: str) -> None:
        self.path = path
        self.fstype = fstype


class Asked:
    """A snapshot that the cloud was asked for, and whose cut was not seen.

    Args:
        ids: the snapshots, or their group, as far as they are known.
        why: the cut was not seen; empty where that is not known.
    """

    __slots__ = ("ids", "run_id", "why")

    def __init__(self, run_id: str, ids: Sequence[str], *, why: str = "") -> None:
        self.run_id = run_id
        self.ids = tuple(ids)
        self.why = why


# What came of a call: the snapshot was made; it was asked for, and no cut was seen; there is none.
# Either of the first two was looked for by a later call, which learned nothing.
MADE = "made"
ASKED = "asked"
FAILED = "failed"
MADE_DOUBTED = "made-doubted"
ASKED_DOUBTED = "asked-doubted"
STANDINGS = (MADE, ASKED, FAILED, MADE_DOUBTED, ASKED_DOUBTED)
DOUBTED = (MADE_DOUBTED, ASKED_DOUBTED)


class Kept:
    """What came of an earlier call.

    Args:
        key: of the action that it was a part of.
        at: when it ended, in seconds since boot.
        run_id: the run whose snapshot covers it; empty where none was asked for.
        took_s: how long it was held up.
        text: what failed, why no cut was seen, or what the snapshot was for.
        standing: one of ``STANDINGS``; empty for what the run id tells.
        ids: of a snapshot whose cut was not seen.
    """

    __slots__ = ("at", "ids", "key", "run_id", "standing", "text", "took_s")

    def __init__(
        self,
        key: str,
        at: float,
        *,
        run_id: str,
        took_s: float,
        text: str,
        standing: str = "",
        ids: Sequence[str] = (),
    ) -> None:
        self.key = key
        self.at = at
        self.run_id = run_id
        self.took_s = took_s
        self.text = text
        self.standing = standing or (MADE if run_id else FAILED)
        self.ids = tuple(ids)

    @property
    def asked(self) -> Asked | None:
        """What was asked for and not seen; None where it was made, or none was asked for."""
        if self.standing in (ASKED, ASKED_DOUBTED):
            return Asked(self.run_id, self.ids, why=self.text)
        return None

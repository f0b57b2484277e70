"""A manifest: what this machine was when a run looked, as names and facts and never as contents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from snap_self.model.ids import RunId
from snap_self.model.packed import SCHEMA as SCHEMA
from snap_self.model.packed import Missing as Missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package that the manager's database knows.

    Args:
        state: ``installed``, or the database's own word for less than that (``unpacked``,
            ``half-configured``, …).
        held: the administrator asked that it be left at this version.
        automatic: it came as another package's dependency.
    """

    version: str
    state: str = "installed"
    held: bool = False
    automatic: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFact:
    """A name below /etc, without its content.

    Args:
        mode: ``st_mode``, whole: kind and permissions.
        size: bytes.
        digest: keyed BLAKE2b of the content, hex; ``mtime:NANOSECONDS`` where a file is too large
            to be read; empty where nothing was read.
        target: where a link points; empty for anything else.
    """

    mode: int
    uid: int
    gid: int
    size: int
    digest: str = ""
    target: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootFile:
    """A file below /boot, by size in bytes and time of change in nanoseconds."""

    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mounted:
    """What is mounted at a mount point, as ``mountinfo`` says it."""

    source: str
    fstype: str
    options: str


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """An account of /etc/passwd; ``groups`` are the names of those that list it, sorted."""

    uid: int
    gid: int
    shell: str
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Listening:
    """A socket that others can reach.

    Args:
        proto: ``tcp``, ``tcp6``, ``udp`` or ``udp6``.
        address: in its usual notation.
        program: the command name of a process that holds it; empty when none could be seen.
    """

    proto: str
    address: str
    port: int
    program: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What this machine was at one time.

    Args:
        taken: when the reading began, with its zone.
        key_id: which key the digests of ``files`` are of; those of two keys cannot be compared.
        complete: every part was read to its end.
        left_out: each part that was not, with the reason; what was read of it is kept.
        manager: ``dpkg``, ``rpm``, ``pacman``, or empty.
        packages: by name; with its architecture where several may be installed side by side.
        files: by absolute path below /etc.
        units: unit → ``enabled``, ``masked``, ``drop-ins:DIGEST``, …, by blanks.
        kernel: ``running``, ``cmdline`` and ``default``, those that are known.
        boot: by path relative to /boot.
        mounts: by mount point.
        users: by name.
        groups: name → gid.
        alternatives: link group → the path chosen.
        diversions: path → where it is diverted to, or the owner and mode that override it.
    """

    schema: int = SCHEMA
    run_id: RunId
    instance_id: str
    taken: datetime
    key_id: str
    complete: bool = True
    left_out: tuple[Missing, ...] = ()
    manager: str = ""
    packages: Mapping[str, Package] = field(default_factory=dict)
    files: Mapping[str, FileFact] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    kernel: Mapping[str, str] = field(default_factory=dict)
    boot: Mapping[str, BootFile] = field(default_factory=dict)
    mounts: Mapping[str, Mounted] = field(default_factory=dict)
    users: Mapping[str, User] = field(default_factory=dict)
    groups: Mapping[str, int] = field(default_factory=dict)
    listening: tuple[Listening, ...] = ()
    alternatives: Mapping[str, str] = field(default_factory=dict)
    diversions: Mapping[str, str] = field(default_factory=dict)

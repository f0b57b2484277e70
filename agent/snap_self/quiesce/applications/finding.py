"""Find which running applications have their data on the disks concerned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from snap_self.config.settings import ApplicationsSettings
from snap_self.errors import UsageError
from snap_self.model.applications import ApplicationSettings, ProcessFact, Use
from snap_self.model.disks import Coverage, Filesystem
from snap_self.model.machine import PathFact
from snap_self.ports import ProcessReader
from snap_self.quiesce.applications.base import (
    AbsentApplication,
    ApplicationQuiescer,
    Server,
    Tools,
)
from snap_self.quiesce.applications.registry import KINDS, Kind
from snap_self.quiesce.quiescer import Quiescer


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundApplications:
    """What is brought to rest.

    Args:
        quiescers: in the order in which they are started.
        notes: what was found and is left alone, a sentence each.
        doubts: what is switched on and may have data on the disks without being at rest.
    """

    quiescers: tuple[Quiescer, ...]
    notes: tuple[str, ...]
    doubts: tuple[str, ...] = ()


def find_applications(
    settings: ApplicationsSettings,
    processes: ProcessReader,
    coverage: Coverage,
    *,
    one_cut: bool,
    tools: Tools,
) -> FoundApplications:
    """Return the applications on the disks that get a snapshot.

    Args:
        one_cut: all those disks are cut at one instant.
    """
    names = frozenset(name for kind in KINDS for name in kind.programs)
    running = processes.named(names)
    quiescers: list[Quiescer] = []
    notes: list[str] = []
    doubts: list[str] = []
    for kind in KINDS:
        own: ApplicationSettings = getattr(settings, kind.key)
        servers, unsure = _servers(kind, settings, running, coverage=coverage, tools=tools)
        (notes if own.use is Use.OFF else doubts).extend(unsure)
        if own.use is Use.OFF:
            notes.extend(_left_alone(kind, data_dir) for _, data_dir in servers)
            continue
        if not servers and own.use is Use.ON:
            quiescers.append(AbsentApplication(kind.key, _ABSENT))
        if own.socket and len(servers) > 1:
            doubts.append(_one_socket(kind, own.socket, servers))
            servers = [each for each in servers if own.socket in each[0].sockets] or servers[:1]
        for process, data_dir in servers:
            server = Server(
                label=kind.key, process=process, data_dir=data_dir, settings=own, one_cut=one_cut
            )
            driver = kind.driver(server, tools)
            quiescers.append(
                ApplicationQuiescer(server.name, driver, tools.clock, timeout_s=settings.timeout_s)
            )
    return FoundApplications(quiescers=tuple(quiescers), notes=tuple(notes), doubts=tuple(doubts))


def _servers(
    kind: Kind,
    settings: ApplicationsSettings,
    running: Sequence[ProcessFact],
    *,
    coverage: Coverage,
    tools: Tools,
) -> tuple[list[tuple[ProcessFact, str]], list[str]]:
    """Return this kind's processes with their data directories, and doubts about others."""
    servers: list[tuple[ProcessFact, str]] = []
    doubts: list[str] = []
    for process in _own(kind, settings, running):
        data_dir = kind.data_dir(process)
        if not data_dir:
            doubts.append(
                f"{kind.title} (process {process.pid}) is running, but where its data lies cannot "
                "be told; it is left alone"
            )
            continue
        try:
            fact = tools.locate(process.pid, data_dir)
        except UsageError as error:
            doubts.append(f"{kind.title} (process {process.pid}) is left alone: {error.message}")
            continue
        if _is_covered(fact, coverage):
            servers.append((process, data_dir))
    return servers, doubts


def _own(
    kind: Kind, settings: ApplicationsSettings, running: Sequence[ProcessFact]
) -> Iterator[ProcessFact]:
    """Yield a kind's processes; ``mysqld`` is also what MariaDB was called before 10.5."""
    for process in running:
        is_both = process.name == "mysqld"
        belongs = "mysql" if settings.mariadb.use is Use.OFF else "mariadb"
        if settings.mysql.use is not Use.OFF:
            belongs = "mysql"
        if process.name in kind.programs and (not is_both or kind.key == belongs):
            yield process


def _is_covered(fact: PathFact, coverage: Coverage) -> bool:
    """Tell whether a path lies on what gets a snapshot.

    By the filesystem's device number where it is known: a service often has a mount namespace of
    its own, whose mounts have other ids.
    """
    return any(
        _holds(filesystem, fact) for target in coverage.targets for filesystem in target.filesystems
    )


def _holds(filesystem: Filesystem, fact: PathFact) -> bool:
    if fact.devno and filesystem.devno:
        return fact.devno == filesystem.devno
    if fact.mount_id is not None:
        return any(fact.mount_id == mount.mount_id for mount in filesystem.mounts)
    return any(
        fact.real == mount.path or fact.real.startswith(mount.path.rstrip("/") + "/")
        for mount in filesystem.mounts
    )


def _one_socket(kind: Kind, socket: str, servers: Sequence[tuple[ProcessFact, str]]) -> str:
    folders = ", ".join(data_dir for _, data_dir in servers)
    return (
        f"{kind.title} servers have their data in {folders}, and applications.{kind.key} names "
        f"{socket}, through which one of them is reached; leave the socket out, so that each is "
        "asked over its own"
    )


def _left_alone(kind: Kind, data_dir: str) -> str:
    return (
        f"{kind.title} has its data in {data_dir}, on a disk that gets a snapshot, and is not "
        f'brought to rest; applications.{kind.key} = "auto" switches that on'
    )


_ABSENT = "none is running with its data on the disks that get a snapshot"

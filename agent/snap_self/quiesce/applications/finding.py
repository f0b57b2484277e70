"""Find which running applications have their data on the disks concerned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from snap_self.config.settings import ApplicationsSettings
from snap_self.errors import UsageError
from snap_self.model.applications import ApplicationSettings, ProcessFact, Use
from snap_self.model.disks import Coverage
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
    """

    quiescers: tuple[Quiescer, ...]
    notes: tuple[str, ...]


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
    for kind in KINDS:
        own: ApplicationSettings = getattr(settings, kind.key)
        servers, doubts = _servers(kind, settings, running, coverage=coverage, tools=tools)
        notes.extend(doubts)
        if own.use is Use.OFF:
            notes.extend(_left_alone(kind, data_dir) for _, data_dir in servers)
            continue
        if not servers and own.use is Use.ON:
            quiescers.append(AbsentApplication(kind.key, _ABSENT))
        for process, data_dir in servers:
            server = Server(
                label=kind.key, process=process, data_dir=data_dir, settings=own, one_cut=one_cut
            )
            driver = kind.driver(server, tools)
            quiescers.append(
                ApplicationQuiescer(server.name, driver, tools.clock, timeout_s=settings.timeout_s)
            )
    return FoundApplications(quiescers=tuple(quiescers), notes=tuple(notes))


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
        elif _is_covered(process, data_dir, coverage=coverage, tools=tools):
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


def _is_covered(process: ProcessFact, data_dir: str, *, coverage: Coverage, tools: Tools) -> bool:
    try:
        fact = tools.locate(f"/proc/{process.pid}/root{data_dir}")
    except UsageError:
        return False
    return any(
        _holds(mount.mount_id, mount.path, fact)
        for target in coverage.targets
        for filesystem in target.filesystems
        for mount in filesystem.mounts
    )


def _holds(mount_id: int, path: str, fact: PathFact) -> bool:
    if fact.mount_id is not None:
        return fact.mount_id == mount_id
    return fact.real == path or fact.real.startswith(path.rstrip("/") + "/")


def _left_alone(kind: Kind, data_dir: str) -> str:
    return (
        f"{kind.title} has its data in {data_dir}, on a disk that gets a snapshot, and is not "
        f'brought to rest; applications.{kind.key} = "auto" switches that on'
    )


_ABSENT = "none is running with its data on the disks that get a snapshot"

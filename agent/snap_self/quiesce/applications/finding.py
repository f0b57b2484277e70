"""Find which servers of this machine have their data on the disks concerned.

A process with the right name is looked at only once it is proved to be a server of this machine:
what any other says or does is a note, whatever it calls itself.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from snap_self.config.settings import ApplicationsSettings
from snap_self.disks.mountinfo import parse_mountinfo
from snap_self.disks.overlay import upper
from snap_self.errors import UsageError
from snap_self.model.applications import ApplicationSettings, Use
from snap_self.model.disks import Coverage, Filesystem
from snap_self.model.identity import AccountRules, ProcessIdentity, unproved, unproved_inside
from snap_self.model.machine import PathFact
from snap_self.model.servers import ProcessFact, RestedServer
from snap_self.model.shown import shown
from snap_self.ports import ProcessReader
from snap_self.quiesce.applications.base import AGENT, HERE, Server, Tools, named_folder
from snap_self.quiesce.applications.quiescers import AbsentApplication, ApplicationQuiescer
from snap_self.quiesce.applications.registry import KINDS, Kind
from snap_self.quiesce.quiescer import Quiescer

MOST_NAMED = 5
# Whoever may start processes in a container may start thousands.
CONTAINERS_LIMIT_S = 5.0
MAX_OVERLAYS = 3


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
    search = _Search(settings, processes, coverage, tools)
    quiescers: list[Quiescer] = []
    for kind in KINDS:
        own = settings.kinds[kind.key]
        servers = search.servers(kind, own)
        if own.use is Use.OFF:
            search.notes += _first([_left_alone(kind, named_folder(*each)) for each in servers])
            continue
        if not servers and own.use is Use.ON:
            quiescers.append(AbsentApplication(kind.key, _ABSENT))
        if own.socket and len(servers) > 1:
            search.doubts.append(_one_socket(kind, own.socket, servers))
            servers = [each for each in servers if own.socket in each[0].sockets] or servers[:1]
        for process, data_dir in servers:
            server = Server(
                label=kind.key,
                process=process,
                data_dir=data_dir,
                settings=own,
                one_cut=one_cut,
                covers=search.covers,
            )
            quiescers.append(
                ApplicationQuiescer(
                    server.name,
                    kind.driver(server, tools),
                    tools.clock,
                    server=_named(server, tools),
                    timeout_s=settings.timeout_s,
                )
            )
    # A stranger may take all its time, and nothing of the machine's own is held for it meanwhile.
    quiescers.sort(key=lambda each: not _is_contained(each))
    return FoundApplications(
        quiescers=tuple(quiescers), notes=tuple(search.notes), doubts=tuple(search.doubts)
    )


def _is_contained(quiescer: Quiescer) -> bool:
    return isinstance(quiescer, ApplicationQuiescer) and quiescer.server.contained


class _Search:
    """Looks for servers, and notes what does not count as one."""

    def __init__(
        self,
        settings: ApplicationsSettings,
        processes: ProcessReader,
        coverage: Coverage,
        tools: Tools,
    ) -> None:
        self._settings = settings
        self._processes = processes
        self._coverage = coverage
        self._tools = tools
        self._rules: AccountRules = tools.accounts.rules()
        self._running = processes.named(frozenset(name for kind in KINDS for name in kind.programs))
        self._until = tools.clock.monotonic() + CONTAINERS_LIMIT_S
        self.notes: list[str] = []
        self.doubts: list[str] = []

    def servers(self, kind: Kind, own: ApplicationSettings) -> list[tuple[ProcessFact, str]]:
        """Return this kind's servers with their data directories on the disks concerned."""
        account = self._tools.accounts.uid_of(own.server_user) if own.server_user else None
        if own.server_user and account is None:
            self.doubts.append(
                f"applications.{kind.key}.server_user names {shown(own.server_user)}, an account "
                "that does not exist"
            )
            return []
        running = [each for each in self._running if _belongs(kind, self._settings, each)]
        known = map(self._tools.accounts.uid_of, kind.accounts)
        usual = frozenset(uid for uid in known if uid is not None)
        unsure = self.notes if own.use is Use.OFF else self.doubts
        found, others, late = [], [], 0
        left: list[str] = []
        inside = any(process.own_pids for process in running)
        for process in running:
            fact, why = self._prove(process, account, usual)
            if why:
                others.append(_other(process, why))
                if self._is_meant(process, account):
                    left.append(f"{kind.title} is left alone: {others[-1]}")
            elif fact is None:
                late += 1
            elif place := self._place(kind, fact, left):
                found.append((fact, place))
        if others and own.use is not Use.OFF:
            switch = "" if self._settings.containers or not inside else _SWITCH
            self.notes.append(f"{_not_counted(kind, others)}{switch}")
        if late:
            unsure.append(_late(kind, late))
        if own.use is not Use.OFF:
            left += [why for fact, _ in found for why in self._elsewhere(kind, fact)]
        unsure += _first(left)
        return found

    def _prove(
        self, process: ProcessIdentity, account: int | None, usual: Collection[int]
    ) -> tuple[ProcessFact | None, str]:
        """Return a server, or why it is none; neither where there was no time to look at it."""
        if self._settings.containers and self._processes.is_contained(process):
            if why := unproved_inside(process, self._rules, account=account):
                return None, why
            is_late = self._tools.clock.monotonic() >= self._until
            return (None if is_late else self._processes.look_inside(process)), ""
        if why := unproved(process, self._rules, account=account, usual=usual):
            return None, why
        fact = self._processes.look_at(process)
        return fact, fact.distrust

    def _is_meant(self, process: ProcessIdentity, account: int | None) -> bool:
        """Tell whether the configuration names the user of a container that does not count."""
        if not self._settings.containers or process.uid != account:
            return False
        return self._processes.is_contained(process)

    def covers(self, fact: PathFact, depth: int = 0) -> bool:
        """Tell whether what lies at a place gets a snapshot.

        What was written to an overlay lies where its upper layer does.

        Raises:
            UsageError: it lies on an overlay, and where that has its upper layer cannot be told.
        """
        if not fact.overlay or depth >= MAX_OVERLAYS:
            return _is_covered(fact, self._coverage)
        (mount,) = parse_mountinfo(fact.overlay, origin="/proc/self/mountinfo")
        folder = upper(mount)
        if not folder:  # nothing is written to it
            return _is_covered(fact, self._coverage)
        try:
            return self.covers(self._upper(folder), depth + 1)
        except UsageError:
            if _is_covered(fact, self._coverage):  # as the names of all its layers tell
                return True
            raise

    def _upper(self, folder: str) -> PathFact:
        """Return where an overlay's upper layer lies.

        Raises:
            UsageError: that cannot be told.
        """
        if not folder.startswith("/"):
            raise UsageError(f"its overlay names its upper layer by a relative path, {folder!r}")
        return self._tools.locate(AGENT, folder)

    def _elsewhere(self, kind: Kind, process: ProcessFact) -> Iterator[str]:
        """Yield a sentence for each folder with data files of a server's that gets no snapshot."""
        split = (posixpath.split(path) for path in process.files)
        for folder in sorted({place for place, name in split if kind.data_files.fullmatch(name)}):
            if process.contained and self._tools.clock.monotonic() >= self._until:
                yield (
                    f"{_named_process(kind, process)} has data in more folders than could be "
                    f"looked at within {CONTAINERS_LIMIT_S:g} s"
                )
                return
            # What was moved or removed since is not looked for.
            with suppress(UsageError):
                if not self.covers(self._tools.locate(process.pid, folder)):
                    yield (
                        f"{_named_process(kind, process)} has data in {shown(folder)}, on no "
                        "disk that gets a snapshot"
                    )

    def _place(self, kind: Kind, process: ProcessFact, unsure: list[str]) -> str:
        """Return a server's data directory if it lies on the disks concerned, else nothing."""
        name = _named_process(kind, process)
        data_dir = kind.data_dir(process)
        if not data_dir:
            unsure.append(
                f"{name} is running, but where its data lies cannot be told; it is left alone"
            )
            return ""
        if process.contained and data_dir == process.cwd:
            data_dir = HERE  # by no name, which could be another's by now
        try:
            covered = self.covers(self._tools.locate(process.pid, data_dir))
        except UsageError as error:
            unsure.append(f"{name} is left alone: {error.message}")
            return ""
        if covered and process.contained and not kind.in_containers:
            unsure.append(f"{name} is left alone: a hook may bring it to rest")
            return ""
        return data_dir if covered else ""


def _belongs(kind: Kind, settings: ApplicationsSettings, process: ProcessIdentity) -> bool:
    """Tell whether a process is of a kind; ``mysqld`` is also what MariaDB was called once."""
    is_both = process.name == "mysqld"
    belongs = "mysql" if settings.kinds["mariadb"].use is Use.OFF else "mariadb"
    if settings.kinds["mysql"].use is not Use.OFF:
        belongs = "mysql"
    return process.name in kind.programs and (not is_both or kind.key == belongs)


def _named(server: Server, tools: Tools) -> RestedServer:
    """Return which server it is, for whoever reads that it came to rest."""
    process = server.process
    uid = process.identity.uid
    return RestedServer(
        kind=server.label,
        data_dir=server.folder,
        contained=process.contained,
        pid=process.pid,
        uid=uid,
        account=tools.accounts.name_of(uid),
        executable=process.executable,
    )


def _named_process(kind: Kind, process: ProcessFact) -> str:
    where = " in a container" if process.contained else ""
    return f"{kind.title} (process {process.pid}{where})"


def _first(told: Sequence[str]) -> Sequence[str]:
    """Return some of what there is to tell: processes in a container can bring about any number."""
    more = len(told) - MOST_NAMED
    return [*told[:MOST_NAMED], f"and {more} more such"] if more > 0 else told


def _late(kind: Kind, number: int) -> str:
    return (
        f"{number} processes in containers that are called like {kind.title} were not looked at "
        f"within {CONTAINERS_LIMIT_S:g} s"
    )


def _other(process: ProcessIdentity, why: str) -> str:
    return f"process {process.pid} of user id {process.uid}: {why}"


def _not_counted(kind: Kind, others: Sequence[str]) -> str:
    """Return one note for all of them, however many there are: anybody can start them."""
    named = "; ".join(others[:MOST_NAMED])
    more = len(others) - MOST_NAMED
    rest = f"; and {more} more" if more > 0 else ""
    return (
        f"what is called like {kind.title} and is no proved server of this machine is not spoken "
        f"to and not brought to rest: {named}{rest}"
    )


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
    folders = ", ".join(_first([named_folder(*each) for each in servers]))
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


_SWITCH = "; applications.containers = true has those in containers looked at"
_ABSENT = "none is running with its data on the disks that get a snapshot"

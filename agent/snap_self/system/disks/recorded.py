"""A recorded machine in place of the kernel and the cloud, to plan without either."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snap_self.errors import UsageError
from snap_self.model.flushing import FlushTarget, Obstacle
from snap_self.model.machine import MachineText, PathFact
from snap_self.model.shown import shown
from snap_self.model.snapshots import Credentials
from snap_self.ports import RpcFailed

if TYPE_CHECKING:  # only a run that flushes pays for the import
    from snap_self.model.flushed import Synced
from snap_self.system.state.files import make_folders, replace_file
from snap_self.system.trust import distrust_place

MACHINE = "machine.json"
DISKS = "describe_disks.json"


class RecordedMachine:
    """Implements ports.MachineReader over one recorded text."""

    def __init__(self, machine: MachineText) -> None:
        self._machine = machine

    def read(self) -> MachineText:
        """Return the recording."""
        return self._machine

    def locate(self, path: str) -> PathFact:
        """Return the path as given: links of the recorded machine are not known."""
        return PathFact(asked=path, real=os.path.normpath(path), mount_id=None)


class RecordedFilesystems:
    """Implements ports.Filesystems for a machine without real filesystems."""

    def sync(self, target: FlushTarget, *, limit_s: float | None = None) -> Synced:
        """Refuse: what is mounted at that path here is not what was recorded."""
        from snap_self.model.flushed import Synced, SyncFault

        del limit_s
        there_is_none = replace(target, ways=(), obstacle=Obstacle.RECORDED)
        return Synced(target=there_is_none, fault=SyncFault.NO_WAY)


class RecordedRpc:
    """Implements ports.Rpc over a recorded DescribeDisks answer and nothing else."""

    def __init__(self, disks: Mapping[str, Any]) -> None:
        self._disks = disks

    def call(
        self, action: str, params: Mapping[str, str], *, timeout_s: float, credentials: Credentials
    ) -> Mapping[str, Any]:
        """Return the recorded answer, or the empty list that the cloud gives if nothing matches."""
        del params, timeout_s, credentials
        if action == "DescribeDisks":
            return self._disks
        if action in _EMPTY:
            return _EMPTY[action]
        raise RpcFailed(code="Recorded", http_status=0, message=f"{action} is not recorded")


_EMPTY: Mapping[str, Mapping[str, Any]] = {
    "DescribeInstances": {"Instances": {"Instance": []}},
    "DescribeSnapshots": {"Snapshots": {"Snapshot": []}, "NextToken": ""},
    "DescribeSnapshotGroups": {"SnapshotGroups": {"SnapshotGroup": []}, "NextToken": ""},
}


def read_recorded(directory: Path) -> tuple[str, Mapping[str, Any]]:
    """Return the machine's text form and the disks' answer of a recording.

    Raises:
        UsageError: one of its files is missing or not a JSON object.
    """
    machine = read_machine(directory)
    try:
        disks = json.loads(_read(directory / DISKS))
    except ValueError as error:
        raise UsageError(f"{directory / DISKS} is not JSON: {error}") from error
    if not isinstance(disks, dict):
        raise UsageError(f"{directory / DISKS} does not hold a JSON object")
    return machine, disks


def read_machine(directory: Path) -> str:
    """Return only the machine's text form.

    Raises:
        UsageError: it cannot be read.
    """
    return _read(directory / MACHINE)


def write_recorded(directory: Path, machine: str, disks: Mapping[str, Any]) -> None:
    """Write a recording that ``read_recorded`` reads; nobody else can read it.

    Raises:
        UsageError: the directory cannot be written, others could change it, or it holds other
            things.
    """
    try:
        _check_way(directory)
        make_folders(directory)
        _check_way(directory)  # a directory that was missing in /tmp may be another user's by now
        _check_is_for_recordings(directory)
        replace_file(directory / MACHINE, machine)
        replace_file(directory / DISKS, json.dumps(disks, indent=1))
    except OSError as error:
        raise UsageError(f"{directory} cannot be written: {error.strerror}") from error


def _check_way(directory: Path) -> None:
    found = distrust_place(str(directory))
    if found is not None:
        raise UsageError(
            f"no recording is written to {directory}: {found.why}",
            hint=f"name a new directory below one of root's own; or {found.hint}",
        )


def _check_is_for_recordings(directory: Path) -> None:
    owner = directory.stat().st_uid
    other = sorted(set(os.listdir(directory)) - {MACHINE, DISKS})  # noqa: PTH208
    if owner == os.geteuid() and not other:
        return
    why = f"it holds {shown(other[0])}" if other else f"it belongs to user id {owner}"
    raise UsageError(
        f"no recording is written to {directory}: {why}",
        hint="name a new directory, an empty one, or that of an earlier recording",
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}",
            hint=f"a recording holds {MACHINE} and {DISKS}; "
            "`snap-self doctor --record DIR` makes one",
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8") from error

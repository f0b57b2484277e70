"""A recorded machine in place of the kernel and the cloud, for planning without either."""

from __future__ import annotations

import errno
import json
import os.path
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snap_self.errors import UsageError
from snap_self.model.machine import MachineText, PathFact
from snap_self.model.snapshots import Credentials
from snap_self.ports import RpcFailed

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
        """Return the path as written: links of the recorded machine are not known."""
        return PathFact(asked=path, real=os.path.normpath(path), mount_id=None)


class RecordedFilesystems:
    """Implements ports.Filesystems where there are none."""

    def sync(self, path: str) -> None:
        """Refuse: what is mounted at that path here is not what was recorded."""
        raise OSError(errno.ENODEV, "the machine is a recording", path)


class RecordedRpc:
    """Implements ports.Rpc over a recorded DescribeDisks answer; it knows nothing else."""

    def __init__(self, disks: Mapping[str, Any]) -> None:
        self._disks = disks

    def call(
        self, action: str, params: Mapping[str, str], *, timeout_s: float, credentials: Credentials
    ) -> Mapping[str, Any]:
        """Return the recorded answer, or the empty list that the cloud gives for nothing found."""
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
        UsageError: one of its files is missing or no JSON object.
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
    """Return the machine's text form alone.

    Raises:
        UsageError: it cannot be read.
    """
    return _read(directory / MACHINE)


def write_recorded(directory: Path, machine: str, disks: Mapping[str, Any]) -> None:
    """Write a recording that ``read_recorded`` reads.

    Raises:
        UsageError: the directory cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / MACHINE).write_text(machine, encoding="utf-8")
        (directory / DISKS).write_text(json.dumps(disks, indent=1), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{directory} cannot be written: {error.strerror}") from error


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

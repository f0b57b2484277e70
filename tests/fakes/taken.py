"""An instance whose snapshots are taken already: what `list` and `show` work with, in memory.

The kernel's text and the cloud's disks are those of a recorded machine.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fakes import recorded_machines as recorded
from fakes.clock import FakeClock
from fakes.filesystems import FakeFilesystems
from fakes.journal import FakeJournal
from fakes.lock import FakeLock
from fakes.rpc import KEYS, FakeRpc, Outcome
from snap_self.cloud.client import EcsClient
from snap_self.model.changes import LoggedChange
from snap_self.model.ids import DiskId, RegionId, RunId
from snap_self.model.snapshots import Identity
from snap_self.system.disks.recorded import RecordedMachine
from snap_self.usecases.gate import Gate
from snap_self.usecases.tools import Process, Tools

ME, REGION, ZONE = recorded.INSTANCE, RegionId("cn-hangzhou"), "cn-hangzhou-i"
RUN = RunId("20261122t083225z-000001")
GROUP = "ssg-bp1gggghhhhiiiijjjj"
BEFORE = "os upgrade"
TAGS = {
    "snap-self-owner": ME,
    "snap-self-run": RUN,
    "snap-self-before": BEFORE,
    "snap-self-consistency": "flush",
}


def snapshot_of(disk_id: str, **changes: object) -> dict[str, Any]:
    """Return a snapshot of ours, accomplished, as DescribeSnapshots shows it."""
    return {
        "SnapshotId": f"s-{disk_id.removeprefix('d-')}",
        "SourceDiskId": disk_id,
        "SourceDiskSize": "40",
        "Status": "accomplished",
        "Progress": "100%",
        "Available": True,
        "CreationTime": "2026-11-22T08:32:30Z",
        "Usage": "none",
        "Tags": tags(**TAGS),
        **changes,
    }


def tags(**given: str) -> dict[str, Any]:
    """Return tags as the API shows them."""
    return {"Tag": [{"TagKey": key, "TagValue": value} for key, value in given.items()]}


@dataclass(slots=True, kw_only=True)
class Taken:
    """A recorded machine's disks and the snapshots of them.

    Args:
        machine: name of the recording.
        snapshots: as DescribeSnapshots shows them.
        grouped: they are the members of one group.
        answers: what the cloud answers to an action instead; one that can be called gives it.
    """

    machine: str
    snapshots: list[dict[str, Any]]
    grouped: bool = False
    answers: dict[str, Outcome | Callable[[Mapping[str, str]], Outcome]] = field(
        default_factory=dict
    )
    changes: tuple[LoggedChange, ...] = ()
    disks: list[dict[str, Any]] = field(init=False)
    rpc: FakeRpc = field(init=False)
    journal: FakeJournal = field(default_factory=FakeJournal)
    clock: FakeClock = field(default_factory=FakeClock)
    lock: FakeLock = field(init=False)

    def __post_init__(self) -> None:
        path = recorded.FOLDER / self.machine / "describe_disks.json"
        self.disks = json.loads(path.read_text("utf-8"))["Disks"]["Disk"]
        self.rpc = FakeRpc(answering=self._answer)
        self.lock = FakeLock(self.clock)

    @classmethod
    def of(cls, machine: str, *, grouped: bool = False, **changes: object) -> Taken:
        """Return a machine with a snapshot of each of its disks."""
        disks = cls(machine=machine, snapshots=[]).disks
        shots = [
            snapshot_of(disk["DiskId"], SourceDiskSize=str(disk["Size"]), **changes)
            for disk in disks
        ]
        return cls(machine=machine, snapshots=shots, grouped=grouped)

    @property
    def disk_ids(self) -> tuple[DiskId, ...]:
        """The disks that the snapshots are of."""
        return tuple(DiskId(shot["SourceDiskId"]) for shot in self.snapshots)

    @property
    def tools(self) -> Tools:
        """What a use case is given."""
        return Tools(
            clock=self.clock,
            machine=RecordedMachine(recorded.machine(self.machine)),
            filesystems=FakeFilesystems(),
            store=self.journal,
            lock=self.lock,
            process=Process(pid=1, boot_id="boot"),
            identify=self._identify,
            connect=self._connect,
            warm=lambda: None,
            new_run_id=lambda: RUN,
            busy=lambda: "",
            end_stale_freeze=lambda: "",
            gate=Gate(lambda _event: None),
            user_map={},
            changes_of=lambda run_id: self.changes if run_id == RUN else (),
        )

    def _identify(self) -> Identity:
        return Identity(
            instance_id=ME,
            region=REGION,
            zone=ZONE,
            account="1234567890123456",
            instance_type="ecs.g7.large",
            source="identity document",
            mode="token",
        )

    def _connect(self, identity: Identity) -> EcsClient:
        return EcsClient(
            self.rpc,
            region=identity.region,
            credentials=lambda _: KEYS,
            clock=self.clock,
            random=lambda: 0.5,
        )

    def _answer(self, action: str, params: Mapping[str, str]) -> Outcome:
        if action in self.answers:
            given = self.answers[action]
            return given(params) if callable(given) else given
        if action == "DescribeDisks":
            return recorded.answer_of(self.disks)
        if action == "DescribeSnapshotGroups":
            return {"SnapshotGroups": {"SnapshotGroup": self._groups()}}
        wanted: Sequence[str] | None = None
        if "SnapshotIds" in params:
            wanted = json.loads(params["SnapshotIds"])
        found = [s for s in self.snapshots if wanted is None or s["SnapshotId"] in wanted]
        return {"Snapshots": {"Snapshot": copy.deepcopy(found)}}

    def _groups(self) -> list[dict[str, Any]]:
        if not self.grouped:
            return []
        return [
            {
                "SnapshotGroupId": GROUP,
                "InstanceId": ME,
                "Status": "accomplished",
                "CreationTime": "2026-11-22T08:32:30Z",
                "Snapshots": {"Snapshot": copy.deepcopy(self.snapshots)},
                "Tags": tags(**TAGS),
            }
        ]

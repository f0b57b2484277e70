"""The main job over a machine of our making, with the real SDK and metadata client.

Only the kernel is recorded: calls go over loopback to a simulated ECS. Waiting takes little time:
the cloud's snapshots live fast, and the agent's sleeps count as long as they ask but take a blink.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import requests

from ecs_simulator import AccessKeyConfig
from ecs_simulator.config import DiskConfig, InstanceConfig, LifeTimes, SimulatorConfig
from ecs_simulator.simulator import Simulator
from fakes.filesystems import FakeFilesystems
from fakes.fleet_oos import ScriptedGuest
from fakes.journal import FakeJournal
from fakes.lock import FakeLock
from fakes.machine_builder import MachineBuilder
from fakes.simulated_cloud import Signer
from snap_self.cloud.client import EcsClient
from snap_self.cloud.credentials.fields import successful_role_credentials
from snap_self.cloud.endpoint import parse_override
from snap_self.cloud.rpc import SdkRpc, warm
from snap_self.instance.identity import read_identity
from snap_self.instance.metadata import MetadataClient
from snap_self.model.ids import DiskId, RegionId, RunId
from snap_self.model.machine import MachineText
from snap_self.model.progress import Event
from snap_self.model.report import Report
from snap_self.model.request import Request
from snap_self.model.snapshots import Credentials, Identity
from snap_self.ports import Rpc
from snap_self.system.clock import SystemClock
from snap_self.system.disks.recorded import RecordedMachine
from snap_self.system.net.http import RequestsTransport
from snap_self.system.net.sdk import SdkSender
from snap_self.usecases.gate import Gate
from snap_self.usecases.snapshot import take_snapshot
from snap_self.usecases.tools import Process, Tools

SERIALS = ("bp1mainjobsystemdisk", "bp1mainjobdatadisk00")
DISKS = tuple(DiskId(f"d-{serial}") for serial in SERIALS)
Edit = Callable[[str, dict[str, Any]], Mapping[str, Any]]
CREATES = ("CreateSnapshot", "CreateSnapshotGroup")


class QuickClock(SystemClock):
    """The real clock, but a sleep takes at most a blink, however long it counts as.

    With ``moves_cloud`` a sleep also moves the simulated cloud's wall clock on, which its
    throttling windows follow.
    """

    BLINK_S = 0.02

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._moved_s = 0.0
        self.moves_cloud = False
        self.on_sleep: Callable[[float], None] = lambda _seconds: None

    def now(self) -> datetime:
        """Return the real one plus all time slept."""
        return super().now() + timedelta(seconds=self._moved_s)

    def monotonic(self) -> float:
        """Return the real one plus all time slept."""
        return super().monotonic() + self._moved_s

    def sleep(self, seconds: float) -> None:
        """Move on."""
        self.on_sleep(seconds)
        self._moved_s += seconds
        if self.moves_cloud:
            self._simulator.set_clock_offset(self._moved_s)
        super().sleep(min(seconds, self.BLINK_S))


def machine(*, lvm: bool = False, efi: bool = False) -> MachineText:
    """Return a machine with a system disk (ext4) and a data disk (xfs), or LVM over both.

    Args:
        efi: the system disk has an EFI partition too (vfat).
    """
    builder = MachineBuilder()
    builder.pseudo()
    builder.virtio("vda", 40, SERIALS[0])
    builder.virtio("vdb", 100, SERIALS[1])
    root = builder.partition("vda", 1, 39)
    builder.mount("/", "ext4", f"/dev/{root}", device=root)
    if efi:
        start = builder.partition("vda", 2, 1)
        builder.mount("/boot/efi", "vfat", f"/dev/{start}", device=start)
    if lvm:
        volume = builder.mapper(0, "vg0-data", "LVM-" + "a" * 64, gib=100, lower=[root, "vdb"])
        builder.mount("/srv", "xfs", "/dev/mapper/vg0-data", device=volume)
    else:
        builder.mount("/srv", "xfs", "/dev/vdb", device="vdb")
    return builder.text()


def config(*, category: str = "cloud_essd", life: LifeTimes | None = None) -> SimulatorConfig:
    """Return the cloud that machine lives in."""
    disks = (
        DiskConfig(disk_id=DISKS[0], size_gib=40),
        DiskConfig(disk_id=DISKS[1], size_gib=100, category=category),
    )
    return SimulatorConfig(
        instances=(InstanceConfig(disks=disks),),
        life=life or LifeTimes(cut_s=0.02, available_s=0.04, accomplished_s=0.1),
    )


class EditedRpc:
    """Passes calls on, and their answers through a function: a cloud that answers otherwise."""

    def __init__(self, rpc: Rpc, edit: Edit) -> None:
        self._rpc = rpc
        self._edit = edit

    def call(
        self, action: str, params: Mapping[str, str], *, timeout_s: float, credentials: Credentials
    ) -> Mapping[str, Any]:
        """Return the edited answer."""
        answer = self._rpc.call(action, params, timeout_s=timeout_s, credentials=credentials)
        return self._edit(action, copy.deepcopy(dict(answer)))


class MainJob:
    """One agent on one simulated instance; every run shares its journal.

    ``edit`` gets the action and the answer of each call, and returns what the agent is to see.
    """

    def __init__(self, simulator: Simulator, *, lvm: bool = False, efi: bool = False) -> None:
        self.simulator = simulator
        self.clock = QuickClock(simulator)
        self.journal = FakeJournal()
        self.filesystems = FakeFilesystems()
        self.events: list[Event] = []
        self.edit: Edit = lambda _action, answer: answer
        self._runs = 0
        self._transport = RequestsTransport()
        self._senders: list[SdkSender] = []
        self._metadata = MetadataClient(
            self._transport, self.clock, base_url=simulator.metadata_url, plain_allowed=False
        )
        self.tools = Tools(
            clock=self.clock,
            machine=RecordedMachine(machine(lvm=lvm, efi=efi)),
            filesystems=self.filesystems,
            store=self.journal,
            lock=FakeLock(self.clock),
            process=Process(pid=1, boot_id="boot"),
            identify=self._identify,
            connect=self._connect,
            warm=warm,
            new_run_id=self._new_run_id,
            busy=lambda: "",
            end_stale_freeze=lambda: "",
            gate=Gate(self.events.append),
            user_map={},
        )

    def run(self, request: Request, **changed: object) -> Report:
        """Do the main job once."""
        return take_snapshot(request, replace(self.tools, **changed))  # type: ignore[arg-type]

    def sets(self) -> int:
        """Return how many snapshot sets the cloud made: groups, and snapshots outside of one."""
        dump = self.simulator.dump()
        singles = [s for s in dump["snapshots"].values() if not s["group_id"]]
        return len(dump["groups"]) + len(singles)

    def creates(self) -> int:
        """Return how many create calls reached the cloud."""
        return sum(call.action in CREATES for call in self.simulator.calls)

    def forget(self) -> None:
        """Lose the journal, as an instance does that is made from an image."""
        self.journal = FakeJournal()
        self.tools = replace(self.tools, store=self.journal)

    def caller(self) -> Callable[[str, Mapping[str, str]], Mapping[str, Any]]:
        """Return what makes one call of the API, as anybody may outside of the agent."""
        key = AccessKeyConfig()
        signer = Signer(access_key_id=key.access_key_id, secret=key.access_key_secret)

        def call(action: str, params: Mapping[str, str]) -> Mapping[str, Any]:
            signed = signer.sign({"Action": action, **params}, at=time.time())
            with requests.Session() as session:
                session.trust_env = False
                answer = session.get(self.simulator.ecs_url, params=signed, timeout=10)
            answer.raise_for_status()
            body: Mapping[str, Any] = answer.json()
            return body

        return call

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()
        for sender in self._senders:
            sender.close()

    def _identify(self) -> Identity:
        return read_identity(self._metadata)

    def _connect(self, identity: Identity) -> EcsClient:
        rpc = self._rpc(identity.region)
        return EcsClient(
            EditedRpc(rpc, lambda action, answer: self.edit(action, answer)),
            region=identity.region,
            credentials=self._credentials,
            clock=self.clock,
            random=lambda: 0.5,
        )

    def _rpc(self, region: RegionId) -> SdkRpc:
        endpoint = parse_override(self.simulator.ecs_url)
        self._senders.append(SdkSender(endpoint, region=region, ca_bundle=""))
        return SdkRpc(endpoint, region=region, sender=self._senders[-1])

    def _credentials(self, force: bool) -> Credentials:
        del force
        role = self._metadata.list_dir("meta-data/ram/security-credentials")[0]
        text = self._metadata.get(f"meta-data/ram/security-credentials/{role}")
        return successful_role_credentials(text, "role", "instance role")

    def _new_run_id(self) -> RunId:
        self._runs += 1
        return RunId(f"20261122t183928z-{self._runs:06}")


@contextmanager
def main_job(
    cloud: SimulatorConfig | None = None, *, lvm: bool = False, efi: bool = False
) -> Iterator[MainJob]:
    """Give the main job on a fresh simulated cloud; Cloud Assistant runs on each instance."""
    with (
        Simulator(cloud or config()) as simulator,
        closing(MainJob(simulator, lvm=lvm, efi=efi)) as job,
    ):
        simulator.cloud.assistant.guest = ScriptedGuest()
        yield job

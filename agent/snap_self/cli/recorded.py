"""Plan for a recorded machine, and make such recordings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from snap_self.cli.adapters import Adapters
from snap_self.cli.attempts import raw_disks
from snap_self.cli.wiring import make_tools
from snap_self.cloud.client import EcsClient
from snap_self.disks import recording
from snap_self.errors import UsageError
from snap_self.model.addresses import is_loopback
from snap_self.model.ids import INSTANCE_ID, REGION_ID, InstanceId, RegionId
from snap_self.model.snapshots import Credentials, Identity
from snap_self.system.disks.recorded import (
    RecordedFilesystems,
    RecordedMachine,
    RecordedRpc,
    read_machine,
    read_recorded,
    write_recorded,
)
from snap_self.usecases.tools import Tools, unwatched

NO_KEYS = Credentials(
    access_key_id="", access_key_secret="", security_token="", source="recording", expires=None
)


def recorded_tools(adapters: Adapters, directory: Path) -> Tools:
    """Return tools that look at a recording instead of this machine and the cloud.

    Raises:
        UsageError: it is not a recording.
    """
    text, disks = read_recorded(directory)
    machine = recording.load(text, origin=str(directory))
    identity = _identity(directory, disks)

    def connect(_: Identity) -> EcsClient:
        return EcsClient(
            RecordedRpc(disks),
            region=identity.region,
            credentials=lambda _force: NO_KEYS,
            clock=adapters.clock,
            random=lambda: 0.0,  # of how long to wait before a call is repeated; none is
        )

    return replace(
        make_tools(adapters),
        machine=RecordedMachine(machine),
        identify=lambda: identity,
        connect=connect,
        warm=lambda: None,
        busy=lambda: "",
        start_follower=unwatched,
    )


def simulated_tools(adapters: Adapters, directory: Path) -> Tools:
    """Return tools for a made-up machine in a simulated cloud; nothing of it can be flushed.

    Raises:
        UsageError: the cloud is not a simulated one: a snapshot of a real disk must never be
            decided by a recording.
    """
    if not is_simulated(adapters.config.network.ecs_endpoint):
        raise UsageError(
            "--recorded makes snapshots only in a simulated cloud on this machine",
            hint="`snap-self plan --recorded DIR` plans for a recorded machine",
        )
    machine = recording.load(read_machine(directory), origin=str(directory))
    return replace(
        make_tools(adapters), machine=RecordedMachine(machine), filesystems=RecordedFilesystems()
    )


def is_simulated(ecs_endpoint: str) -> bool:
    """Tell whether the configured endpoint is on a loopback address."""
    from snap_self.cloud.endpoint import parse_override

    return bool(ecs_endpoint) and is_loopback(parse_override(ecs_endpoint).host)


def write_recording(adapters: Adapters, directory: Path) -> None:
    """Record this machine's disks and what the cloud says about them."""
    tools = make_tools(adapters)
    identity = tools.identify()
    raw = raw_disks(adapters, identity)
    write_recorded(directory, recording.dump(tools.machine.read()), raw)


def _identity(directory: Path, disks: Mapping[str, Any]) -> Identity:
    first = _first(disks)
    instance = str(first.get("InstanceId") or "")
    region = str(first.get("RegionId") or "")
    if not INSTANCE_ID.fullmatch(instance) or not REGION_ID.fullmatch(region):
        raise UsageError(f"{directory}: its first disk names no instance and region")
    return Identity(
        instance_id=InstanceId(instance),
        region=RegionId(region),
        zone=str(first.get("ZoneId") or ""),
        account="",
        instance_type="",
        source="recording",
        mode="none",
    )


def _first(disks: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the first disk that names an instance (multi-attach disks do not)."""
    listed = disks.get("Disks")
    entries = listed.get("Disk") if isinstance(listed, dict) else None
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and entry.get("InstanceId"):
            return entry
    return {}

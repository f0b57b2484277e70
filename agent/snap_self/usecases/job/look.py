"""Find out what an order needs: who we are, which disks the cloud has attached, what is on them.

Nothing that is only of use is asked here: limits of the API are shared by the whole account, and a
snapshot must not wait for an answer that it can do without; see ``advice``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from snap_self.cloud.client import EcsClient
from snap_self.disks.coverage import choose
from snap_self.disks.layout import read_layout
from snap_self.disks.mapping import DiskMap, map_disks
from snap_self.disks.mountinfo import parse_mountinfo
from snap_self.disks.overlay import layers
from snap_self.errors import UsageError
from snap_self.model.disks import CloudDisk, Coverage, Layout, Selection
from snap_self.model.machine import PathFact
from snap_self.model.snapshots import Identity
from snap_self.threads.pool import side_by_side
from snap_self.usecases.tools import Tools

# Overlays can be layers of others.
MAX_OVERLAYS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What is known of this instance before anything is planned."""

    identity: Identity
    cloud: EcsClient
    layout: Layout
    disks: tuple[CloudDisk, ...]
    disk_map: DiskMap
    paths: tuple[PathFact, ...] = ()


def survey(tools: Tools, *, paths: Sequence[str] = (), job_end: float | None = None) -> Survey:
    """Read it; the machine is looked at while the cloud is asked.

    Args:
        paths: those a request names.
        job_end: every call that the run makes ends by then, on the monotonic clock.

    Raises:
        SnapSelfError: of the kind that the first failed read tells.
    """
    # Before anything is asked: one that does not exist is told at once. And before the machine is
    # read: looking at one may mount what is mounted there only on demand.
    facts = tuple(_located(tools, path) for path in paths)
    with side_by_side(2, "survey") as pool:
        machine_read = pool.submit(lambda: read_layout(tools.machine.read()))
        warming = pool.submit(tools.warm)
        identity = tools.identify()
        warming.result()
        cloud = tools.connect(identity).until(job_end)
        disks = cloud.describe_disks(identity.instance_id)
        layout = machine_read.result()
        return Survey(
            identity=identity,
            cloud=cloud,
            layout=layout,
            disks=disks,
            disk_map=map_disks(
                layout,
                disks,
                instance_id=identity.instance_id,
                serial_to_disk=identity.serial_to_disk,
                user_map=tools.user_map,
            ),
            paths=facts,
        )


def cover(found: Survey, selection: Selection) -> Coverage:
    """Return which disks a selection means, whose paths were looked at, and what is on them."""
    return choose(found.layout, found.disk_map, selection, found.paths)


def _located(tools: Tools, path: str, depth: int = 0) -> PathFact:
    """Return where a path lies; below an overlay, where each of its layers does.

    An overlay knows its layers by the names it was given, which may hold symbolic links. Of one
    that cannot be looked at, as it has another name by now, the mount table tells by that name.
    """
    fact = tools.machine.locate(path)
    if not fact.overlay or depth >= MAX_OVERLAYS:
        return fact
    (line,) = parse_mountinfo(fact.overlay, origin="/proc/self/mountinfo")
    found = []
    for layer in layers(line):
        try:
            found.append(_located(tools, layer, depth + 1))
        except UsageError:
            found.append(PathFact(asked=layer, real=layer, mount_id=None))
    return replace(fact, layers=tuple(found))

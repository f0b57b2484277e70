"""Find out where we are: identity, disks, mounts and what the cloud says, read side by side."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from snap_self.cloud.client import EcsClient
from snap_self.disks.coverage import choose
from snap_self.disks.layout import read_layout
from snap_self.disks.mapping import DiskMap, map_disks
from snap_self.errors import ApiFault, CloudUnreachable
from snap_self.model.disks import CloudDisk, Coverage, Layout, Selection
from snap_self.model.progress import Event, EventKind
from snap_self.model.snapshots import Identity, InstanceState, Snapshot
from snap_self.usecases.parallel import side_by_side
from snap_self.usecases.tools import Tools

T = TypeVar("T")

# Pages come one after the other. One is enough for the questions "is there an earlier one, is one
# in progress", and a job must not wait for more; a plan also wants to see a disk's limit near.
JOB_PAGES = 1
PLAN_PAGES = 3
# Advice is not worth a throttled minute of waiting.
ADVICE_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What is known of this instance before anything is planned."""

    identity: Identity
    cloud: EcsClient
    layout: Layout
    disks: tuple[CloudDisk, ...]
    instance: InstanceState | None
    history: tuple[Snapshot, ...]
    disk_map: DiskMap


def survey(tools: Tools, *, history_pages: int) -> Survey:
    """Read everything; independent reads run at the same time.

    Raises:
        SnapSelfError: of the kind that the first failed read tells.
    """
    with side_by_side(4, "survey") as pool:
        layout_read = pool.submit(lambda: read_layout(tools.machine.read()))
        warming = pool.submit(tools.warm)
        identity = tools.identify()
        warming.result()
        cloud = tools.connect(identity)
        instance_id = identity.instance_id
        instance_read = pool.submit(cloud.describe_instance, instance_id, deadline_s=ADVICE_S)
        history_read = pool.submit(
            cloud.describe_snapshots,
            instance_id=instance_id,
            max_pages=history_pages,
            deadline_s=ADVICE_S,
            unclear=[],  # of another program, say: the advice is as good without it
        )
        disks = cloud.describe_disks(instance_id)
        layout = layout_read.result()
        return Survey(
            identity=identity,
            cloud=cloud,
            layout=layout,
            disks=disks,
            instance=_advisory(tools, instance_read, None, "the instance's state"),
            history=_advisory(tools, history_read, (), "earlier snapshots"),
            disk_map=map_disks(
                layout,
                disks,
                instance_id=instance_id,
                serial_to_disk=identity.serial_to_disk,
                user_map=tools.user_map,
            ),
        )


def cover(tools: Tools, found: Survey, selection: Selection) -> Coverage:
    """Return which disks a selection means and what is on them."""
    paths = tuple(tools.machine.locate(path) for path in selection.paths)
    return choose(found.layout, found.disk_map, selection, paths)


def _advisory(tools: Tools, read: Future[T], otherwise: T, what: str) -> T:
    """Return a read's result, or a stand-in with a warning: these reads only make advice better."""
    try:
        return read.result()
    except (ApiFault, CloudUnreachable) as error:
        tools.listener(
            Event(kind=EventKind.WARNING, text=f"{what} could not be read: {error.message}")
        )
        return otherwise

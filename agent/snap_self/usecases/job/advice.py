"""What the cloud can add to a plan: asked for beside or after what is needed, and never for long.

It makes messages better and decides nothing: limits of the API are shared by the whole account, so
a throttled question is not repeated, and none is asked while a package manager waits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

from snap_self.cloud.client import EcsClient
from snap_self.errors import ApiFault, CloudUnreachable, InstanceNotReady, SnapSelfError
from snap_self.model.disks import Coverage
from snap_self.model.ids import InstanceId, RunId
from snap_self.model.plan import Note
from snap_self.model.progress import Event, EventKind
from snap_self.model.run import OrderRecord
from snap_self.model.snapshots import RUN_TAG, InstanceState, Snapshot
from snap_self.plan import check_instance, history_notes
from snap_self.usecases.aside import Aside
from snap_self.usecases.job.look import Survey
from snap_self.usecases.tools import Tools

T = TypeVar("T")

# All that is only of use may take so long together.
ADVICE_S = 3.0
# Pages come one after the other. One is enough for the questions "is there an earlier one, is one
# in progress"; a plan also wants to see a disk's limit near.
JOB_PAGES = 1
PLAN_PAGES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What is known beyond what an order needs.

    Args:
        history: recent snapshots of the instance's disks; None where they are not known.
    """

    instance: InstanceState | None = None
    history: tuple[Snapshot, ...] | None = None


NO_ADVICE = Advice()


def read_advice(tools: Tools, found: Survey) -> Advice:
    """Return what a plan wants to know too; one question after the other, on one connection."""
    instance_id = found.identity.instance_id
    cloud = found.cloud.in_passing(ADVICE_S)
    return Advice(
        instance=_read(
            tools, "the instance's state", lambda: cloud.describe_instance(instance_id), None
        ),
        history=_read(
            tools, "earlier snapshots", lambda: _history(cloud, instance_id, PLAN_PAGES), None
        ),
    )


class Beside:
    """Earlier snapshots, read while a run waits for its own.

    They are asked for once the cloud has the order, so they show what this run made too.
    """

    def __init__(self, tools: Tools, found: Survey) -> None:
        self._tools = tools
        self._end = tools.clock.monotonic() + ADVICE_S
        cloud, instance_id = found.cloud.in_passing(ADVICE_S), found.identity.instance_id
        self._read = Aside(lambda: _history(cloud, instance_id, JOB_PAGES), "advice")

    def notes(
        self, coverage: Coverage, run_id: RunId, made: Collection[OrderRecord]
    ) -> tuple[Note, ...]:
        """Return what the snapshots of others than this run mean; none where they are not known.

        Args:
            made: what this run made.
        """
        left_s = self._end - self._tools.clock.monotonic()
        # Who waits for a snapshot that is made is not troubled with what it could do without.
        shots = _read(
            self._tools,
            "earlier snapshots",
            lambda: self._read.result(within_s=left_s, otherwise=None),
            None,
            kind=EventKind.RETRY,
        )
        if shots is None:
            return ()
        ids = {sid for order in made for sid in order.snapshot_ids.values()}
        groups = {order.group_id for order in made if order.group_id}
        others = [
            shot
            for shot in shots
            if shot.snapshot_id not in ids
            and shot.group_id not in groups
            and shot.tags.get(RUN_TAG) != run_id
        ]
        return tuple(history_notes(coverage, others))


def why_not_ready(found: Survey, errors: Sequence[SnapSelfError]) -> str:
    """Return what state the instance is in where the cloud refused an order because of it."""
    if not any(isinstance(error, InstanceNotReady) for error in errors):
        return ""
    cloud = found.cloud.in_passing(ADVICE_S)
    try:
        check_instance(cloud.describe_instance(found.identity.instance_id))
    except SnapSelfError as error:
        return error.message if isinstance(error, InstanceNotReady) else ""
    return ""


def _history(cloud: EcsClient, instance_id: InstanceId, pages: int) -> tuple[Snapshot, ...] | None:
    return cloud.describe_snapshots(
        instance_id=instance_id,
        max_pages=pages,
        unclear=[],  # of another program, say: the advice is as good without it
    )


def _read(
    tools: Tools,
    what: str,
    read: Callable[[], T],
    otherwise: T,
    *,
    kind: EventKind = EventKind.WARNING,
) -> T:
    """Return what is read, or a stand-in with an event of this kind."""
    try:
        return read()
    except (ApiFault, CloudUnreachable) as error:
        text = f"{what} could not be read: {error.told}"
        tools.listener(Event(kind=kind, text=text))
        return otherwise

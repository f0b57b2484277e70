"""Run records for tests, every default that of an ordinary run."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from snap_self.model.ids import DiskId, InstanceId, RegionId, RunId
from snap_self.model.run import OrderRecord, RunRecord, Stage
from snap_self.model.snapshots import Consistency, SnapshotOrder

STARTED = datetime(2026, 11, 22, 8, 32, 25, 250_000, tzinfo=timezone.utc)


def order_record(*, grouped: bool = False, sent: bool = False) -> OrderRecord:
    """Return an order of one disk."""
    order = SnapshotOrder(
        disk_ids=(DiskId("d-bp1aaaabbbbccccdddd1"),),
        grouped=grouped,
        name="before-os-upgrade",
        description="before os upgrade",
        tags={"team": "数据库"},
        retention_days=None if grouped else 14,
        client_token="snap-self-1-1",
    )
    return OrderRecord(order=order, sent=sent)


def run_record(
    number: int = 1,
    *,
    stage: Stage = Stage.PLANNED,
    before: str = "os upgrade",
    orders: tuple[OrderRecord, ...] | None = None,
) -> RunRecord:
    """Return the record of the run of that number; a higher number started later."""
    return RunRecord(
        run_id=RunId(f"20261122t083225z-{number:06}"),
        before=before,
        fingerprint="0123456789abcdef",
        instance_id=InstanceId("i-bp1iiiijjjjkkkkllllm"),
        region=RegionId("cn-hangzhou"),
        started=STARTED + timedelta(minutes=number),
        pid=4711,
        boot_id="6a3c1f0e-0000-4000-8000-000000000000",
        stage=stage,
        consistency_asked=Consistency.FLUSH,
        consistency_reached=None,
        consistency_why="",
        keep_days=14,
        expires=None,
        orders=(order_record(),) if orders is None else orders,
    )

"""A machine that runs from a copy of its system disk says so: at a boot `plan` is asked."""

from __future__ import annotations

import pytest

from ecs_simulator.config import DiskConfig, InstanceConfig, SimulatorConfig
from fakes.main_job import DISKS, main_job
from snap_self.errors import ExitStatus, OnTemporaryDisk
from snap_self.model.report import ErrorReport
from snap_self.model.request import Request
from snap_self.model.snapshots import RESTORE_TAG, TEMPORARY_TAG
from snap_self.usecases.job.planning import plan_snapshot

TAGS = {TEMPORARY_TAG: "i-bp1", RESTORE_TAG: "20260304t050607zabcdef"}


def test_plan_names_the_copy_and_the_steps_back_to_the_own_disk() -> None:
    system, data = DISKS
    disks = (DiskConfig(disk_id=system, tags=TAGS), DiskConfig(disk_id=data))
    with (
        main_job(SimulatorConfig(instances=(InstanceConfig(disks=disks),))) as job,
        pytest.raises(OnTemporaryDisk, match=f"^/ lies on {system}, a temporary disk") as caught,
    ):
        plan_snapshot(Request(before="boot"), job.tools)
    assert caught.value.exit_status is ExitStatus.PRECONDITION
    hint = ErrorReport.of(caught.value).hint
    assert f"detach {system}" in hint
    # It is not deleted before it is named.
    assert f"snap-self unmount {TAGS[RESTORE_TAG]}" in hint

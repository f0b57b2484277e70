"""Which filesystem of the running machine is meant, and which snapshots hold it."""

from __future__ import annotations

from typing import Any, cast

import pytest

from fakes import recorded_machines as recorded
from fakes.machine_builder import machine_with_disks, serial
from snap_self.disks.layout import read_layout
from snap_self.disks.mapping import map_disks
from snap_self.disks.where import Places
from snap_self.errors import OnTemporaryDisk, PreconditionRefused
from snap_self.usecases.job.look import Survey
from snap_self.usecases.looking_back.finding import Found, source_at


def found_on(*disks: dict[str, Any]) -> Found:
    """Return a machine with these disks and no snapshot; its root lies on the first."""
    layout = read_layout(machine_with_disks(len(disks)).text())
    seen = recorded.disks_of(recorded.answer_of(disks))
    mapped = map_disks(layout, seen, instance_id=recorded.INSTANCE, serial_to_disk={}, user_map={})
    unasked = cast(Any, None)
    survey = Survey(identity=unasked, cloud=unasked, layout=layout, disks=seen, disk_map=mapped)
    return Found(survey=survey, name="run-1", shots=(), record=None, notes=())


def test_filesystem_that_lies_on_a_copy_itself_is_no_source() -> None:
    tags = {"Tag": [{"TagKey": "snap-self-temp", "TagValue": recorded.INSTANCE}]}
    own = recorded.described(serial(1), 40, kind="system")
    copy = {**recorded.described(serial(1), 40, kind="data"), "Tags": tags}
    for disk, kind in ((copy, OnTemporaryDisk), (own, PreconditionRefused)):
        found = found_on(disk)
        place = Places(found.survey.layout).of_mount_point("/")
        assert place is not None
        with pytest.raises(PreconditionRefused) as caught:
            source_at(found, place)
        assert type(caught.value) is kind

"""The identifiers the cloud hands out, one type each, and their documented shapes."""

from __future__ import annotations

import re
from typing import NewType

InstanceId = NewType("InstanceId", str)
DiskId = NewType("DiskId", str)
SnapshotId = NewType("SnapshotId", str)
GroupId = NewType("GroupId", str)
RegionId = NewType("RegionId", str)
RunId = NewType("RunId", str)

INSTANCE_ID = re.compile(r"i-[0-9a-z]{1,60}")
DISK_ID = re.compile(r"d-[0-9a-z]{1,60}")
REGION_ID = re.compile(r"[a-z]{2,}(-[a-z0-9]+)+")

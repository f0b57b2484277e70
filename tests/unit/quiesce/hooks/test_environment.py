"""What hooks find in their environment."""

from __future__ import annotations

from snap_self.model.hooks import HookFacts
from snap_self.quiesce.hooks.environment import environment


def test_mount_point_with_a_line_break_when_listed_then_is_one_line() -> None:
    facts = HookFacts(run_id="r", before="x", disks=("d-1",), mounts=("/a\n/etc", "/b\\c"))
    assert environment(facts, "pre")["SNAP_SELF_MOUNTS"].split("\n") == [r"/a\012/etc", r"/b\c"]

"""Steps as lines to be pasted."""

from __future__ import annotations

import pytest

from snap_self.model.ways import CloudCall, Local, Step, Until
from snap_self.output.steps import step_line, undo_lines

WORDS = {"RegionId": "cn-x", "InstanceIds": '["i-1"]'}
PRINTED: dict[str, tuple[Step, str]] = {
    "call": (
        CloudCall(action="StartInstance", params=WORDS),
        "aliyun ecs StartInstance --RegionId cn-x --InstanceIds '[\"i-1\"]'",
    ),
    "call without parameters": (
        CloudCall(action="DescribeRegions", params={}),
        "aliyun ecs DescribeRegions",
    ),
    "call that gives an id": (
        CloudCall(action="CreateDisk", params={"Size": "1"}, gives="NEW_DISK"),
        "aliyun ecs CreateDisk --Size 1   # prints the id of NEW_DISK",
    ),
    "call with something to do before": (
        CloudCall(action="DetachDisk", params={"DiskId": "d-1"}, why="after umount"),
        "aliyun ecs DetachDisk --DiskId d-1   # after umount",
    ),
    "command": (Local(argv=("umount", "/a b")), "umount '/a b'"),
    "command with a word": (
        Local(argv=("mount", "/srv"), why="on the instance"),
        "mount /srv   # on the instance",
    ),
}


@pytest.mark.parametrize(("step", "line"), PRINTED.values(), ids=list(PRINTED))
def test_step_is_one_line_of_quoted_words(step: Step, line: str) -> None:
    assert step_line(step) == line


@pytest.mark.parametrize("until", Until)
def test_every_state_to_wait_for_is_told(until: Until) -> None:
    line = step_line(CloudCall(action="DescribeDisks", params={}, until=until))
    status, wanted = until.value
    word = "until Status is" if wanted else "until no Status is"
    assert line == f"aliyun ecs DescribeDisks   # {word} {status}"


def test_short_way_has_its_cautions_only_where_there_is_one() -> None:
    steps = (CloudCall(action="StartInstance", params={}),)
    from_another, loses, line = undo_lines(steps)
    assert "from another machine" in from_another
    assert "is lost" in loses
    assert line == "aliyun ecs StartInstance"
    assert undo_lines(()) == ()

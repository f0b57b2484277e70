"""Every recorded machine gives the layout, mapping and coverage written beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from fakes import recorded_machines as recorded
from snap_self.disks.coverage import choose
from snap_self.disks.flush import flush_plan
from snap_self.disks.layout import read_layout
from snap_self.disks.mapping import DiskMap, map_disks
from snap_self.disks.superblocks import OVERLAY
from snap_self.errors import SnapSelfError
from snap_self.model.disks import MOUNT, Coverage, Layout, Selection
from snap_self.model.flushing import to_sync
from snap_self.model.machine import PathFact

NAMES = recorded.names()
CASES = [
    pytest.param(name, case, id=f"{name}-{number}")
    for name in NAMES
    for number, case in enumerate(recorded.expected(name)["cases"])
]


def layout_of(name: str) -> Layout:
    return read_layout(recorded.machine(name))


def map_of(name: str, layout: Layout) -> DiskMap:
    return map_disks(
        layout,
        recorded.cloud_disks(name),
        instance_id=recorded.INSTANCE,
        serial_to_disk={},
        user_map={},
    )


def coverage_of(name: str, case: Mapping[str, Any]) -> Coverage:
    layout = layout_of(name)
    selection = Selection(
        paths=tuple(case["paths"]), disks=tuple(case["disks"]), exclude=tuple(case["exclude"])
    )
    paths = [PathFact(asked=path, real=path, mount_id=None) for path in selection.paths]
    return choose(layout, map_of(name, layout), selection, paths)


def test_at_least_fourteen_machines_are_recorded() -> None:
    assert len(NAMES) >= 14


@pytest.mark.parametrize("name", NAMES)
def test_layout_of_recorded_machine_is_as_written(name: str) -> None:
    layout = layout_of(name)
    expected = recorded.expected(name)
    assert sorted(d.name for d in layout.disks.values() if d.kind == "disk") == expected["disks"]
    filesystems = [f for f in layout.filesystems.values() if f.fstype != OVERLAY]
    assert {f.mounts[0].path: sorted(f.disks) for f in filesystems} == expected["filesystems"]
    spans = {f"{span.kind} {span.name} {'+'.join(sorted(span.disks))}" for span in layout.spans}
    assert spans == set(expected["spans"])
    assert {path: sorted(disks) for path, disks in layout.swaps.items()} == expected["swaps"]


@pytest.mark.parametrize("name", NAMES)
def test_chains_of_recorded_machine_are_as_written(name: str) -> None:
    chains = {
        f.mounts[0].path: [" ← ".join(layer.words for layer in way) for way in f.ways]
        for f in layout_of(name).filesystems.values()
    }
    expected = recorded.expected(name)["chains"]
    assert {path: chains[path] for path in expected} == expected


@pytest.mark.parametrize("name", NAMES)
def test_ways_of_a_filesystem_end_at_its_disks(name: str) -> None:
    for filesystem in layout_of(name).filesystems.values():
        assert [way[-1].device for way in filesystem.ways] == sorted(filesystem.disks)
        for way in filesystem.ways:
            assert way[0].kind == MOUNT
            assert filesystem.way_to(way[-1].device) == way
        assert filesystem.way_to("no-disk-of-it") == ()


@pytest.mark.parametrize("name", NAMES)
def test_mapping_of_recorded_machine_is_as_written(name: str) -> None:
    disk_map = map_of(name, layout_of(name))
    expected = recorded.expected(name)
    mapped = {e.cloud.disk_id: e.local.name if e.local else None for e in disk_map.disks}
    assert mapped == expected["mapped"]
    assert all(text in disk_map.doubts[disk_id] for disk_id, text in expected["doubts"].items())
    assert {i for i, name in mapped.items() if name is None} == set(disk_map.doubts)


@pytest.mark.parametrize(("name", "case"), [p for p in CASES if "error" not in p.values[1]])
def test_choice_on_recorded_machine_covers_what_is_written(
    name: str, case: Mapping[str, Any]
) -> None:
    coverage = coverage_of(name, case)
    assert [target.cloud.disk_id for target in coverage.targets] == case["targets"]
    assert {entry.disk_id for entry in coverage.skipped} == set(case["skipped"])
    assert all(case["skipped"][entry.disk_id] in entry.why for entry in coverage.skipped)
    assert sorted(span.name for span in coverage.spans) == sorted(case["spans"])
    assert sorted(span.name for span in coverage.torn) == sorted(case["torn"])
    assert sorted(entry.what for entry in coverage.not_covered) == sorted(case["not_covered"])
    if "flushes" in case:
        assert [flush.path for flush in to_sync(flush_plan(coverage))] == case["flushes"]


@pytest.mark.parametrize(("name", "case"), [p for p in CASES if "error" in p.values[1]])
def test_choice_on_recorded_machine_is_refused_as_written(
    name: str, case: Mapping[str, Any]
) -> None:
    with pytest.raises(SnapSelfError) as refused:
        coverage_of(name, case)
    assert refused.value.code == case["error"]
    told = f"{refused.value.message} {refused.value.hint}"
    assert [text for text in case["says"] if text not in told] == []

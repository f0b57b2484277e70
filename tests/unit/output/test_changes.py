"""Package managers' changes, from the hooks' log to what `show` prints."""

from __future__ import annotations

import io
from datetime import datetime, timezone
from pathlib import Path

import pytest

from snap_self.model.ids import InstanceId, RegionId, RunId
from snap_self.model.packages import CHANGE, REMOVE, UPGRADE, Package, Transaction
from snap_self.model.snapshots import Identity
from snap_self.output.shown import shown_json, write_shown
from snap_self.output.streams import make_streams
from snap_self.system.managers.change_log import ChangeLog
from snap_self.system.managers.state import ManagerState
from snap_self.usecases.show import Shown

RUN = RunId("20261122t220000z-abc123")
PACKAGES = [
    Package("libc6", UPGRADE, arch="amd64", old="2.36-9", new="2.36-10"),
    Package("old", REMOVE, old="1.4"),
    Package("glibc", CHANGE),
]


def shown(folder: Path) -> Shown:
    return Shown(
        identity=Identity(
            instance_id=InstanceId("i-1"),
            region=RegionId("cn-hangzhou"),
            zone="",
            account="",
            instance_type="",
            source="single items",
            mode="plain",
        ),
        snapshots=(),
        record=None,
        notes=(),
        changes=ChangeLog(folder).of(RUN),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a state directory in which a hook wrote two changes down."""
    state = ManagerState(
        f"{tmp_path}/run", config=f"{tmp_path}/etc", limit_file=f"{tmp_path}/limit"
    )
    directory = tmp_path / "state"
    state.log(str(directory), RUN, Transaction("apt", PACKAGES))
    state.log(str(directory), RUN, Transaction("dnf", PACKAGES[:1], program="yum"))
    return directory


def test_every_package_of_every_change_is_printed(folder: Path) -> None:
    out = io.StringIO()
    streams = make_streams(out, io.StringIO(), env={}, verbosity=0, json=False)
    write_shown(streams, shown(folder), now=datetime(2026, 11, 22, tzinfo=timezone.utc))
    first, *packages, second, last = out.getvalue().splitlines()
    assert first.startswith("Change     apt at 20")
    assert first.endswith("Z, 3 packages:")
    assert packages == [
        "  upgrade libc6:amd64 2.36-9 -> 2.36-10",
        "  remove old 1.4",
        "  change glibc",
    ]
    assert "yum" in second
    assert second.endswith(", 1 package:")
    assert last == packages[0]


def test_json_has_what_was_announced_and_null_for_the_rest(folder: Path) -> None:
    first, second = shown_json(shown(folder))["changes"]
    assert first["packages"][1:] == [
        {"name": "old", "action": "remove", "arch": None, "from": "1.4", "to": None},
        {"name": "glibc", "action": "change", "arch": None, "from": None, "to": None},
    ]
    assert second["program"] == "yum"


@pytest.mark.parametrize(
    "line",
    [
        '{"at": "2026-11-2',
        "[]",
        "null",
        '{"at": "now", "program": "apt", "packages": []}',
        '{"at": "2026-11-22T22:00:00Z", "program": "apt", "packages": [{"name": "x"}]}',
        '{"at": "2026-11-22T22:00:00Z", "program": "apt", "packages": 5}',
        "\udcff" * 5,
    ],
)
def test_damaged_line_is_left_out_and_the_others_are_read(folder: Path, line: str) -> None:
    path = folder / "changes" / f"{RUN}.jsonl"
    path.write_bytes(line.encode("utf-8", "surrogateescape") + b"\n" + path.read_bytes())
    assert len(ChangeLog(folder).of(RUN)) == 2


def test_manager_is_read_and_unknown_in_what_an_older_version_wrote(folder: Path) -> None:
    path = folder / "changes" / f"{RUN}.jsonl"
    older = '{"at": "2026-11-22T22:00:00Z", "program": "apt", "packages": []}\n'
    path.write_text(path.read_text(encoding="utf-8") + older, encoding="utf-8")
    assert [change.manager for change in ChangeLog(folder).of(RUN)] == ["apt", "dnf", ""]


def test_run_without_a_log_has_no_changes(tmp_path: Path) -> None:
    assert ChangeLog(tmp_path).of(RUN) == ()
    assert ChangeLog(tmp_path).of(RunId("../state")) == ()

"""What a hook takes from the main job's report, whole or not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from snap_self.changes.reports import read_report, what_failed, what_lacks
from snap_self.errors import CloudRefused
from snap_self.model.job_end import Ending, JobEnd
from snap_self.model.manager_facts import Mounted
from snap_self.output.jsonform import dumps, fault_json

MADE: dict[str, Any] = {
    "result": "done",
    "error": None,
    "run": {"id": "20261122t220000z-abc123"},
    "snapshots": [{"snapshot_id": f"s-{n}"} for n in range(5)],
    "consistency": {"asked": "flush", "reached": "flush", "why": ""},
    "disks": [{"mounts": [{"path": "/", "fstype": "ext4"}, {"path": "/srv", "fstype": "xfs"}]}],
    "not_covered": [],
}
ROOT = (Mounted("/", "ext4"), Mounted("/srv", "xfs"), Mounted("/proc", "proc"))


def report(**changes: Any) -> bytes:
    return json.dumps({**MADE, **changes}).encode()


def test_snapshots_and_the_run_are_told() -> None:
    told = read_report(report())
    assert told.run_id == "20261122t220000z-abc123"
    assert told.sentence == "snapshot made: s-0, s-1, s-2 and 2 more"
    assert (told.less, told.error) == ("", "")


def test_reused_snapshot_is_told_as_such() -> None:
    assert read_report(report(result="reused")).sentence.startswith("the earlier snapshot serves")


def test_reused_snapshot_that_is_partial_is_told_as_reused() -> None:
    told = read_report(report(result="partial", of_earlier=True))
    assert told.sentence.startswith("the earlier snapshot serves")
    told = read_report(report(result="partial", of_earlier=False))
    assert told.sentence.startswith("snapshot made")


def test_what_makes_a_snapshot_partial_is_told_wherever_it_lies() -> None:
    gaps = [{"what": "/srv/old", "left_out": True}, {"what": "/mnt/nas", "left_out": False}]
    assert (
        what_lacks(read_report(report(not_covered=gaps)), ROOT) == "Not in the snapshot: /srv/old"
    )


def test_disk_that_makes_a_snapshot_partial_is_told_where_nothing_is_mounted_from_it() -> None:
    skipped = [{"disk_id": "d-1", "asked": True}, {"disk_id": "d-2", "asked": False}]
    assert what_lacks(read_report(report(skipped=skipped)), ROOT) == "Not in the snapshot: d-2"


def test_what_the_configuration_leaves_out_is_not_told_at_each_change() -> None:
    mounts = [*ROOT, Mounted("/var/lib/mysql", "xfs")]
    excluded = [{"what": "/data", "paths": ["/data", "/var/lib/mysql"]}]
    assert what_lacks(read_report(report()), mounts) == "Not in the snapshot: /var/lib/mysql"
    assert what_lacks(read_report(report(excluded=excluded)), mounts) == ""


def test_what_is_less_than_asked_is_told() -> None:
    why = {"asked": "filesystem", "reached": "flush", "why": "/ is not frozen"}
    assert read_report(report(consistency=why)).less == "/ is not frozen"


@pytest.mark.parametrize(
    ("gaps", "more", "said"),
    [
        ([], [], ""),
        (["/mnt/nas", "/srv/share", "/home", "mounts seen by 2 other process(es)"], [], ""),
        (["/var/lib/docker/overlay2/x/merged", "/var/lib/kubelet/pods/y"], [], ""),
        (["/var (in mount namespace 4026532211)"], [], ""),
        (["/"], [], "Not in the snapshot: /"),
        (["/boot/efi", "/usr"], [], "Not in the snapshot: /usr, /boot/efi"),
        (["/usrlocal"], [], ""),
        ([], [("/boot", "ext4")], "Not in the snapshot: /boot"),
        ([], [("/var/lib/mysql", "xfs"), ("/var/tmp", "tmpfs"), ("/etc", "overlay")],
         "Not in the snapshot: /var/lib/mysql"),
        (["/var"], [("/var", "zfs")], "Not in the snapshot: /var"),
        (["/etc", "/opt", "/usr", "/var", "/boot"], [],
         "Not in the snapshot: /etc, /opt, /usr, /var and 1 more"),
    ],
)  # fmt: skip
def test_what_a_package_manager_writes_to_and_the_snapshot_lacks_is_told(
    gaps: list[str], more: list[tuple[str, str]], said: str
) -> None:
    told = read_report(report(not_covered=[{"what": gap} for gap in gaps]))
    assert what_lacks(told, [*ROOT, *(Mounted(*each) for each in more)]) == said


def test_error_is_told_with_its_mend() -> None:
    out = dumps(fault_json(CloudRefused("refused:\n no", hint="allow it"))).encode()
    told = read_report(out)
    assert told.run_id == ""
    assert (
        what_failed(JobEnd(Ending.EXITED, status=9, out=out), told, 60) == "refused: no; allow it"
    )


@pytest.mark.parametrize("out", [b"", b"{", b"[]", b"null", b'"x"', b"{}", b"\xff", b"[" * 99999])
def test_report_that_is_none_names_no_run(out: bytes) -> None:
    assert read_report(out).run_id == ""


@pytest.mark.parametrize(
    ("ended", "why"),
    [
        (JobEnd(Ending.TIMED_OUT), "it was not made within 60 s"),
        (JobEnd(Ending.KILLED), "the process that makes it was killed"),
        (
            JobEnd(Ending.NOT_STARTED, err=b"No such file"),
            "snap-self could not be started: No such file",
        ),
        (
            JobEnd(Ending.EXITED, status=1, err=b"Traceback\nMemoryError\n"),
            "snap-self ended with status 1: MemoryError",
        ),
        (JobEnd(Ending.EXITED, status=3), "snap-self ended with status 3"),
    ],
)
def test_end_without_a_report_is_told_in_a_sentence(ended: JobEnd, why: str) -> None:
    assert what_failed(ended, read_report(ended.out), 60.0) == why

"""What `diff` shows: one screen whatever changed, everything where it is asked for."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from fakes.builders import INSTANCE, NOW, RUN
from fakes.looking import cut, file, link, manifest, packages
from fakes.looking_back import copy_record
from json_schemas import hold
from snap_self.errors import DiskLeft, ExitStatus
from snap_self.model.differences import Differences, Kind, Part
from snap_self.model.ids import DiskId, RunId
from snap_self.model.looking import Content, Contents, DiffReport, Looked
from snap_self.model.manifest import BootFile, Listening, Manifest, Mounted, Package, User
from snap_self.model.temporary import CopyRecord, DiskStage, Purpose, Stage
from snap_self.output.cells import cell_width
from snap_self.output.differences import differences_json, summary, write_differences
from snap_self.output.streams import make_streams
from snap_self.recovery.differences import compare, marked

FIVE = ("packages", "files", "units", "kernel", "boot")
OTHER = RunId("20261120t080000z-123456")


def looked(run_id: RunId | None = RUN, **facts: Any) -> Looked:
    known = {"before": "os upgrade" if run_id else "", "instance_id": INSTANCE, "taken": NOW}
    return Looked(run_id=run_id, **{**known, **facts})


def report(one: Manifest, other: Manifest, **more: Any) -> DiffReport:
    known = {"before": looked(), "after": looked(None), "differences": compare(one, other)}
    return DiffReport(**{**known, **more})


def said(told: DiffReport, *, status: ExitStatus = ExitStatus.DONE) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    streams = make_streams(out, err, env={}, verbosity=0, json=False)
    write_differences(streams, told, status=status, now=NOW + timedelta(days=6))
    return out.getvalue(), err.getvalue()


def copy(life_s: float = 75) -> CopyRecord:
    """Return a copy that was opened and is gone."""
    record = copy_record(NOW)
    (disk,) = record.disks
    gone = replace(disk, stage=DiskStage.GONE, disk_id=DiskId("d-bp1temp0000000000001"), made=NOW)
    record = replace(record, purpose=Purpose.DIFF, stage=Stage.DONE)
    return replace(record, ended=NOW + timedelta(seconds=life_s)).with_disk(0, gone)


def lines(one: Manifest, other: Manifest, **more: Any) -> list[str]:
    return said(report(one, other, **more))[0].splitlines()


def huge(count: int, version: str) -> Manifest:
    """Return a manifest in which everything there is has a long name and this version."""
    number = len(version)
    names = [f"a-rather-long-name-of-something-{each:04}" for each in range(count)]
    return manifest(
        packages={
            **packages(**{f"p{each}": version for each in range(count)}),
            **{f"only{version}{each}": Package(version="1") for each in range(count)},
        },
        files={
            **{f"/etc/{name}/{name}": file(version) for name in names},
            **{f"/etc/only{version}/{name}": file() for name in names},
        },
        units={f"{name}.service": f"x{version}" for name in names},
        kernel=dict.fromkeys(("running", "default", "cmdline"), version * 60),
        boot={name: BootFile(size=number, mtime_ns=number) for name in names},
        mounts={
            f"/{name}": Mounted(source="/dev/x", fstype="ext4", options=version) for name in names
        },
        users={name: User(uid=number, gid=1, shell="/bin/sh") for name in names},
        groups=dict.fromkeys(names, number),
        listening=tuple(
            Listening(proto="tcp", address="::", port=each, program=version)
            for each in range(1, count + 1)
        ),
        alternatives=dict.fromkeys(names, version),
        diversions=dict.fromkeys(names, version),
        left_out=tuple(cut(part.value, "the time ran out " * 9) for part in Part),
    )


def test_machine_on_which_nothing_changed_says_so_and_what_was_compared() -> None:
    out, err = said(report(manifest(), manifest()))
    assert out.splitlines() == [
        f"Since run {RUN}, 2026-11-22 18:39 UTC (6d ago), before 'os upgrade'",
        "No difference in packages, /etc, units, kernel, boot files, mounts, users, groups, "
        "listening ports,",
        "  alternatives, diversions",
        "Not compared  content outside /etc",
    ]
    assert err == f"`snap-self diff {RUN} PATH` shows contents then and now.\n"


def test_packages_have_both_versions() -> None:
    told = lines(
        manifest(packages=packages(openssl="3.0.14-1", libssl1="1.1.1w-0")),
        manifest(packages=packages(openssl="3.0.15-1", jq="1.6-2")),
    )
    assert told[1:5] == [
        "Packages   1 changed, 1 new, 1 gone",
        "  changed  openssl 3.0.14-1 → 3.0.15-1",
        "  new      jq 1.6-2",
        "  gone     libssl1 1.1.1w-0",
    ]


def test_files_say_what_of_them_changed() -> None:
    told = lines(
        manifest(files={"/etc/ssh/sshd_config": file("aa"), "/etc/l": link("a"), "/etc/d": file()}),
        manifest(
            files={
                "/etc/ssh/sshd_config": file("bb", mode=0o600, uid=1),
                "/etc/l": link("b"),
                "/etc/d": link("x"),
            }
        ),
    )
    assert told[1] == "/etc       3 changed"
    assert told[2].startswith("  changed  d (file → link), l (link), ssh/sshd_config (mode")
    whole = lines(
        manifest(files={"/etc/ssh/sshd_config": file("aa")}),
        manifest(files={"/etc/ssh/sshd_config": file("bb", mode=0o600, uid=1)}),
        everything=True,
    )
    assert whole[2] == ("  ~ /etc/ssh/sshd_config (content, mode 0644 → 0600, owner 0:0 → 1:0)")


def test_units_are_told_by_what_became_of_them() -> None:
    told = lines(
        manifest(units={"a.service": "enabled", "b.timer": "masked", "c.service": "drop-ins:1"}),
        manifest(units={"b.timer": "enabled", "c.service": "drop-ins:2", "d.service": "enabled"}),
    )
    assert told[1] == (
        "Units      no longer enabled a.service; now enabled 2; no longer masked 1; "
        "drop-ins changed 1"
    )


def test_kernel_says_what_runs_and_what_starts_next() -> None:
    told = lines(
        manifest(kernel={"running": "6.1.0-26", "default": "6.1.0-26", "cmdline": "a"}),
        manifest(kernel={"running": "6.1.0-28", "default": "6.1.0-29", "cmdline": "b"}),
    )
    assert told[1] == (
        "Kernel     running 6.1.0-28 (was 6.1.0-26), next start 6.1.0-29 (was 6.1.0-26), "
        "command line differs"
    )


def test_what_was_not_compared_is_never_among_what_is_equal() -> None:
    told = lines(manifest(left_out=(cut("packages"),)), manifest())
    assert not any(line.startswith("No difference in packages") for line in told)
    assert "Not compared  packages of then: the time ran out" in told


@pytest.mark.parametrize("everything", [False, True])
def test_doubts_beyond_a_few_are_counted_or_named(*, everything: bool) -> None:
    lacks = tuple(cut(part.value) for part in Part)
    told = lines(manifest(left_out=lacks), manifest(), everything=everything)
    shown = [line for line in told if "the time ran out" in line]
    assert len(shown) == (len(Part) if everything else 2)
    assert any("10 more (--all tells which)" in line for line in told) is not everything


def test_whatever_changed_the_screen_holds_it() -> None:
    told = lines(huge(500, "1"), huge(500, "22"))
    assert len(told) <= 23
    assert max(map(cell_width, told)) <= 100
    assert any(line.endswith("more") for line in told)


def test_everything_is_named_on_a_line_of_its_own_where_it_is_asked_for() -> None:
    told = lines(huge(50, "1"), huge(50, "22"), everything=True)
    assert sum(line.startswith("  ~ ") for line in told) == 50 * 10 + 3


def test_what_changes_by_itself_is_marked_where_all_is_shown() -> None:
    found = marked(
        compare(manifest(), manifest(files={"/etc/mtab": file()})), {Part.FILES: ("/etc/mtab",)}
    )
    told = lines(manifest(), manifest(), differences=found, everything=True)
    assert "  + /etc/mtab  (changes by itself)" in told


def test_two_runs_are_both_named() -> None:
    told = lines(manifest(), manifest(), before=looked(OTHER), after=looked(RUN))
    assert told[0].startswith(f"From run {OTHER}, ")
    assert told[1].startswith(f"to run {RUN}, ")


def test_manifest_of_another_instance_is_told() -> None:
    told = lines(manifest(), manifest(), before=looked(instance_id="i-other"))
    assert told[1] == f"The first is of i-other, the second of {INSTANCE}"


def test_paths_outside_of_etc_are_told_as_not_in_a_manifest() -> None:
    paths = ("/etc/ssh", "/srv/app")
    told = lines(manifest(), manifest(), paths=paths, outside=("/srv/app",), unread=paths)
    assert told[1:] == [
        "No difference that a manifest tells, in what of these lies in /etc",
        "Not compared  /srv/app: a manifest tells of /etc alone",
        "              contents: a manifest has digests of them alone",
    ]


def test_contents_are_shown_as_a_unified_diff() -> None:
    found = Content(path="/etc/a", kind=Kind.CHANGED, lines=("--- then", "+++ now", "-x", "+y"))
    other = Content(path="/etc/b", kind=Kind.CHANGED, why="not text")
    told = lines(
        manifest(),
        manifest(),
        paths=("/etc",),
        contents=Contents(found=(found, other), same=3),
    )
    assert told[1:8] == [
        "/etc/a: changed",
        *("--- then", "+++ now", "-x", "+y"),
        "/etc/b: not text",
        "3 files with the same content",
    ]


def test_path_in_etc_that_is_equal_by_its_digest_lacks_nothing() -> None:
    out, err = said(report(manifest(), manifest(), paths=("/etc/ssh",)))
    assert out.splitlines()[1:] == [
        "No difference that a manifest tells, in what of these lies in /etc"
    ]
    assert err == ""


def test_path_outside_of_etc_that_was_looked_at_has_nothing_told_of_etc() -> None:
    told = lines(manifest(), manifest(), paths=("/srv",), contents=Contents(same=2))
    assert told[1:] == ["2 files with the same content"]


def test_two_runs_name_what_shows_the_contents_that_they_lack() -> None:
    told = report(manifest(), manifest(), after=looked(OTHER), paths=("/etc",), unread=("/etc",))
    assert f"`snap-self mount {RUN}` opens the snapshot" in said(told)[1]


def test_bytes_that_are_no_text_of_any_terminal_are_made_printable() -> None:
    found = Content(path="/srv/\udcff", kind=Kind.CHANGED, lines=("-\x1b[2J", "+\udcfe\u202e"))
    told = report(manifest(), manifest(), paths=("/srv",), contents=Contents(found=(found,)))
    out, _ = said(told)
    assert out.isprintable() or not set(out) & {"\x1b", "\u202e"}
    assert out.splitlines()[1:4] == ["/srv/\\xff: changed", "-\\x1b[2J", "+\\xfe\\u202e"]


def test_what_was_left_out_of_the_contents_is_named() -> None:
    contents = Contents(notes=("/srv/data was left out: a filesystem of its own is mounted there",))
    told = lines(manifest(), manifest(), paths=("/srv",), contents=contents)
    assert told[1].startswith("Not compared  /srv/data was left out: a filesystem")


def test_disk_that_was_made_to_look_is_told_to_be_gone() -> None:
    contents = Contents(same=1)
    told = report(manifest(), manifest(), paths=("/srv",), contents=contents, copy=copy())
    assert "The temporary disk is deleted after 75 s." in said(told)[1]


def test_disk_that_stays_is_the_last_word() -> None:
    left = DiskLeft("d-temp could not be deleted", hint="snap-self unmount --all")
    told = report(
        manifest(), manifest(), paths=("/srv",), contents=Contents(), copy=copy(), left=left
    )
    _, err = said(told, status=ExitStatus.DISK_LEFT)
    assert err.splitlines()[-2:] == [
        "snap-self: d-temp could not be deleted",
        "  -> snap-self unmount --all",
    ]
    found = differences_json(told, ExitStatus.DISK_LEFT)
    hold(found, "diff")
    assert (found["result"], found["error"]["code"]) == ("partial", "disk-left")
    assert [disk["disk_id"] for disk in found["disks"]] == ["d-bp1temp0000000000001"]


@pytest.mark.parametrize(
    ("differences", "words"),
    [
        (Differences(), "nothing that a manifest tells"),
        (
            compare(manifest(packages=packages(a="1")), manifest(packages=packages(a="2"))),
            "1 package",
        ),
        (
            compare(
                manifest(
                    packages=packages(a="1", b="1"),
                    files={"/etc/a": file("1")},
                    kernel={"running": "6.1.0-26"},
                    users={"x": User(uid=1, gid=1, shell="")},
                ),
                manifest(
                    packages=packages(a="2", b="2"),
                    files={"/etc/a": file("2")},
                    kernel={"running": "6.1.0-28"},
                ),
            ),
            "2 packages, 1 file in /etc, kernel 6.1.0-26 → 6.1.0-28, 1 user",
        ),
        (
            compare(manifest(left_out=(cut("files"),)), manifest()),
            "nothing that a manifest tells (not compared: /etc)",
        ),
        (
            compare(manifest(left_out=tuple(cut(part.value) for part in Part)), manifest()),
            "not known: the machine could not be read",
        ),
        (
            compare(
                manifest(left_out=tuple(cut(part.value) for part in Part)),
                manifest(left_out=(cut("groups"),)),
            ),
            "not known: the machine could not be read",
        ),
        (
            compare(
                manifest(packages=packages(a="1"), left_out=tuple(map(cut, FIVE))),
                manifest(packages=packages(a="2")),
            ),
            "1 package (not compared: packages, /etc, units and 2 more)",
        ),
        (
            compare(
                manifest(kernel={"running": "1", "default": "1"}),
                manifest(kernel={"running": "1", "default": "2"}),
            ),
            "kernel at the next start 1 → 2",
        ),
    ],
)
def test_summary_counts_what_differs_in_one_line(differences: Differences, words: str) -> None:
    assert summary(differences) == words


def test_json_has_every_difference_with_both_sides_and_no_digest() -> None:
    told = differences_json(
        report(
            manifest(files={"/etc/a": file("secretdigest1")}, packages=packages(a="1")),
            manifest(files={"/etc/a": file("secretdigest2")}, packages=packages(a="2")),
        ),
        ExitStatus.DIFFERENT,
    )
    assert (told["exit_status"], told["different"]) == (103, True)
    assert told["packages"] == [
        {
            "name": "a",
            "change": "changed",
            "what": ["version"],
            "from": {"version": "1", "state": "installed", "held": False},
            "to": {"version": "2", "state": "installed", "held": False},
            "usual": False,
        }
    ]
    assert told["files"][0]["what"] == ["content"]
    assert "secretdigest" not in str(told)


@pytest.mark.parametrize("versions", [("1", "22"), ("1", "1")])
def test_json_is_as_its_schema_says(versions: tuple[str, str]) -> None:
    one, other = (huge(3, version) for version in versions)
    found = Contents(found=(Content(path="/a", kind=Kind.NEW, lines=("x",)),), notes=("n",))
    told = replace(report(one, other), contents=found, paths=("/a",), outside=("/b",))
    hold(differences_json(told, ExitStatus.DONE), "diff")

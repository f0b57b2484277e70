"""What a tired person sees on a terminal: few rows, none broken in a word, the verdict at the end.

The rows are those of a terminal (pyte) that the real command wrote to.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from screen_rig import BEFORE, GOOD, Faults, Seen, console, serial

from agent_runner import CHECKOUT, AgentRunner
from ecs_simulator.config import LifeTimes
from ecs_simulator.faults import Fault
from hook_samples import SAMPLES
from snap_self.errors import ExitStatus
from snap_self.output.cells import cell_width

ROWS, COLUMNS = 24, 80
# Without a terminal, for eight disks.
LOG_LINES = 12
LACKING = Faults(local=1, shares=3)
SAFE = f"Safe to go on with: {BEFORE}"
NOT_SAFE = f"Do not go on with: {BEFORE}, unless"
SHOW = re.compile(r"snap-self show \d{8}t\d{6}z-[0-9a-f]{6}$")
SNAPSHOT_ID = re.compile(r"s-bp1[0-9a-z]{17}")
REFUSED = Fault(kind="error", action="CreateSnapshot", code="Forbidden.RAM", status=403, count=99)
# Of these no word is to be read where nothing was made.
PROMISES = ("kept until", "reboot", "first snapshot", "To go back", "Safe", "uploaded")
RISKY = SAMPLES["apt"].replace(b"hello", b"libc6")
HOOK = (sys.executable, str(Path(__file__).with_name("hook_on_screen.py")))


def ids(rows: Sequence[str]) -> list[str]:
    """Return the snapshots that these rows name whole."""
    return SNAPSHOT_ID.findall("\n".join(rows))


def assert_fits(seen: Seen, *, rows: int = ROWS, columns: int = COLUMNS) -> None:
    """Hold that all is on the screen together with the prompt, and that no line wraps."""
    found = (seen.scrolled, len(seen.rows) < rows, seen.tallest <= rows)
    assert found == (0, True, True), seen.text
    assert [each for each in seen.said if cell_width(each) > columns] == []


def assert_ends_well(seen: Seen) -> None:
    """Hold that the end has the verdict, the way back and what a reboot would do."""
    rows = list(seen.rows)
    at = rows.index(SAFE)
    assert seen.styles[SAFE] == {"bold", "green"}
    assert SHOW.search(rows[at + 1]), seen.text
    assert rows[at + 2].startswith("No stop or reboot of this instance before it is uploaded")


@pytest.mark.parametrize("disks", [1, 2, 8, 16])
def test_good_snapshot_when_made_then_fits_one_screen_with_the_verdict_at_its_end(
    agent: AgentRunner, tmp_path: Path, disks: int
) -> None:
    with console(agent, tmp_path, disks=disks) as one:
        seen = one.job()
    assert seen.status == 0, seen.text
    assert_fits(seen)
    assert_ends_well(seen)
    assert seen.rows[0].startswith(f"Snapshot of {disks} disk")
    assert "kept until 20" in seen.text
    assert len(set(ids(seen.rows))) == disks
    assert "vda" in seen.text
    assert "Not in it" not in seen.text


@pytest.mark.parametrize("disks", [2, 8, 16])
def test_incomplete_snapshot_when_made_then_says_on_one_screen_what_it_lacks_by_reason(
    agent: AgentRunner, tmp_path: Path, disks: int
) -> None:
    with console(agent, tmp_path, disks=disks, faults=LACKING) as one:
        seen = one.job()
    assert seen.status == 101, seen.text
    assert_fits(seen)
    assert len(set(ids(seen.rows))) == disks - 1
    assert f"d-{serial(disks - 1)}" in seen.text
    assert seen.text.count("Not in it:") == 2
    assert seen.text.count("nfs4 is a network") == 1
    verdict = seen.row_of(NOT_SAFE)
    assert seen.styles[verdict] == {"bold", "brown"}  # pyte's name of the third colour
    assert seen.text.count("--exclude MOUNTPOINT") == 1
    assert SAFE not in seen.text


def test_incomplete_snapshot_when_quiet_then_still_tells_why_the_status_is_not_0(
    agent: AgentRunner, tmp_path: Path
) -> None:
    with console(agent, tmp_path, disks=2, faults=LACKING) as one:
        seen = one.job("--quiet")
    assert seen.status == 101, seen.text
    assert f"d-{serial(1)}" in seen.row_of("Not in it: ")
    assert NOT_SAFE in seen.text
    assert not any(words in seen.text for words in ("To go back", "kept until"))


def test_incomplete_snapshot_when_there_are_many_long_reasons_then_all_still_fits_one_screen(
    agent: AgentRunner, tmp_path: Path
) -> None:
    faults = Faults(local=1, shares=3, foreign=6)
    with console(agent, tmp_path, disks=8, faults=faults) as one:
        seen = one.job()
    assert seen.status == 101, seen.text
    assert_fits(seen)
    # What decides goes first.
    first = next(row for row in seen.rows if row.startswith("Not in it"))
    assert "/srv/vdh" in first
    assert seen.text.count("Not in it: ") == 3
    assert "/mnt/share0, /mnt/share1, /mnt/share2 (nfs4 is a network" in seen.text


@pytest.mark.parametrize(
    ("columns", "rows", "disks", "faults"),
    [(120, 40, 8, GOOD), (120, 40, 16, LACKING), (40, 24, 1, GOOD), (40, 24, 2, LACKING)],
)
def test_snapshot_when_the_terminal_has_another_size_then_it_fits_there(
    agent: AgentRunner, tmp_path: Path, columns: int, rows: int, disks: int, faults: Faults
) -> None:
    with console(agent, tmp_path, disks=disks, faults=faults) as one:
        seen = one.job(rows=rows, columns=columns)
    assert_fits(seen, rows=rows, columns=columns)
    assert len(set(ids(seen.rows))) == disks - faults.local
    assert any(SHOW.search(row) for row in seen.rows), seen.text


@pytest.mark.parametrize("disks", [6, 8])
def test_incomplete_snapshot_when_reasons_are_long_then_it_fits_a_narrow_screen_too(
    agent: AgentRunner, tmp_path: Path, disks: int
) -> None:
    faults = Faults(local=1, shares=3, foreign=6)
    with console(agent, tmp_path, disks=disks, faults=faults) as one:
        seen = one.job(rows=24, columns=40)
    assert seen.status == 101, seen.text
    assert_fits(seen, columns=40)
    assert len(set(ids(seen.rows))) == disks - 1
    assert seen.text.count("Not in it: ") == 3
    assert seen.text.count("--exclude MOUNTPOINT") == 1
    assert any(SHOW.search(row) for row in seen.rows), seen.text


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["NO_COLOR", "dumb"])
def test_snapshot_when_no_colour_is_wanted_then_all_is_plain_and_as_short(
    agent: AgentRunner, tmp_path: Path, env: Mapping[str, str]
) -> None:
    with console(agent, tmp_path, disks=2, faults=LACKING) as one:
        seen = one.job(**env)
    assert_fits(seen)
    assert set(seen.styles.values()) <= {frozenset()}
    assert seen.row_of(NOT_SAFE)


@pytest.mark.parametrize("faults", [GOOD, LACKING], ids=["good", "lacking"])
def test_log_of_eight_disks_when_there_is_no_terminal_then_has_few_lines(
    agent: AgentRunner, tmp_path: Path, faults: Faults
) -> None:
    with console(agent, tmp_path, disks=8, faults=faults) as one:
        result = one.agent.run("--before", BEFORE, *one.where)
    lines = result.out.splitlines()
    assert all(re.match(r"Snapshot   s-\S+ of d-\S+  group ssg-", line) for line in lines)
    assert len(lines) == 8 - faults.local
    assert len(lines) + len(result.err.splitlines()) <= LOG_LINES, result.err
    assert "\x1b" not in result.out + result.err


def test_upload_of_sixteen_disks_when_it_is_waited_for_then_the_bars_never_scroll(
    agent: AgentRunner, tmp_path: Path
) -> None:
    life = LifeTimes(cut_s=0.05, available_s=0.1, accomplished_s=3.0)
    with console(agent, tmp_path, disks=16, life=life) as one:
        seen = one.job("--wait", "accomplished")
    assert seen.status == 0, seen.text
    assert_fits(seen)
    drawn = seen.said[: seen.said.index(seen.rows[0])]
    assert any(each.startswith("vdb /srv") and "─" in each for each in drawn), drawn
    assert any(re.match(r"and \d+ more disks, each at least", each) for each in drawn), drawn
    assert any("left to upload" in each for each in drawn), drawn
    # They are taken away when they have done their work.
    assert "─" not in seen.text
    assert "reboot" not in seen.text


def test_details_when_asked_for_then_none_is_missing(agent: AgentRunner, tmp_path: Path) -> None:
    with console(agent, tmp_path, disks=2, faults=LACKING) as one:
        seen = one.job("-v", rows=60, columns=200)
    for words in (
        *("Instance   i-", "Disk       d-", "Left out   d-", "Not covered  /mnt/share0 (nfs4)"),
        *("Note       first snapshot of d-", "Note       kept until", "Consistency  crash"),
        *("How to go back:", "aliyun ecs ResetDisk", "Snapshot   s-", "Upload     Nothing holds"),
    ):
        assert words in seen.text
    assert seen.row_of(NOT_SAFE)


def test_refusal_when_nothing_was_made_then_the_error_stands_alone(
    agent: AgentRunner, tmp_path: Path
) -> None:
    with console(agent, tmp_path, disks=1) as one:
        one.cloud.inject(REFUSED)
        seen = one.job()
    assert seen.status == 5, seen.text
    assert_fits(seen)
    assert seen.rows[0].startswith("snap-self: the credentials may not do CreateSnapshot")
    assert seen.styles[seen.rows[0]] == {"bold", "red"}
    assert [word for word in PROMISES if word in seen.text] == []


def test_wait_when_it_runs_out_then_what_goes_on_is_shown_and_the_error_is_last(
    agent: AgentRunner, tmp_path: Path
) -> None:
    life = LifeTimes(cut_s=0.05, available_s=3600.0, accomplished_s=7200.0)
    with console(agent, tmp_path, disks=8, life=life) as one:
        for _ in range(10):
            seen = one.job("--timeout", "2s", "--wait", "accomplished")
            if seen.status != ExitStatus.LOCKED:  # the machine's, by another test's run
                break
    assert seen.status == 12, seen.text
    assert_fits(seen)
    assert len(set(ids(seen.rows))) == 8
    assert SAFE not in seen.text
    assert any(
        row.startswith("snap-self: the snapshots were not accomplished") for row in seen.rows
    )


RUN = ("run", "--before", BEFORE)


def test_run_when_its_command_succeeds_then_no_way_back_is_told(
    agent: AgentRunner, tmp_path: Path
) -> None:
    with console(agent, tmp_path, disks=8) as one:
        seen = one.run(*RUN, *one.where, "--", "true")
    assert seen.status == 0, seen.text
    assert_fits(seen)
    assert len(set(ids(seen.rows))) == 8
    assert f"Safe to go on; the command is started: {BEFORE}" in seen.text
    assert "go back" not in seen.text


@pytest.mark.parametrize("disks", [2, 8])
def test_run_when_its_command_fails_then_the_way_back_is_told_once_and_on_one_screen(
    agent: AgentRunner, tmp_path: Path, disks: int
) -> None:
    with console(agent, tmp_path, disks=disks, faults=LACKING) as one:
        seen = one.run(*RUN, *one.where, "--", "sh", "-c", "exit 3")
    assert seen.status == 3, seen.text
    assert_fits(seen)
    failed = next(n for n, row in enumerate(seen.rows) if "sh: failed with status 3" in row)
    before, after = seen.rows[:failed], seen.rows[failed:]
    assert seen.styles[after[0]] == {"bold", "red"}
    assert "Warning: the snapshot lacks a disk" in " ".join(before)
    assert "go back" not in "\n".join(before)
    assert SHOW.search(after[1])
    # Also where this machine is not there any more.
    assert set(ids(after)) == set(ids(before))
    assert "Roll Back Disk" in " ".join(after)


def test_run_when_its_command_is_ended_by_ctrl_c_then_one_line_tells_where_to_go_back(
    agent: AgentRunner, tmp_path: Path
) -> None:
    with console(agent, tmp_path, disks=1) as one:
        seen = one.run(*RUN, *one.where, "--", "sh", "-c", "kill -INT $$")
    assert seen.status == 130, seen.text
    assert [row for row in seen.rows if "go back" in row] == [seen.rows[-1]]
    assert SHOW.search(seen.rows[-1])


def test_run_in_a_log_when_its_command_fails_then_the_log_has_the_commands_to_go_back(
    agent: AgentRunner, tmp_path: Path
) -> None:
    with console(agent, tmp_path, disks=1) as one:
        result = one.agent.run(*RUN, *one.where, "--", "false")
    assert result.err.count("aliyun ecs ResetDisk") == 1
    assert result.err.index("failed with status 1") < result.err.index("aliyun ecs ResetDisk")


@pytest.mark.parametrize("faults", [GOOD, LACKING], ids=["good", "lacking"])
def test_hook_when_a_change_is_risky_then_says_in_few_whole_lines_what_was_made(
    agent: AgentRunner, tmp_path: Path, faults: Faults
) -> None:
    with console(agent, tmp_path, disks=8, faults=faults) as one:
        seen = one.run(
            str(one.folder),
            "apt",
            program=HOOK,
            stdin=RISKY,
            PYTHONPATH=f"{CHECKOUT / 'agent'}:{CHECKOUT / 'tests'}",
            SNAP_SELF_SNAPSHOT_CONSISTENCY="crash",
        )
    assert seen.status == 0, seen.text
    assert_fits(seen, rows=12)
    assert seen.rows[0].startswith("snap-self: taking a snapshot first")
    assert "snap-self: snapshot made: s-" in seen.text
    assert any(SHOW.search(row) for row in seen.rows), seen.text
    assert seen.rows[-1].startswith("snap-self: no stop or reboot before it is uploaded")

"""What the journal keeps of commands, also when nobody was left to write how they ended."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fakes.clock import FakeClock
from fakes.filesystems import FakeFilesystems
from fakes.journal import FakeJournal
from fakes.lock import FakeLock
from fakes.records import run_record
from snap_self.model.progress import Event
from snap_self.model.run import RunRecord, Stage
from snap_self.usecases.aftercare.commands import explain_lost_commands, note_outcome, note_started
from snap_self.usecases.gate import Gate
from snap_self.usecases.tools import Process, Tools

PID, TICKS = 4711, 900


def unused(*_: object) -> Any:
    raise AssertionError("not needed here")


class Rig:
    """A journal with one finished run, and an agent that lives."""

    def __init__(self, stage: Stage = Stage.FINISHED) -> None:
        clock = FakeClock()
        self.journal = FakeJournal()
        self.events: list[Event] = []
        self.alive = {PID: TICKS}
        self.run_id = run_record(stage=stage).run_id
        self.journal.save(run_record(stage=stage))
        self.lock = FakeLock(clock)
        self.tools = Tools(
            clock=clock,
            machine=unused,  # type: ignore[arg-type]
            filesystems=FakeFilesystems(),
            store=self.journal,
            lock=self.lock,
            process=Process(pid=PID, boot_id="boot"),
            identify=unused,
            connect=unused,
            warm=unused,
            new_run_id=unused,
            busy=unused,
            end_stale_freeze=unused,
            gate=Gate(self.events.append),
            user_map={},
            process_started=self.alive.get,
        )

    @property
    def record(self) -> RunRecord:
        """The record as the journal has it now."""
        record = self.journal.load(self.run_id)
        assert record is not None
        return record


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_started_command_is_in_the_journal_before_it_ends(rig: Rig) -> None:
    assert note_started(rig.tools, rig.run_id) == 1
    assert rig.record.stage is Stage.COMMAND
    assert rig.record.outcome.startswith("running since ")


def test_ended_command_closes_the_record(rig: Rig) -> None:
    note_outcome(rig.tools, rig.run_id, note_started(rig.tools, rig.run_id), "done after 1 s")
    assert rig.record.stage is Stage.FINISHED
    assert rig.record.outcome == "done after 1 s"
    assert rig.record.result == run_record(stage=Stage.FINISHED).result


def test_what_others_wrote_meanwhile_is_kept(rig: Rig) -> None:
    number = note_started(rig.tools, rig.run_id)
    rig.journal.save(replace(rig.record, explained="written by another command"))
    note_outcome(rig.tools, rig.run_id, number, "done")
    assert rig.record.explained == "written by another command"


def test_second_command_of_a_reused_run_keeps_the_first_ones_outcome(rig: Rig) -> None:
    first = note_started(rig.tools, rig.run_id)
    second = note_started(rig.tools, rig.run_id)
    note_outcome(rig.tools, rig.run_id, first, "failed")
    assert rig.record.stage is Stage.COMMAND
    note_outcome(rig.tools, rig.run_id, second, "done")
    assert (rig.record.stage, rig.record.outcome) == (Stage.FINISHED, "failed; done")


def test_main_job_that_did_not_end_stays_to_be_explained() -> None:
    rig = Rig(Stage.CREATING)
    note_outcome(rig.tools, rig.run_id, note_started(rig.tools, rig.run_id), "done")
    assert (rig.record.stage, rig.record.outcome) == (Stage.CREATING, "done")


def test_journal_that_cannot_be_written_is_a_warning_only(rig: Rig) -> None:
    rig.journal.failing = "the disk is full"
    assert note_started(rig.tools, rig.run_id) == 0
    assert "the disk is full" in rig.events[0].text


def test_held_lock_is_a_warning_only(rig: Rig) -> None:
    busy = replace(rig.tools, lock=FakeLock(rig.tools.clock, free_after_s=100.0))
    assert note_started(busy, rig.run_id) == 0
    assert "holds the lock" in rig.events[0].text


def test_running_command_whose_agent_lives_is_left_alone(rig: Rig) -> None:
    note_started(rig.tools, rig.run_id)
    assert explain_lost_commands(rig.tools, rig.record) is None


@pytest.mark.parametrize("fate", ["ended", "number reused", "rebooted"])
def test_command_whose_agent_is_gone_is_explained(rig: Rig, fate: str) -> None:
    note_started(rig.tools, rig.run_id)
    tools = rig.tools
    if fate == "ended":
        rig.alive.clear()
    elif fate == "number reused":
        rig.alive[PID] = TICKS + 1
    else:
        tools = replace(tools, process=Process(pid=PID, boot_id="next boot"))
    closed = explain_lost_commands(tools, rig.record)
    assert closed is not None
    assert closed.stage is Stage.FINISHED
    assert closed.outcome.startswith("not known; started ")
    assert "how it ended, or whether it still runs, is not known" in closed.explained

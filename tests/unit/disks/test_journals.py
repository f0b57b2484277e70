"""The device of an ext4 journal is what the name of its thread tells, and nothing else."""

from __future__ import annotations

import pytest

from snap_self.disks.journals import hidden_journals, outer_journals
from snap_self.model.machine import MachineText

DEVICES = ("vda1", "vdb1", "vdc1")


def machine(task: str, thread: str | None = None) -> MachineText:
    files = {"sys/fs/ext4/vdb1/journal_task": task, "sys/fs/ext4/features/lazy_itable_init": "x\n"}
    if thread is not None:
        files[f"proc/{task.strip()}/comm"] = f"{thread}\n"
    return MachineText(files=files, links={}, failures={})


def test_thread_names_the_device_that_holds_the_journal() -> None:
    assert outer_journals(machine("77\n", "jbd2/vdc1"), DEVICES) == {"vdb1": "vdc1"}


@pytest.mark.parametrize(
    "thread", ["jbd2/vdb1-8", "jbd2/vdb1", "jbd2/vdz1", "jbd2/vdc1-longna", "vdc1", "bash", None]
)
def test_thread_that_names_no_other_device_tells_of_no_outer_journal(thread: str | None) -> None:
    assert outer_journals(machine("77\n", thread), DEVICES) == {}


def test_journal_is_hidden_where_its_thread_is_not_to_be_seen() -> None:
    assert hidden_journals(machine("77\n")) == {"vdb1"}
    assert hidden_journals(machine("0\n")) == {"vdb1"}
    assert hidden_journals(machine("77\n", "jbd2/vdb1-8")) == frozenset()
    assert hidden_journals(machine("<none>\n")) == frozenset()

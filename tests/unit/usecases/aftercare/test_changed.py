"""What a change has made of the machine is noted when it has ended, and fails nothing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

import pytest

from fakes.looking import MadeUpMachine, MemoryAwaited, MemoryManifests, cut, manifest, packages
from fakes.records import run_record
from fakes.taken import ME, Taken
from snap_self.errors import StateUnusable
from snap_self.model.ids import RunId
from snap_self.usecases.aftercare.changed import (
    BESIDE_LIMIT_S,
    await_change,
    note_changed,
    see_to_changes,
)
from snap_self.usecases.since import changed_since
from snap_self.usecases.tools import ManifestTools, Tools

RECORD = run_record()
RUN = RECORD.run_id
KEY = "4711:99"
LIMIT_S = 3600.0


@dataclass
class Case:
    """A machine on which a change goes on for as long as its process is among ``alive``."""

    alive: dict[int, int] = field(default_factory=lambda: {4711: 99})
    manifests: MemoryManifests = field(default_factory=MemoryManifests)
    awaited: MemoryAwaited = field(default_factory=MemoryAwaited)
    taken: Taken = field(default_factory=lambda: Taken.of("one-virtio-disk"))

    def __post_init__(self) -> None:
        self.taken.journal.save(RECORD)
        self.manifests.write(manifest(RUN, packages=packages(a="1")))
        self.machine = MadeUpMachine(manifest(packages=packages(a="2", b="1")))

    @property
    def tools(self) -> Tools:
        return replace(
            self.taken.tools,
            manifests=ManifestTools(reader=self.machine, store=self.manifests),
            awaited=self.awaited,
            process_started=self.alive.get,
        )

    def see(self) -> bool:
        return see_to_changes(self.tools, limit_s=LIMIT_S)

    @property
    def noted(self) -> bool:
        return (RUN, True) in self.manifests.kept


def test_change_that_goes_on_is_waited_for_and_nothing_is_noted() -> None:
    case = Case()
    await_change(case.tools, RUN, KEY)
    assert case.see()
    assert not case.noted


def test_change_that_has_ended_is_noted_once_and_waited_for_no_more() -> None:
    case = Case()
    await_change(case.tools, RUN, KEY)
    case.alive.clear()
    assert not case.see()
    assert case.noted
    assert case.machine.limits == [BESIDE_LIMIT_S]
    case.see()
    assert case.machine.limits == [BESIDE_LIMIT_S]


def test_process_of_the_same_id_that_started_later_is_another() -> None:
    case = Case()
    await_change(case.tools, RUN, KEY)
    case.alive[4711] = 100
    assert not case.see()
    assert case.noted


def test_what_a_reboot_has_ended_is_given_up() -> None:
    case = Case()
    await_change(case.tools, RUN, KEY)
    case.awaited.kept = [replace(each, boot_id="earlier") for each in case.awaited.kept]
    assert not case.see()
    assert (case.noted, case.awaited.kept) == (False, [])


def test_change_that_never_ends_is_noted_at_the_limit() -> None:
    case = Case()
    await_change(case.tools, RUN, KEY)
    case.taken.clock.sleep(LIMIT_S)
    assert not case.see()
    assert case.noted


def test_change_of_a_run_that_the_journal_has_lost_is_given_up() -> None:
    case = Case(alive={})
    await_change(case.tools, RunId("20260101t000000z-000000"), KEY)
    assert not case.see()
    assert case.machine.limits == []
    assert case.awaited.kept == []


@pytest.mark.parametrize("key", ["", "no key"])
def test_change_whose_process_is_not_told_is_not_waited_for(key: str) -> None:
    case = Case()
    assert await_change(case.tools, RUN, key) is None
    assert case.awaited.kept == []


def test_manifest_that_cannot_be_kept_fails_nothing() -> None:
    case = Case()
    case.manifests.fault = StateUnusable("no space left")
    assert not note_changed(case.tools, RUN, ME, limit_s=1.0)


def test_what_differs_since_is_told_when_both_are_noted() -> None:
    case = Case()
    assert changed_since(case.tools, RUN) is None
    assert note_changed(case.tools, RUN, ME, limit_s=1.0)
    since = changed_since(case.tools, RUN)
    assert since is not None
    assert isinstance(since.taken, datetime)
    assert [each.name for each in since.differences.packages] == ["a", "b"]


def test_incomplete_manifest_of_after_is_told_as_such() -> None:
    case = Case()
    case.machine.now = replace(case.machine.now, left_out=(cut("packages"),), complete=False)
    note_changed(case.tools, RUN, ME, limit_s=1.0)
    since = changed_since(case.tools, RUN)
    assert since is not None
    assert [each.why for each in since.differences.not_compared] == ["the time ran out"]


def test_manifest_that_cannot_be_read_is_no_failure() -> None:
    case = Case()
    case.manifests.damaged.add(RUN)
    assert changed_since(case.tools, RUN) is None


def test_second_change_of_a_run_replaces_what_the_first_made() -> None:
    case = Case(alive={})
    await_change(case.tools, RUN, KEY)
    case.see()
    case.machine.now = manifest(packages=packages(a="9"))
    await_change(case.tools, RUN, "4712:100")
    case.see()
    since = changed_since(case.tools, RUN)
    assert since is not None
    assert len(since.differences.packages) == 1

"""What happened, as fields of the system's journal."""

from __future__ import annotations

import re

import pytest

from fakes.records import STARTED
from snap_self.model.occurrences import BAD, Occasion, Occurrence
from snap_self.watching.journal import MESSAGES, journal_fields

# Whoever filters by them does so for years: a kind keeps its id.
IDS = {kind.value: message.message_id for kind, message in MESSAGES.items()}


def test_every_kind_has_an_id_of_its_own_in_the_form_that_the_journal_takes() -> None:
    assert set(MESSAGES) == set(Occasion)
    assert len(set(IDS.values())) == len(Occasion)
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in IDS.values())


@pytest.mark.parametrize("kind", list(Occasion))
def test_what_is_bad_is_at_least_a_warning_and_nothing_else_is(kind: Occasion) -> None:
    # A rollback that waits is as it was asked for, and yet to be seen.
    loud = MESSAGES[kind].priority <= 4
    assert loud is (kind in BAD or kind is Occasion.ARMED)


def test_empty_fields_are_left_out_and_status_nought_is_not() -> None:
    one = Occurrence(kind=Occasion.MADE, at=STARTED, text="made", exit_status=0)
    fields = journal_fields(one)
    assert fields["SNAP_SELF_STATUS"] == "0"
    assert "SNAP_SELF_CODE" not in fields
    assert (fields["MESSAGE"], fields["SYSLOG_IDENTIFIER"]) == ("made", "snap-self")


def test_hint_follows_the_message() -> None:
    one = Occurrence(
        kind=Occasion.FAILED, at=STARTED, text="no snapshot", hint="do it", disks=("d-1", "d-2")
    )
    fields = journal_fields(one)
    assert fields["MESSAGE"] == "no snapshot -> do it"
    assert fields["SNAP_SELF_DISKS"] == "d-1 d-2"

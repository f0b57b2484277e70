"""The gate: nothing is said while anything is frozen, and nothing is lost."""

from __future__ import annotations

import pytest

from snap_self.model.progress import Event, EventKind
from snap_self.usecases.gate import Gate


def note(text: str) -> Event:
    return Event(kind=EventKind.NOTE, text=text)


def test_open_gate_passes_events_at_once() -> None:
    heard: list[Event] = []
    Gate(heard.append)(note("one"))
    assert heard == [note("one")]


def test_shut_gate_says_nothing_until_it_opens_and_keeps_the_order() -> None:
    heard: list[Event] = []
    gate = Gate(heard.append)
    with gate.shut():
        gate(note("one"))
        gate(note("two"))
        assert heard == []
    assert heard == [note("one"), note("two")]


def test_gate_opens_when_the_block_fails() -> None:
    heard: list[Event] = []
    gate = Gate(heard.append)

    def fail_inside() -> None:
        with gate.shut():
            gate(note("one"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_inside()
    gate(note("two"))
    assert heard == [note("one"), note("two")]

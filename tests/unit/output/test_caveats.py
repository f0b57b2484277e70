"""What was not as it should be while a copy was open: each has words and a code."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from fakes.samples import sample
from snap_self.model.opening import Note
from snap_self.model.restored import Mounted, Restored
from snap_self.output.caveats import caveat_lines
from snap_self.output.mounted import write_mounted
from snap_self.output.restored import write_restored
from snap_self.output.streams import Streams, make_streams


def streams(*, verbosity: int = 0, as_json: bool = False) -> tuple[Streams, io.StringIO]:
    """Return streams, and what both of them say."""
    said = io.StringIO()
    return make_streams(said, said, env={}, verbosity=verbosity, json=as_json), said


def mounted(to: Streams) -> None:
    done = replace(sample(Mounted, lambda place: place), caveats=tuple(Note))
    write_mounted(to, done)


def restored(to: Streams) -> None:
    done = replace(sample(Restored, lambda place: place), caveats=tuple(Note), left=None)
    write_restored(to, done)


WRITERS = [mounted, restored]


@pytest.mark.parametrize("write", WRITERS)
def test_text_has_what_counts_and_all_of_it_if_wanted(write: Callable[[Streams], None]) -> None:
    few, said = streams()
    write(few)
    assert "a reboot while the copy is open may take it for the original" in said.getvalue()
    assert "older than Linux" not in said.getvalue()
    all_of, said = streams(verbosity=1)
    write(all_of)
    assert said.getvalue().count("older than Linux") == 2


@pytest.mark.parametrize("write", WRITERS)
def test_json_has_the_code_of_each(write: Callable[[Streams], None]) -> None:
    to, said = streams(as_json=True)
    write(to)
    assert json.loads(said.getvalue())["caveats"] == [note.value for note in Note]


@pytest.mark.parametrize("note", Note)
def test_each_has_words(note: Note) -> None:
    (line,) = caveat_lines([note], all_of=True)
    assert line.startswith("Note: the ")


def test_nothing_is_said_where_all_is_well() -> None:
    assert list(caveat_lines([], all_of=True)) == []

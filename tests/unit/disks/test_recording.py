"""A machine can be written to a file and read back; a wrong file is explained."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snap_self.disks.recording import dump, load
from snap_self.errors import UsageError
from snap_self.model.machine import MachineText


def test_recording_comes_back_as_it_was() -> None:
    machine = MachineText(files={"a": "x\n\udcff"}, links={"b": "../c"}, failures={"d": "why"})
    assert load(dump(machine), origin="x") == machine


def test_recording_is_a_text_with_each_entry_in_a_line_of_its_own_in_order() -> None:
    machine = MachineText(files={"b": "2", "a": "é"}, links={}, failures={})
    files, rest = ' "files": {\n  "a": "\\u00e9",\n  "b": "2"\n }', ' "links": {},\n "failures": {}'
    assert dump(machine) == f"{{\n{files},\n{rest}\n}}\n"


@pytest.mark.parametrize("missing", ["files", "links", "failures"])
def test_part_that_is_missing_is_empty(missing: str) -> None:
    parts = {part: f'{{"{part}": "x"}}' for part in ("files", "links", "failures")}
    del parts[missing]
    text = ", ".join(f'"{part}": {content}' for part, content in parts.items())
    assert getattr(load(f"{{{text}}}", origin="x"), missing) == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nothing", "m.json is not JSON"),
        ("[]", "m.json is not a JSON object"),
        ('{"file": {}}', "m.json: unknown key 'file'"),
        ('{"z": {}, "files": {}, "file": {}}', "m.json: unknown key 'file'"),
        ('{"files": []}', "m.json: files is not an object"),
        ('{"links": {"a": 1}}', r"m.json: links\['a'\] is not a text"),
        ("[" * 100_000, "m.json is not JSON"),
    ],
)
def test_wrong_recording_is_refused_naming_the_attribute(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        load(text, origin="m.json")
    assert "a recorded machine is" in caught.value.hint


@given(st.text())
def test_any_text_is_loaded_or_refused(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert isinstance(load(text, origin="x"), MachineText)

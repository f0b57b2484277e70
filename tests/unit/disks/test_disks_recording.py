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


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nothing", "m.json is not JSON"),
        ("[]", "m.json is not a JSON object"),
        ('{"file": {}}', "unknown key 'file'"),
        ('{"files": []}', "files is not an object"),
        ('{"links": {"a": 1}}', r"links\['a'\] is not a text"),
    ],
)
def test_wrong_recording_is_refused_naming_the_attribute(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        load(text, origin="m.json")


@given(st.text())
def test_any_text_is_loaded_or_refused(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert isinstance(load(text, origin="x"), MachineText)

"""What `reset` says it will remove, and has removed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from json_schemas import hold
from snap_self.model.kept_state import KeptPart, KeptState
from snap_self.output.forgotten import forgotten_json, kept_lines, write_forgotten
from snap_self.output.streams import make_streams
from snap_self.usecases.reset import Forgotten

STATE = Path("/var/lib/snap-self")
RUNS = KeptPart(name="runs", words="runs", files=(STATE / "runs/a.json", STATE / "runs/b.json"))
KEY = KeptPart(name="manifests", words="manifests", files=(STATE / "manifests/key",))
KEPT = KeptState(folder=STATE, parts=(KEY, RUNS))


def said(forgotten: Forgotten, *mapped: str) -> list[str]:
    to = make_streams(io.StringIO(), io.StringIO(), env={}, verbosity=0, json=False)
    write_forgotten(to, forgotten, mapped=mapped)
    out: Any = to.out
    err: Any = to.err
    assert out.getvalue() == ""
    return list(err.getvalue().splitlines())


def test_what_is_gone_is_counted() -> None:
    assert said(Forgotten(kept=KEPT)) == ["Forgotten: manifests (1), runs (2)."]
    assert said(Forgotten(kept=KeptState(folder=STATE))) == ["Nothing is kept of this instance."]


def test_what_stays_and_would_be_in_an_image_is_told() -> None:
    asides = tuple(f"/srv/.snap-self-replaced/a{number}" for number in range(5))
    lines = said(Forgotten(kept=KEPT, asides=asides), "vdb")
    assert len(lines) == 3
    assert lines[1].endswith("/srv/.snap-self-replaced/a2 and 2 more")
    assert "disks.map stays in the configuration (vdb)" in lines[2]


def test_name_of_a_strange_file_cannot_forge_a_line() -> None:
    kept = KeptState(folder=STATE, parts=(RUNS,), strange=(STATE / "a\nForgotten: all.",))
    assert len(said(Forgotten(kept=kept))) == 2


def test_question_says_what_goes_and_what_stays() -> None:
    first, second = kept_lines(KEPT)
    assert first == "In /var/lib/snap-self: manifests (1), runs (2)."
    assert "snapshots and the configuration stay" in second


def test_object_follows_its_schema() -> None:
    strange = KeptState(folder=STATE, parts=(KEY, RUNS), strange=(STATE / "mine",))
    value = forgotten_json(Forgotten(kept=strange, asides=("/srv/x",)), ["a note"])
    hold(value, "reset")
    assert value["forgotten"] == [
        {"part": "manifests", "files": 1},
        {"part": "runs", "files": 2},
    ]

"""A manifest in its file: whatever it holds comes back, and what is none is told to be none."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.manifests import manifest
from snap_self.model.ids import RunId
from snap_self.model.manifest import (
    SCHEMA,
    BootFile,
    FileFact,
    Listening,
    Manifest,
    Missing,
    Mounted,
    Package,
    User,
)
from snap_self.system.manifest.packing import Unreadable, pack, unpack

# Names on disks are bytes: those that are not UTF-8 are lone surrogates here.
TEXT = st.text(st.characters(), max_size=12)
NUMBER = st.integers(min_value=0, max_value=2**63)


def texts(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(TEXT, values, max_size=4)


MISSING = st.builds(Missing, part=TEXT, why=TEXT)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    left_out = tuple(draw(st.lists(MISSING, max_size=2)))
    zone = timezone(timedelta(minutes=draw(st.integers(-700, 700))))
    return Manifest(
        run_id=RunId(draw(TEXT)),
        instance_id=draw(TEXT),
        taken=draw(st.datetimes(timezones=st.just(zone), min_value=datetime(2, 1, 1))),  # noqa: DTZ001
        key_id=draw(TEXT),
        complete=not left_out,
        left_out=left_out,
        manager=draw(TEXT),
        packages=draw(
            texts(
                st.builds(
                    Package, version=TEXT, state=TEXT, held=st.booleans(), automatic=st.booleans()
                )
            )
        ),
        files=draw(
            texts(
                st.builds(
                    FileFact,
                    mode=NUMBER,
                    uid=NUMBER,
                    gid=NUMBER,
                    size=NUMBER,
                    digest=TEXT,
                    target=TEXT,
                )
            )
        ),
        units=draw(texts(TEXT)),
        kernel=draw(texts(TEXT)),
        boot=draw(texts(st.builds(BootFile, size=NUMBER, mtime_ns=st.integers()))),
        mounts=draw(texts(st.builds(Mounted, source=TEXT, fstype=TEXT, options=TEXT))),
        users=draw(
            texts(
                st.builds(
                    User,
                    uid=NUMBER,
                    gid=NUMBER,
                    shell=TEXT,
                    groups=st.lists(TEXT, max_size=3).map(tuple),
                )
            )
        ),
        groups=draw(texts(NUMBER)),
        listening=tuple(
            draw(
                st.lists(
                    st.builds(Listening, proto=TEXT, address=TEXT, port=NUMBER, program=TEXT),
                    max_size=3,
                )
            )
        ),
        alternatives=draw(texts(TEXT)),
        diversions=draw(texts(TEXT)),
    )


@given(manifests())
@settings(max_examples=60)
def test_whatever_a_manifest_holds_comes_back(one: Manifest) -> None:
    assert unpack(pack(one)) == one


def test_every_field_is_stored() -> None:
    # A field that the file forgets would come back as its default.
    assert unpack(pack(manifest())) == manifest()
    bare = Manifest(run_id=RunId(""), instance_id="", taken=manifest().taken, key_id="")
    same = [name for name in Manifest.__slots__ if getattr(bare, name) == getattr(manifest(), name)]
    assert sorted(same) == ["complete", "left_out", "schema", "taken"]


def test_part_that_came_in_pieces_is_put_together() -> None:
    pieces = [{"/etc/a": [1, 2, 3, 4, "d", ""]}, {"/etc/b": [1, 2, 3, 4, "", "t"]}]
    data = stored(manifest(files={}))
    data["parts"] += [["files", piece] for piece in pieces]
    assert sorted(unpack(packed(data)).files) == ["/etc/a", "/etc/b"]


def test_part_of_a_later_version_is_of_no_harm() -> None:
    data = stored(manifest())
    data["parts"].append(["repositories", {"a": 1}])
    assert unpack(packed(data)) == manifest()


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        (SCHEMA + 1, "written by a newer snap-self (schema 2; this one reads schema 1)"),
        (SCHEMA - 1, "written by an older snap-self (schema 0; this one reads schema 1)"),
    ],
    ids=["newer", "older"],
)
def test_other_schema_is_refused_in_words(schema: int, told: str) -> None:
    data = {**stored(manifest()), "schema": schema, "parts": "of another form"}
    with pytest.raises(Unreadable) as raised:
        unpack(packed(data))
    assert told in str(raised.value)


def stored(one: Manifest) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(zlib.decompress(pack(one)))
    return data


def packed(data: object) -> bytes:
    return zlib.compress(json.dumps(data).encode())


WHOLE = pack(manifest())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        WHOLE[:-5],
        WHOLE[: len(WHOLE) // 2],
        zlib.compress(b"not JSON"),
        zlib.compress(b"[" * 100_000),
        packed([]),
        packed({"parts": []}),
        packed({**stored(manifest()), "schema": "1"}),
        packed({**stored(manifest()), "schema": True}),
        packed({**stored(manifest()), "taken": "2026-11-22T08:32:25"}),
        packed({**stored(manifest()), "taken": 5}),
        packed({**stored(manifest()), "run_id": None}),
        packed({**stored(manifest()), "parts": 5}),
        packed({**stored(manifest()), "left_out": [["files"]]}),
        packed({**stored(manifest()), "parts": [None, ["files", {"/etc/a": [1, 2]}]]}),
        packed({**stored(manifest()), "parts": [None, ["files", {"/etc/a": "123456"}]]}),
        packed({**stored(manifest()), "parts": [None, ["files", [1]]]}),
        packed({**stored(manifest()), "parts": [None, ["groups", {"a": "1"}]]}),
        packed({**stored(manifest()), "parts": [None, ["users", {"a": [0, 0, "s", [1]]}]]}),
        packed({**stored(manifest()), "parts": [None, ["listening", [["tcp", "a", True, "b"]]]]}),
    ],
)
def test_damaged_file_is_told_to_be_none(content: bytes) -> None:
    with pytest.raises(Unreadable):
        unpack(content)


def test_manifest_with_missing_parts_is_not_complete() -> None:
    left_out = (Missing(part="files", why="too slow"),)
    one = unpack(pack(replace(manifest(), left_out=left_out)))
    assert (one.complete, one.left_out) == (False, left_out)

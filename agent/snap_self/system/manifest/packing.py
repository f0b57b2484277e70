"""A manifest's values to what a file holds, and back with every shape checked."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

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
from snap_self.system.manifest.packer import Packer, own_facts

MOST_BYTES: Final = 64 << 20
_OBJECTS = (*("packages", "files", "units", "kernel", "boot", "mounts", "users", "groups"),)
_TEXTS = ("alternatives", "diversions")


class Unreadable(Exception):
    """A file holds no manifest that this agent can read; the text says why."""


def pack(manifest: Manifest) -> bytes:
    """Return what a file of the manifest holds."""
    packer = Packer()
    rows: dict[str, Any] = {
        "packages": _rows(manifest.packages, _package_row),
        "files": _rows(manifest.files, _file_row),
        "units": dict(manifest.units),
        "kernel": dict(manifest.kernel),
        "boot": _rows(manifest.boot, lambda each: [each.size, each.mtime_ns]),
        "mounts": _rows(manifest.mounts, lambda each: [each.source, each.fstype, each.options]),
        "users": _rows(manifest.users, lambda u: [u.uid, u.gid, u.shell, list(u.groups)]),
        "groups": dict(manifest.groups),
        "listening": [[s.proto, s.address, s.port, s.program] for s in manifest.listening],
        "alternatives": dict(manifest.alternatives),
        "diversions": dict(manifest.diversions),
    }
    for part, value in rows.items():
        if value:
            packer.add(json.dumps([part, value], separators=(",", ":")).encode())
    return packer.finish(
        own_facts(
            run_id=manifest.run_id,
            instance_id=manifest.instance_id,
            taken=manifest.taken,
            key_id=manifest.key_id,
            left_out=manifest.left_out,
            manager=manifest.manager,
        )
    )


def _rows(values: Mapping[str, Any], row: Callable[[Any], list[Any]]) -> dict[str, list[Any]]:
    return {name: row(value) for name, value in values.items()}


def _package_row(one: Package) -> list[Any]:
    return [one.version, one.state, one.held, one.automatic]


def _file_row(one: FileFact) -> list[Any]:
    return [one.mode, one.uid, one.gid, one.size, one.digest, one.target]


def unpack(content: bytes) -> Manifest:
    """Return the manifest that a file holds.

    Raises:
        Unreadable: it is damaged, or of another schema.
    """
    data = _data(content)
    schema = data.get("schema")
    if type(schema) is not int:
        raise Unreadable("it holds no manifest")
    if schema != SCHEMA:
        age = "a newer" if schema > SCHEMA else "an older"
        reads = f"schema {schema}; this one reads schema {SCHEMA}"
        raise Unreadable(f"it was written by {age} snap-self ({reads})")
    try:
        return _manifest(data)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Unreadable("it is damaged") from None


def _data(content: bytes) -> dict[str, Any]:
    try:
        opened = zlib.decompressobj()
        text = opened.decompress(content, MOST_BYTES)
        if not opened.eof:
            raise Unreadable("it is damaged")
        data = json.loads(text)
    except (zlib.error, ValueError, RecursionError):
        raise Unreadable("it is damaged") from None
    if not isinstance(data, dict):
        raise Unreadable("it holds no manifest")
    return data


def _manifest(data: Mapping[str, Any]) -> Manifest:
    parts: dict[str, dict[str, Any]] = {name: {} for name in (*_OBJECTS, *_TEXTS)}
    listening: list[Any] = []
    for pair in data["parts"][1:]:
        name, entries = pair
        if name == "listening":
            listening += entries
        elif name in parts:  # a part that is not known yet is of no use here
            parts[name].update(entries)
    left_out = tuple(
        Missing(part=part, why=why) for part, why in _checked(data["left_out"], (str, str))
    )
    return Manifest(
        run_id=RunId(_text(data["run_id"])),
        instance_id=_text(data["instance_id"]),
        taken=_instant(data["taken"]),
        key_id=_text(data["key_id"]),
        complete=not left_out,
        left_out=left_out,
        manager=_text(data["manager"]),
        packages=_values(parts["packages"], _PACKAGE, _package),
        files=_values(parts["files"], _FILE, _file),
        units=_plain(parts["units"], str),
        kernel=_plain(parts["kernel"], str),
        boot=_values(parts["boot"], (int, int), lambda v: BootFile(size=v[0], mtime_ns=v[1])),
        mounts=_values(parts["mounts"], (str, str, str), _mounted),
        users=_values(parts["users"], (int, int, str, list), _user),
        groups=_plain(parts["groups"], int),
        listening=tuple(map(_listening, _checked(listening, (str, str, int, str)))),
        alternatives=_plain(parts["alternatives"], str),
        diversions=_plain(parts["diversions"], str),
    )


_PACKAGE = (str, str, bool, bool)
_FILE = (int, int, int, int, str, str)


def _package(v: Sequence[Any]) -> Package:
    return Package(version=v[0], state=v[1], held=v[2], automatic=v[3])


def _file(v: Sequence[Any]) -> FileFact:
    return FileFact(mode=v[0], uid=v[1], gid=v[2], size=v[3], digest=v[4], target=v[5])


def _mounted(v: Sequence[Any]) -> Mounted:
    return Mounted(source=v[0], fstype=v[1], options=v[2])


def _user(v: Sequence[Any]) -> User:
    # The shell that a user logs in with: nothing is run.
    return User(uid=v[0], gid=v[1], shell=v[2], groups=tuple(map(_text, v[3])))  # nosec B604


def _listening(v: Sequence[Any]) -> Listening:
    return Listening(proto=v[0], address=v[1], port=v[2], program=v[3])


def _checked(rows: Sequence[Any], kinds: tuple[type, ...]) -> Sequence[Any]:
    """Return rows whose values are all of these types.

    Raises:
        TypeError: some are not.
    """
    if not all(type(row) is list and tuple(map(type, row)) == kinds for row in rows):
        raise TypeError
    return rows


def _values(
    rows: Mapping[str, Any], kinds: tuple[type, ...], value: Callable[[Sequence[Any]], Any]
) -> dict[str, Any]:
    _checked([*rows.values()], kinds)
    return {name: value(row) for name, row in rows.items()}


def _plain(values: Mapping[str, Any], kind: type) -> dict[str, Any]:
    if not all(type(value) is kind for value in values.values()):
        raise TypeError
    return dict(values)


def _text(value: object) -> str:
    if type(value) is not str:
        raise TypeError
    return value


def _instant(value: object) -> datetime:
    taken = datetime.fromisoformat(_text(value))
    if taken.tzinfo is None:
        raise ValueError
    return taken

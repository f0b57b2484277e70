"""What commands say with --json, held against the schemas that are installed with them.

A schema allows fields that it does not know, for readers of newer versions. Here each is closed
first: what a command says today is all described.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import jsonschema

import snap_self

FOLDER = Path(snap_self.__file__).parent / "data" / "schema"
SUFFIX = ".schema.json"
ENVELOPE = ("schema", "command", "exit_status", "result", "error")
# Both are worth something, so that nothing failed.
WITHOUT_ERROR = (0, 100, 101, 102)
# Their statuses are those of somebody else: the user's own command, a monitoring plugin.
OTHER_STATUSES = ("run", "check")


def schema_of(command: str) -> dict[str, Any]:
    """Return a command's schema; of what has none of its own, the envelope's."""
    path = FOLDER / f"{command.replace(' ', '-')}{SUFFIX}"
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema


def described() -> set[str]:
    """Return the names of the schemas."""
    return {path.name.removesuffix(SUFFIX) for path in FOLDER.iterdir()}


def closed(schema: Any) -> Any:
    """Return a schema that allows no other fields than it describes."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: closed(each) for name, each in schema.items()}
    return {"additionalProperties": False, **made} if "properties" in schema else made


@lru_cache
def _validator(command: str, *, strict: bool) -> jsonschema.Draft202012Validator:
    schema = schema_of(command)
    return jsonschema.Draft202012Validator(closed(schema) if strict else schema)


def hold(said: Mapping[str, Any], command: str = "") -> None:
    """Hold one object against its command's schema, closed, and against the envelope's.

    Args:
        command: which it must be; any, if empty.
    """
    assert tuple(said)[: len(ENVELOPE)] == ENVELOPE, list(said)
    assert command in ("", said["command"]), said["command"]
    faults = [_words(each) for each in _validator(said["command"], strict=True).iter_errors(said)]
    assert faults == []
    _validator("envelope", strict=False).validate(said)
    if said["command"] not in OTHER_STATUSES:
        assert (said["error"] is None) == (said["exit_status"] in WITHOUT_ERROR), said["error"]


def _words(fault: jsonschema.ValidationError) -> str:
    return f"{fault.json_path}: {fault.message[:300]}"


def paths(schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield the place of each field that a schema describes (``error.code``)."""
    for each in schema.get("oneOf", ()):
        yield from paths(each)
    for name, below in schema.get("properties", {}).items():
        yield name
        yield from (f"{name}.{path}" for path in paths(below))
    if "items" in schema:
        yield from paths(schema["items"])

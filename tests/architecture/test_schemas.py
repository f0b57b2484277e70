"""Each command that takes --json has a schema, and nothing else has one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from json_schemas import ENVELOPE, described, hold, schema_of
from snap_self.cli.app import program
from snap_self.errors import EnvironmentFault
from snap_self.model.invocation import PLAN, SNAPSHOT, Invocation
from snap_self.output.jsonform import fault_json


def speaking(command: Any, words: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the name in JSON of each command that takes --json, of hidden ones too."""
    if any("--json" in option.opts for option in command.params):
        yield " ".join(words) or SNAPSHOT
    for name, below in getattr(command, "commands", {}).items():
        yield from speaking(below, (*words, name))


COMMANDS = (*speaking(program()), "version")
SCHEMAS = sorted(described())


def objects(schema: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each schema of an object with its place."""
    if isinstance(schema, dict):
        if "properties" in schema:
            yield place, schema
        for name, below in schema.items():
            yield from objects(below, f"{place}/{name}")
    elif isinstance(schema, list):
        for number, below in enumerate(schema):
            yield from objects(below, f"{place}/{number}")


def test_every_command_with_json_has_a_schema_and_nothing_else_has() -> None:
    assert PLAN in COMMANDS
    assert {command.replace(" ", "-") for command in COMMANDS} | {"envelope"} == described(), (
        "describe it in packaging/generator/schemas.py, then run: python packaging/generate.py"
    )


@pytest.mark.parametrize("name", SCHEMAS)
def test_schema_is_one_and_needs_no_other_file(name: str) -> None:
    schema = schema_of(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == jsonschema.Draft202012Validator.META_SCHEMA["$id"]
    assert "$ref" not in str(schema)


@pytest.mark.parametrize("name", SCHEMAS)
def test_schema_requires_all_fields_that_it_describes_and_allows_more(name: str) -> None:
    found = list(objects(schema_of(name)))
    assert [place for place, each in found if each["required"] != list(each["properties"])] == []
    assert [place for place, each in found if "additionalProperties" in each] == []


@pytest.mark.parametrize("name", SCHEMAS)
def test_schema_begins_with_the_envelope(name: str) -> None:
    common, own = schema_of("envelope")["properties"], schema_of(name)["properties"]
    assert tuple(own)[: len(ENVELOPE)] == ENVELOPE
    assert [each for each in ("schema", "exit_status", "error") if own[each] != common[each]] == []
    assert set(own["result"]["enum"]) <= set(common["result"]["enum"])


@pytest.mark.parametrize("command", COMMANDS)
def test_schema_is_for_the_command_that_it_is_named_after(command: str) -> None:
    assert schema_of(command)["properties"]["command"]["const"] == command


@pytest.mark.parametrize("command", [each for each in COMMANDS if each != "version"])
def test_command_that_came_to_nothing_says_all_fields_of_its_schema(command: str) -> None:
    asked = Invocation(command=command, before="x", argv=("true",))
    said = fault_json(EnvironmentFault("no", hint="yes"), asked)
    hold(said, command)
    assert set(said) == set(schema_of(command)["properties"])

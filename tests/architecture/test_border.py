"""All that is said passes one border; a way round it fails here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from code_shape import Module, read_package

AGENT = Path(__file__).resolve().parents[2] / "agent"
# The border itself, and what package managers' hooks load instead: it must cost them nothing.
WRITERS = {"snap_self.output.streams", "snap_self.changes.conversation"}
STANDARD_STREAMS = {
    *("snap_self.cli.console", "snap_self.cli.boundary", "snap_self.cli.entry"),
    "snap_self.cli.manager_hook",  # hands them to the conversation
    *("snap_self.cli.demo", "snap_self.cli.prune"),  # ask whether it is a terminal
    "snap_self.cli.run",  # flushes
}
# Where text is split at its ends of lines, each line is then shown as one. So only what is ours,
# and a kept file, of which every line is set in.
SPLITTERS = {
    "snap_self.cli.app": 1,  # the help
    "snap_self.cli.config_commands": 1,
    "snap_self.cli.manager_commands": 1,
    "snap_self.cli.boundary": 1,  # a traceback
    "snap_self.cli.holding": 1,  # what a hook printed, its name before each line
    "snap_self.output.jsonform": 1,  # JSON, in which an end of line is an escape
    "snap_self.output.policy": 2,  # JSON too
    "snap_self.output.rollback": 1,  # our script, whose few values are ids
    "snap_self.output.shown": 1,  # a kept file
}
# They take `\r`, `\x85` and others for ends of lines, which the kernel leaves in names as they
# are. What these read has no names in it that others choose, or is for people alone.
LENIENT = {
    "snap_self.cli.boundary": "a traceback",
    "snap_self.cli.holding": "what a hook printed",
    "snap_self.instance.metadata": "answers of the metadata service",
    "snap_self.usecases.manager_switch": "what our own script prints",
    "snap_self.changes.registration.machine": "versions and folders of package managers",
    "snap_self.changes.registration.apt": "apt's configuration",
}
# It makes the remark of a command from the fixed words that a step has.
STEP_PRINTER = "snap_self.output.steps"
STEP_MAKERS = {"snap_self.recovery.steps", "snap_self.recovery.copies"}
STEP_WORDS = ("why", "gives")


@pytest.fixture(scope="module")
def product() -> tuple[Module, ...]:
    """Return the product's modules."""
    return read_package(AGENT / "snap_self")


def _nodes(module: Module) -> Iterator[ast.AST]:
    return iter(module.nodes)


def _called(node: ast.AST) -> str:
    """Return the last name of what is called, empty if nothing is."""
    if not isinstance(node, ast.Call):
        return ""
    function = node.func
    return getattr(function, "attr", "") or getattr(function, "id", "")


def test_nothing_prints_but_the_border(product: tuple[Module, ...]) -> None:
    strays = [
        f"{module.name}:{getattr(node, 'lineno', 0)}"
        for module in product
        for node in _nodes(module)
        if _called(node) in ("print", "echo", "secho")
    ]
    assert strays == []


def test_streams_for_people_are_written_by_the_border_alone(product: tuple[Module, ...]) -> None:
    writers = {
        module.name
        for module in product
        for node in _nodes(module)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("write", "writelines")
        and ast.unparse(node.func.value).split(".")[-1] in ("stderr", "err", "out", "stream")
    }
    # dnf 5 is written JSON.
    assert writers <= {*WRITERS, "snap_self.changes.dnf5"}


def test_standard_streams_are_named_by_few(product: tuple[Module, ...]) -> None:
    named = {
        module.name
        for module in product
        for node in _nodes(module)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("sys.stdout", "sys.stderr")
    }
    assert named <= STANDARD_STREAMS


def test_what_is_shown_is_split_into_lines_only_where_it_is_ours(
    product: tuple[Module, ...],
) -> None:
    splits: dict[str, int] = {}
    for module in product:
        if module.name.split(".")[1:2] in (["cli"], ["output"]):
            found = sum(_splits_lines(node) for node in _nodes(module))
            if found:
                splits[module.name] = found
    assert splits == SPLITTERS


def _splits_lines(node: ast.AST) -> bool:
    name = _called(node)
    if name == "split":
        assert isinstance(node, ast.Call)
        return any(isinstance(each, ast.Constant) and each.value == "\n" for each in node.args)
    return name == "splitlines"


def test_remark_of_a_command_is_made_of_fixed_words(product: tuple[Module, ...]) -> None:
    foreign = [
        f"{module.name}:{node.value.lineno}: {ast.unparse(node.value)}"
        for module in product
        for node in _nodes(module)
        if isinstance(node, ast.keyword)
        and node.arg == "remark"
        and module.name != STEP_PRINTER
        and not _is_fixed(node.value, "remark", module)
    ]
    assert foreign == []


def test_words_of_a_step_are_fixed(product: tuple[Module, ...]) -> None:
    makers = {m.name for m in product for n in _nodes(m) if _called(n) in ("CloudCall", "Local")}
    assert makers == STEP_MAKERS
    foreign = [
        f"{module.name}:{node.value.lineno}: {ast.unparse(node.value)}"
        for module in product
        if module.name in STEP_MAKERS
        for node in _nodes(module)
        if isinstance(node, ast.keyword)
        and node.arg in STEP_WORDS
        and not _is_fixed(node.value, node.arg, module)
    ]
    assert foreign == []


def _is_fixed(value: ast.expr, name: str, module: Module) -> bool:
    """Tell whether a value stands in the source, or is the parameter of that name handed on."""
    if isinstance(value, ast.Name):
        handed_on = any(isinstance(n, ast.arg) and n.arg == name for n in _nodes(module))
        return value.id.isupper() or (value.id == name and handed_on)
    return isinstance(value, ast.Constant)


def test_commands_to_be_pasted_are_joined_by_one_function(product: tuple[Module, ...]) -> None:
    byhand = [
        f"{module.name}:{node.lineno}"
        for module in product
        if module.name == STEP_PRINTER or module.name.startswith("snap_self.recovery.")
        for node in _nodes(module)
        if isinstance(node, ast.JoinedStr) and "#" in ast.unparse(node)
    ]
    assert byhand == []
    shells = {module.name for module in product if "shlex" in module.imports(load_time=False)}
    # The other one takes apart what a configuration names.
    assert shells == {"snap_self.model.shell", "snap_self.cloud.credentials.external"}


def test_tables_of_the_kernel_are_split_at_their_own_ends_of_lines(
    product: tuple[Module, ...],
) -> None:
    lenient = {
        module.name
        for module in product
        for node in _nodes(module)
        if _called(node) == "splitlines"
    }
    assert lenient == set(LENIENT)


def test_only_the_clouds_room_compares_the_apis_codes(product: tuple[Module, ...]) -> None:
    judging = [
        module.name
        for module in product
        if not module.name.startswith("snap_self.cloud.")
        for node in _nodes(module)
        if isinstance(node, ast.Compare)
        and any(
            isinstance(part, ast.Attribute) and part.attr == "api_code"
            for part in (node.left, *node.comparators)
        )
    ]
    assert judging == []

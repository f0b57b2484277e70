"""Another Python is started in one place of each package, which isolates it."""

from __future__ import annotations

import ast
from pathlib import Path

from code_shape import Module, read_package

ROOT = Path(__file__).resolve().parents[2]
PLACES = ("snap_self.system.python_child", "ecs_simulator.programs")


def own_interpreter(module: Module) -> list[str]:
    """Return where a module asks which interpreter runs it, or how that was started."""
    return [
        f"{module.name}:{node.lineno}"
        for node in module.nodes
        if (
            isinstance(node, ast.Attribute)
            and node.attr in ("executable", "orig_argv")
            and isinstance(node.value, ast.Name)
            and node.value.id == "sys"
        )
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "sys"
            and {"executable", "orig_argv"} & {name.name for name in node.names}
        )
    ]


def test_only_the_shared_places_start_another_python() -> None:
    found = {
        module.name: where
        for package in ("snap_self", "ecs_simulator")
        for module in read_package(ROOT / "agent" / package)
        if (where := own_interpreter(module))
    }
    assert sorted(found) == sorted(PLACES), found


def test_the_shared_places_isolate_it() -> None:
    for name in PLACES:
        source = (ROOT / "agent" / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8")
        starts = source.count("(sys.executable, ")
        assert starts
        assert source.count('(sys.executable, "-I", ') == starts

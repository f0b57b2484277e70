"""The plugins that run inside the package managers' own, old Pythons: what their grammar allows."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

HOOKS = Path(__file__).resolve().parents[3] / "packaging" / "hooks"
DNF = HOOKS / "dnf4" / "snap_self.py"
YUM = HOOKS / "yum" / "snap_self.py"

# What Python 3 has and 2.7 has not, as far as a module of this size could use it.
NOT_IN_PYTHON_2 = (
    *(ast.JoinedStr, ast.AnnAssign, ast.Nonlocal, ast.Starred, ast.YieldFrom, ast.NamedExpr),
    *(ast.AsyncFunctionDef, ast.Await, ast.MatMult),
)


@pytest.mark.parametrize("path", [DNF, YUM])
def test_a_plugin_is_valid_for_python_3_6(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 6))


@pytest.mark.parametrize(
    "text",
    [
        *('f"{x}"', "x: int = 1", "print(*a)", "(x := 1)", "def f(*, a): pass"),
        *("def f(a: int): pass", "raise A from b", "class A(metaclass=B): pass", "# ä"),
    ],
)
def test_what_python_2_does_not_know_is_noticed(text: str) -> None:
    assert not is_for_python_2(text)


def test_yums_plugin_uses_nothing_that_python_2_7_lacks() -> None:
    assert is_for_python_2(YUM.read_text(encoding="utf-8"))


def is_for_python_2(text: str) -> bool:
    """Tell whether a text that is valid Python 3 has nothing that is new in it."""
    return text.isascii() and not any(_is_new(node) for node in ast.walk(ast.parse(text)))


def _is_new(node: ast.AST) -> bool:
    if isinstance(node, ast.arguments):
        return bool(node.kwonlyargs or node.posonlyargs)
    if isinstance(node, ast.arg):
        return node.annotation is not None
    if isinstance(node, ast.FunctionDef):
        return node.returns is not None
    if isinstance(node, ast.Raise):
        return node.cause is not None
    if isinstance(node, ast.ClassDef):
        return bool(node.keywords)
    return isinstance(node, NOT_IN_PYTHON_2)


@pytest.mark.parametrize("path", [DNF, YUM])
def test_a_plugin_imports_nothing_of_the_agent(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))

    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else names_of(node))
        if name
    }

    assert imported <= {"dnf", "yum", "json", "logging", "os", "subprocess", "sys", "tempfile"}


def names_of(node: ast.Import) -> list[str]:
    """Return what an import statement names."""
    return [alias.name for alias in node.names]

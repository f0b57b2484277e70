"""The measure itself: each rule is tried on a source that breaks it."""

from __future__ import annotations

from pathlib import Path

import pytest

from code_shape import Module, import_graph, known_module, percentile, rings


def module(source: str, name: str = "pkg.part.mod") -> Module:
    return Module(name=name, path=Path("pkg/part/mod.py"), source=source)


def test_code_lines_leave_out_docstrings_comments_and_blanks() -> None:
    source = '"""Doc.\n\nMore.\n"""\n\n# why\nx = (\n    1,\n)\n'
    assert module(source).code_lines == {7, 8, 9}


def test_function_length_counts_from_def_to_end() -> None:
    source = "@deco\ndef f(a: int) -> None:\n    '''Doc.'''\n\n    # why\n    g(a)\n    g(a)\n"
    (function,) = module(source).functions
    assert (function.length, function.params, function.typed) == (3, 1, True)


@pytest.mark.parametrize(
    "source",
    [
        "def f(a): ...",
        "def f(a: int): ...",
        "def f(*a) -> None: ...",
        "def f(a, *, b: int) -> None: ...",
    ],
)
def test_function_missing_an_annotation_is_not_typed(source: str) -> None:
    assert not module(source).functions[0].typed


def test_method_self_needs_no_annotation() -> None:
    assert module("class A:\n    def __init__(self, a: int): ...").functions[0].typed


def test_positional_truth_value_is_a_flag() -> None:
    (function,) = module("def f(a: int, deep: bool, *, wide: bool) -> None: ...").functions
    assert function.positional_flags == ("deep",)


def test_public_class_or_function_without_docstring_is_named() -> None:
    source = "class A:\n    def f(self): ...\ndef _g():\n    def h(): ...\ndef i(): ...\n"
    where = [each.partition(":")[2] for each in module(source).undocumented]
    assert where == ["1", "1 A", "5 i"]


@pytest.mark.parametrize("kind", ["", " Exception", " BaseException", " (OSError, Exception)"])
def test_broad_except_is_found(kind: str) -> None:
    found = list(module(f"try:\n    f()\nexcept{kind}:\n    raise\n").broad_excepts)
    assert len(found) == 1


def test_narrow_except_is_not_broad() -> None:
    assert not list(
        module("try:\n    f()\nexcept (OSError, ValueError):\n    raise\n").broad_excepts
    )


def test_relative_imports_are_made_absolute() -> None:
    found = module("from . import a\nfrom ..other import b\nfrom .c import d\n").imports(
        load_time=True
    )
    assert found == {"pkg.part.a", "pkg.other.b", "pkg.part.c.d"}


def test_imports_inside_functions_and_for_types_are_not_load_time() -> None:
    source = (
        "if TYPE_CHECKING:\n    import a\n"
        "def f():\n    import b\n"
        "try:\n    import c\nfinally:\n    pass\n"
    )
    assert module(source).imports(load_time=True) == {"c"}
    assert module(source).imports(load_time=False) == {"a", "b", "c"}


def test_rings_finds_modules_that_import_each_other() -> None:
    modules = (
        module("from p import b", "p.a"),
        module("from p.c import x", "p.b"),
        module("import p.a", "p.c"),
        module("import p.a", "p.d"),
    )
    assert rings(import_graph(modules)) == (frozenset({"p.a", "p.b", "p.c"}),)


def test_known_module_of_an_imported_name_is_the_nearest() -> None:
    assert known_module("p.a.Thing", frozenset({"p", "p.a"})) == "p.a"
    assert known_module("q.a", frozenset({"p"})) == ""


def test_percentile_takes_the_nearest_rank() -> None:
    assert [percentile([1, 2, 3, 4], p) for p in (50, 95, 100)] == [2, 4, 4]

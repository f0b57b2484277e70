"""Exit statuses and error codes are unique, lasting and each of one kind of failure."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from pathlib import Path

from code_shape import read_package
from snap_self import errors

ROOT = Path(__file__).resolve().parents[2]


def test_exit_statuses_are_unique_and_free_of_what_shells_use() -> None:
    # 126 and 127 are the shell's, and from 128 on a signal is meant.
    values = [int(member) for member in errors.ExitStatus.__members__.values()]
    assert [value for value, count in Counter(values).items() if count > 1] == []
    assert all(0 <= value < 126 for value in values)


def error_kinds() -> list[type[errors.SnapSelfError]]:
    return [
        kind
        for kind in vars(errors).values()
        if inspect.isclass(kind) and issubclass(kind, errors.SnapSelfError)
    ]


def test_error_codes_are_unique_and_kebab_case() -> None:
    codes = [kind.code for kind in error_kinds() if "code" in vars(kind)]
    assert [code for code, count in Counter(codes).items() if count > 1] == []
    assert [code for code in codes if not re.fullmatch(r"[a-z]+(-[a-z]+)*", code)] == []


def test_every_error_kind_that_is_raised_has_a_code_of_its_own() -> None:
    # Only a class that others refine may go without.
    without = [
        kind.__name__
        for kind in error_kinds()
        if "code" not in vars(kind) and not kind.__subclasses__()
    ]
    assert without == []


def test_every_error_kind_lives_in_the_error_tree() -> None:
    names = {kind.__name__ for kind in error_kinds()}
    strays = [
        f"{module.path}:{node.lineno} {node.name}"
        for module in read_package(ROOT / "agent/snap_self")
        if module.name != "snap_self.errors"
        for node, _ in module.definitions
        if any(getattr(base, "id", "") in names for base in getattr(node, "bases", ()))
    ]
    assert strays == []

"""Sizes, types, documentation and broad handlers stay within the project's budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from code_shape import Function, Module, percentile, read_package

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("snap_self", "ecs_simulator")
# The only places that may catch everything: the command line, the guardian, the hook runner, and
# the border of the application drivers, whose foreign libraries raise more than their own errors.
BROAD_EXCEPT_BORDERS = (
    *("cli/", "quiesce/freeze/guardian", "quiesce/hooks", "system/freeze/process"),
    "quiesce/applications/quiescers",
)


@pytest.fixture(scope="module")
def packages() -> Mapping[str, tuple[Module, ...]]:
    """Return each package's modules, which are measured once for all tests here."""
    return {name: read_package(ROOT / "agent" / name) for name in PACKAGES}


@pytest.fixture(scope="module", params=PACKAGES)
def modules(
    packages: Mapping[str, tuple[Module, ...]], request: pytest.FixtureRequest
) -> tuple[Module, ...]:
    """Return one package's modules."""
    return packages[request.param]


@pytest.fixture(scope="module")
def product(packages: Mapping[str, tuple[Module, ...]]) -> tuple[Module, ...]:
    """Return the product's modules."""
    return packages["snap_self"]


def functions_of(modules: Sequence[Module]) -> list[Function]:
    return [function for module in modules for function in module.functions]


def test_functions_are_at_most_60_code_lines(modules: tuple[Module, ...]) -> None:
    assert [f"{f.length} {f.where}" for f in functions_of(modules) if f.length > 60] == []


def test_modules_are_at_most_500_code_lines(modules: tuple[Module, ...]) -> None:
    sizes = [(len(module.code_lines), str(module.path)) for module in modules]
    assert [size for size in sizes if size[0] > 500] == []


def test_every_function_is_typed(modules: tuple[Module, ...]) -> None:
    assert [f.where for f in functions_of(modules) if not f.typed] == []


def test_flags_are_keyword_only(modules: tuple[Module, ...]) -> None:
    # A truth value that is a function's only parameter is its subject, not a flag.
    found = [function for function in functions_of(modules) if function.params > 1]
    assert [f"{f.where}: {f.positional_flags}" for f in found if f.positional_flags] == []


def test_public_classes_and_functions_are_documented(modules: tuple[Module, ...]) -> None:
    assert [where for module in modules for where in module.undocumented] == []


def test_function_lengths_stay_within_median_and_p95(product: tuple[Module, ...]) -> None:
    lengths = [function.length for function in functions_of(product)]
    assert percentile(lengths, 50) <= 7
    assert percentile(lengths, 95) <= 30


def test_module_lengths_stay_within_median_and_p95(product: tuple[Module, ...]) -> None:
    lengths = [len(module.code_lines) for module in product if module.code_lines]
    assert percentile(lengths, 50) <= 120
    assert percentile(lengths, 95) <= 350


def test_parameters_p95_is_at_most_five(product: tuple[Module, ...]) -> None:
    assert percentile([function.params for function in functions_of(product)], 95) <= 5


def test_broad_excepts_are_only_at_the_borders(product: tuple[Module, ...]) -> None:
    found = [where for module in product for where in module.broad_excepts]
    root = ROOT / "agent/snap_self"
    strays = [
        where
        for where in found
        if not where.startswith(tuple(f"{root}/{b}" for b in BROAD_EXCEPT_BORDERS))
    ]
    assert strays == []


def test_broad_excepts_are_at_most_one_in_2000_lines(product: tuple[Module, ...]) -> None:
    lines = sum(len(module.code_lines) for module in product)
    found = [where for module in product for where in module.broad_excepts]
    # Three borders are granted however small the product is.
    assert len(found) <= max(3, lines // 2000), found

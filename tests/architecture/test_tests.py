"""The tests keep their own rules: few patches, no sleep in unit tests, unique names."""

from __future__ import annotations

import re
from collections import Counter
from itertools import accumulate
from pathlib import Path

import pytest

from code_shape import Module, module_name
from mutation.run_mutants import AREAS, chosen_areas

TESTS = Path(__file__).resolve().parents[1]
PATCHES = re.compile(
    r"\b(?:mock\.)?patch(?:\.object|\.dict|\.multiple)?\(|monkeypatch\.set(?:attr|item)\("
)


def python_files() -> list[Path]:
    return sorted(TESTS.rglob("*.py"))


def read(path: Path) -> Module:
    source = path.read_text(encoding="utf-8")
    return Module(name=module_name(path, TESTS), path=path, source=source)


def test_patches_are_at_most_three_in_1000_lines() -> None:
    modules = [read(path) for path in python_files()]
    patches = [
        f"{module.path}:{number}"
        for module in modules
        for number, line in enumerate(module.source.splitlines(), start=1)
        if PATCHES.search(line) and "PATCHES" not in line
    ]
    # No more modules are measured than it takes: measuring all of them takes half a minute.
    lines = accumulate(len(module.code_lines) for module in modules)
    assert not patches or any(len(patches) * 1000 <= 3 * so_far for so_far in lines), patches


def test_unit_tests_never_import_the_clock() -> None:
    # Python raises an audit event for a sleep only from 3.13 on.
    sleepers = [
        str(path)
        for path in (TESTS / "unit").rglob("*.py")
        if any(
            name == "time" or name.startswith(("time.sleep", "time.time"))
            for name in read(path).imports(load_time=False)
        )
        and path.stem != "test_unit_tier"
    ]
    assert sleepers == []


def test_names_of_what_tests_import_are_unique() -> None:
    helpers = [path.name for path in python_files() if not path.name.startswith("test_")]
    names = Counter(name for name in helpers if name != "conftest.py")
    assert [name for name, count in names.items() if count > 1] == []


def test_no_test_folder_is_a_package() -> None:
    assert [str(path) for path in TESTS.rglob("__init__.py")] == []


def test_pytest_finds_every_test_file() -> None:
    tiers = ("unit", "architecture", "contract", "integration", "system", "package", "vm", "leaks")
    strays = [
        str(path)
        for path in TESTS.rglob("test_*.py")
        if path.relative_to(TESTS).parts[0] not in tiers
    ]
    assert strays == []


def test_every_area_of_the_mutation_tier_is_there() -> None:
    assert chosen_areas(AREAS) == list(AREAS)
    assert chosen_areas([]) == AREAS


@pytest.mark.parametrize("area", ["disks/kind.py", "snap_self/disks/kinds.py", "nothing/*.py"])
def test_area_that_names_no_module_is_refused(
    area: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        chosen_areas(["disks/kinds.py", area])
    assert f"{area}: there is no such module" in capsys.readouterr().err


def test_names_do_not_repeat_their_folder() -> None:
    repeated = [
        str(path)
        for tier in ("unit", "architecture")
        for path in (TESTS / tier).rglob("test_*.py")
        if path.stem.startswith(f"test_{path.parent.name}_")
    ]
    assert repeated == []

"""The lists of libraries that packages and the demo carry: complete, each with its hashes."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"
sys.path.insert(0, str(PACKAGING))

from lock import is_wanted, marker, version_of  # noqa: E402
from self_contained import read_toml, requirements  # noqa: E402

PROJECT = PACKAGING.parent / "pyproject.toml"
FILES = ("agent", "applications", "build")
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
ENTRY = re.compile(
    r"(?P<name>[a-z0-9-]+)==(?P<version>[a-z0-9.]+)(?: ; (?P<marker>[^\\\n]+))?"
    r"(?P<hashes>(?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n"
)


def entries(file: str) -> list[re.Match[str]]:
    """Return the entries of a file, which holds nothing else."""
    text = (PACKAGING / "locked" / f"{file}.txt").read_text(encoding="utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)
    found = list(ENTRY.finditer(text))
    assert "".join(entry[0] for entry in found) == text
    return found


def locked(python: str, *files: str) -> dict[str, str]:
    """Return name and version of all that a Python gets; none twice."""
    taken = [
        (entry["name"], entry["version"])
        for file in files
        for entry in entries(file)
        if holds(entry["marker"], python)
    ]
    assert len(dict(taken)) == len(taken), taken
    return dict(taken)


def holds(text: str | None, python: str) -> bool:
    environment = {**default_environment(), "python_version": python}
    return text is None or Marker(text).evaluate(
        {**environment, "python_full_version": f"{python}.2"}
    )


def wanted(python: str, lines: list[str]) -> Iterator[Requirement]:
    for line in lines:
        found = Requirement(line)
        if found.marker is None or holds(str(found.marker), python):
            yield found


@pytest.mark.parametrize("file", FILES)
def test_every_library_has_one_version_and_hashes(file: str) -> None:
    assert entries(file)


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(
    ("files", "extras"),
    [(("agent",), ["simulator"]), (("agent", "applications"), ["simulator", "applications"])],
)
def test_what_the_project_needs_is_in_the_list_in_a_version_that_it_takes(
    python: str, files: tuple[str, ...], extras: list[str]
) -> None:
    taken = locked(python, *files)
    for need in wanted(python, requirements(PROJECT, extras)):
        assert need.specifier.contains(taken[canonicalize_name(need.name)]), need


@pytest.mark.parametrize("python", PYTHONS)
def test_what_the_project_is_built_with_is_in_the_list(python: str) -> None:
    taken = locked(python, "build")
    for need in wanted(python, read_toml(PROJECT)["build-system"]["requires"]):
        assert need.specifier.contains(taken[canonicalize_name(need.name)]), need


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("x-1.0-py3-none-any.whl", True),
        ("x-1.0-py2.py3-none-any.whl", True),
        ("x-1.0-py2-none-any.whl", False),
        ("x-1.0.tar.gz", True),
        ("x-1.0-cp312-cp312-manylinux2014_x86_64.manylinux_2_17_x86_64.whl", True),
        ("x-1.0-cp310-cp310-musllinux_1_2_aarch64.whl", True),
        ("x-1.0-cp36-abi3-manylinux_2_28_aarch64.whl", True),
        ("x-1.0-cp39-cp39-manylinux_2_28_x86_64.whl", False),
        ("x-1.0-cp313-cp313t-manylinux_2_28_x86_64.whl", False),
        ("x-1.0-cp312-cp312-win_amd64.whl", False),
        ("x-1.0-cp312-cp312-macosx_11_0_arm64.whl", False),
        ("x-1.0-cp312-cp312-manylinux_2_28_ppc64le.whl", False),
        ("x-1.0-pp310-pypy310_pp73-manylinux_2_28_x86_64.whl", False),
    ],
)
def test_files_for_linux_on_both_processors_and_sources_are_wanted(
    file: str, *, expected: bool
) -> None:
    assert is_wanted(file) is expected


@pytest.mark.parametrize(
    ("file", "version"),
    [
        ("psycopg_binary-3.3.9-cp312-cp312-manylinux2014_x86_64.whl", "3.3.9"),
        ("psycopg-binary-3.3.9.tar.gz", "3.3.9"),
        ("Psycopg.Binary-3.3.9.post1.zip", "3.3.9.post1"),
        ("psycopg_binary_more-3.3.9.tar.gz", ""),
    ],
)
def test_version_of_a_file_is_told_by_its_name(file: str, version: str) -> None:
    assert version_of(file, "psycopg-binary") == version


@pytest.mark.parametrize(
    ("taken", "expected"),
    [
        ({10, 11, 12}, ""),
        ({10}, ' ; python_version < "3.11"'),
        ({11, 12}, ' ; python_version >= "3.11"'),
        ({11}, ' ; python_version >= "3.11" and python_version < "3.12"'),
    ],
)
def test_version_for_some_pythons_is_marked_so(taken: set[int], expected: str) -> None:
    minors = frozenset((3, minor) for minor in taken)
    assert marker(minors, [(3, 10), (3, 11), (3, 12)]) == expected

"""A file of a package that has another version by now: the right way is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from fakes.clock import START
from snap_self.model.ids import InstanceId, RunId
from snap_self.model.manifest import Manifest, Package
from snap_self.system.managers.owners import PackageOwners
from snap_self.usecases.looking_back.packages import PackageQuestion

PATH = "/usr/bin/tool"


class Owners:
    """Says that every path belongs to these packages."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def owners(self, paths: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Return them."""
        return dict.fromkeys(paths, self._names)


def manifest(manager: str, versions: Mapping[str, str]) -> Manifest:
    return Manifest(
        run_id=RunId("run"),
        instance_id=InstanceId("i-1"),
        taken=START,
        key_id="",
        complete=True,
        manager=manager,
        packages={name: Package(version=version) for name, version in versions.items()},
    )


def warnings(
    then: Mapping[str, str], now: Mapping[str, str], *names: str, manager: str = "dpkg"
) -> Sequence[str]:
    """Return what is said of a file of these packages."""
    reading = SimpleNamespace(end=lambda *_, **__: now, drop=lambda: None)
    tools: Any = SimpleNamespace(
        store=SimpleNamespace(read=lambda run_id: manifest(manager, then)),
        reader=SimpleNamespace(begin=lambda: reading),
    )
    values: Any = lambda packed: manifest(manager, packed)  # noqa: E731
    return PackageQuestion(tools, values, Owners(*names), [PATH]).warnings("run")


@pytest.mark.parametrize(
    ("manager", "way"),
    [
        ("dpkg", "apt-get install --allow-downgrades tool=1.0"),
        ("rpm", "dnf downgrade tool-1.0"),
        ("pacman", "pacman -U"),
    ],
)
def test_file_of_a_package_that_changed_names_the_right_way(manager: str, way: str) -> None:
    (said,) = warnings({"tool": "1.0"}, {"tool": "2.0"}, "tool", manager=manager)
    assert said.startswith(f"{PATH} belongs to tool, which was 1.0 then and is 2.0 now")
    assert way in said


def test_package_is_found_without_its_architecture() -> None:
    (said,) = warnings({"tool:amd64": "1.0"}, {"tool:amd64": "2.0"}, "tool")
    assert "belongs to tool" in said


@pytest.mark.parametrize(
    ("then", "now", "names"),
    [
        ({"tool": "1.0"}, {"tool": "1.0"}, ("tool",)),
        ({"tool": "1.0"}, {"tool": "2.0"}, ()),
        ({"tool": "1.0"}, {}, ("tool",)),
        ({}, {"tool": "1.0"}, ("tool",)),
    ],
)
def test_nothing_is_said_where_no_package_changed(
    then: Mapping[str, str], now: Mapping[str, str], names: Sequence[str]
) -> None:
    assert warnings(then, now, *names) == ()


def test_machine_is_not_read_for_a_file_of_no_package() -> None:
    begin: Any = lambda: pytest.fail("nothing is to be told, whatever the machine is now")  # noqa: E731
    tools: Any = SimpleNamespace(
        store=SimpleNamespace(read=lambda run_id: manifest("dpkg", {"tool": "1.0"})),
        reader=SimpleNamespace(begin=begin),
    )
    assert PackageQuestion(tools, begin, Owners(), [PATH]).warnings("run") == ()


def test_machine_is_not_waited_for_where_no_package_then_owned_it() -> None:
    def end(*_: object, **__: object) -> None:
        pytest.fail("nothing is to be told, whatever the machine is now")

    dropped: list[bool] = []
    reading = SimpleNamespace(end=end, drop=lambda: dropped.append(True))
    tools: Any = SimpleNamespace(
        store=SimpleNamespace(read=lambda run_id: manifest("dpkg", {"tool": "1.0"})),
        reader=SimpleNamespace(begin=lambda: reading),
    )
    values: Any = pytest.fail
    assert PackageQuestion(tools, values, Owners("other"), [PATH]).warnings("run") == ()
    assert dropped == [True]


def test_folder_of_many_packages_names_a_few() -> None:
    names = [f"p{number}" for number in range(9)]
    said = warnings(dict.fromkeys(names, "1"), dict.fromkeys(names, "2"), *names)
    assert len(said) == 4
    assert "6 more packages" in said[-1]


class Answers:
    """Answers as a package manager does."""

    def __init__(self, status: int, out: str) -> None:
        self._answer = (status, out, "")

    def run(self, argv: Sequence[str], *, timeout_s: float) -> tuple[int, str, str]:
        """Return the answer."""
        del argv, timeout_s
        return self._answer


@pytest.mark.parametrize(
    ("manager", "status", "out", "names"),
    [
        ("dpkg", 0, "tool: /usr/bin/tool\n", ("tool",)),
        ("dpkg", 0, "a, libb:amd64: /usr/share/doc\n", ("a", "libb:amd64")),
        ("dpkg", 1, "", ()),
        ("rpm", 0, "tool\n", ("tool",)),
        ("pacman", 0, "tool\n", ("tool",)),
    ],
)
def test_answers_of_package_managers_are_understood(
    manager: str, status: int, out: str, names: tuple[str, ...]
) -> None:
    assert PackageOwners(Answers(status, out), lambda: manager).owners([PATH]) == {PATH: names}


def test_unknown_package_manager_is_not_asked() -> None:
    assert PackageOwners(Answers(0, "x\n"), lambda: "").owners([PATH]) == {}

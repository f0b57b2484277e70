"""The table of package managers' hooks, and who must agree with it."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from snap_self.changes.conversation import Conversation
from snap_self.changes.registration.integration import Integration, integration_of
from snap_self.model.packages import (
    HOOKS,
    MANAGERS,
    ManagerHook,
    find_hook,
    hooks_of,
    known_managers,
)

PACKAGING = Path(__file__).resolve().parents[3] / "packaging"
NAMES = [hook.name for hook in HOOKS]
each_hook = pytest.mark.parametrize("hook", HOOKS, ids=NAMES)


def named(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


@each_hook
def test_hook_names_a_conversation_and_an_integration(hook: ManagerHook) -> None:
    assert issubclass(named(hook.conversation), Conversation)
    assert isinstance(integration_of(hook), Integration)


def test_hooks_share_neither_name_nor_integration() -> None:
    assert len(set(NAMES)) == len(HOOKS)
    assert len({hook.integration for hook in HOOKS}) == len(HOOKS)


def test_manager_of_several_hooks_is_one() -> None:
    assert len(MANAGERS) == len(set(MANAGERS))
    assert set(MANAGERS) == {hook.manager for hook in HOOKS}


@pytest.mark.parametrize(
    ("name", "found"),
    [("apt", "apt"), ("dnf4", "dnf4"), ("dnf", "dnf4"), ("yum", "yum"), ("status", None)],
)
def test_hook_is_found_by_its_name_or_its_managers(name: str, found: str | None) -> None:
    hook = find_hook(name)
    assert (hook.name if hook else None) == found


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("", NAMES), ("dnf", ["dnf4", "dnf5", "yum"]), ("yum", ["yum"]), ("brew", [])],
)
def test_name_stands_for_hooks(wanted: str, found: list[str]) -> None:
    assert [hook.name for hook in hooks_of(wanted)] == found


def test_people_are_told_what_else_a_name_stands_for() -> None:
    assert known_managers() == f"{', '.join(MANAGERS)} (dnf is also dnf5 and yum)"


def test_every_folder_of_registration_files_is_a_hooks() -> None:
    folders = {path.name for path in (PACKAGING / "hooks").iterdir() if path.is_dir()}
    assert folders == set(NAMES)


@each_hook
def test_registration_files_call_the_guard_by_the_hooks_name(hook: ManagerHook) -> None:
    files = [path for path in (PACKAGING / "hooks" / hook.name).iterdir() if path.is_file()]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    calls = rf'(hook-guard |GUARD"?,? "?|\$GUARD ){hook.name}\b'
    assert re.search(calls, text)


@each_hook
def test_register_adds_and_removes_every_hook(hook: ManagerHook) -> None:
    script = (PACKAGING / "hooks/register").read_text(encoding="utf-8")
    (listed,) = re.findall(r'^MANAGERS="(.+)"$', script, re.MULTILINE)
    assert listed.split() == NAMES
    assert f"add_{hook.name}() {{" in script
    assert f"remove_{hook.name}() {{" in script


@pytest.mark.parametrize("path", ["rpm/snap-self.spec", "deb/postinst", "deb/prerm"])
def test_packages_register_only_hooks_there_are(path: str) -> None:
    script = (PACKAGING / path).read_text(encoding="utf-8")
    calls = re.findall(r"register (?:add|remove) ([a-z0-9 ]+)", script)
    assert {name for call in calls for name in call.split()} <= set(NAMES)

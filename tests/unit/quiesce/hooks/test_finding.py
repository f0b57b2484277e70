"""Which hooks there are: the folder, the protocols, the rules of ownership."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fakes.hooks import FACTS, FakeHookFiles
from snap_self.config.settings import HookSettings
from snap_self.model.hooks import HookStep, OnFailure
from snap_self.model.trust import PathHop, PathKind
from snap_self.quiesce.hooks.building import Builder
from snap_self.quiesce.hooks.names import is_ignored
from snap_self.quiesce.hooks.registry import find_steps
from snap_self.quiesce.hooks.trust import judge

FOLDER = "/etc/snap-self/hooks.d"
AZURE = "/etc/azure/VMSnapshotScriptPluginConfig.json"
CONFIG: dict[str, Any] = {
    "pluginName": "ScriptRunner",
    "preScriptLocation": "/opt/pre",
    "postScriptLocation": "/opt/post",
    "preScriptParams": ["a"],
    "postScriptParams": [],
    "preScriptNoOfRetries": 2,
    "postScriptNoOfRetries": 1,
    "timeoutInSeconds": 40,
    "continueBackupOnFailure": True,
    "fsFreezeEnabled": True,
}


def find(files: FakeHookFiles, **given: str) -> tuple[HookStep, ...]:
    """Return what is found."""
    empty = dict.fromkeys(
        ("fsfreeze_hook", "prescript", "postscript", "google_dir", "azure_config"), ""
    )
    settings: dict[str, Any] = {"dir": FOLDER, "timeout_s": 30, **empty, **given}
    builder = Builder(facts=FACTS, files=files, timeout_s=30.0)
    return find_steps(HookSettings(**settings), builder)[0]


def folder_of(*names: str, mode: int = 0o755) -> FakeHookFiles:
    """Return files that all lie in the hook folder."""
    return FakeHookFiles(modes={f"{FOLDER}/{name}": mode for name in names}, folders={FOLDER})


def azure(**changes: Any) -> HookStep:
    """Return the step of an Azure configuration."""
    text = json.dumps({**CONFIG, **changes})
    files = FakeHookFiles(modes={AZURE: 0o600}, texts={AZURE: text})
    (step,) = find(files, azure_config=AZURE)
    return step


def test_folder_that_is_missing_has_no_hooks() -> None:
    assert find(FakeHookFiles()) == ()


def test_empty_folder_setting_has_no_hooks() -> None:
    assert find(folder_of("10-a"), dir="") == ()


def test_executables_in_the_folder_are_hooks_in_name_order() -> None:
    steps = find(folder_of("20-b", "10-a", "10-a~"))
    assert [step.name for step in steps] == ["hook 10-a", "hook 20-b"]


def test_native_hook_gets_phase_and_facts() -> None:
    (step,) = find(folder_of("10-a"))
    assert step.start is not None
    assert step.stop is not None
    assert step.start.argv == (f"{FOLDER}/10-a", "pre")
    assert step.stop.argv == (f"{FOLDER}/10-a", "post")
    assert (step.start.keeps_input, step.stop.keeps_input) == (True, False)
    assert step.start.env["SNAP_SELF_PHASE"] == "pre"
    assert step.stop.env["SNAP_SELF_DISKS"] == "d-1\nd-2"


def test_folder_others_can_change_gives_one_hook_that_cannot_be_run() -> None:
    files = folder_of("10-a", "20-b")
    files.modes[FOLDER] = 0o777
    (step,) = find(files)
    assert "can be changed by others" in step.fault
    assert step.start is None


@pytest.mark.parametrize(
    ("names", "commands"),
    [
        (("prescript.sh", "postscript.sh"), [("prescript.sh",)]),
        (("pre.sh", "post.sh"), [("pre.sh", "d-1,d-2")]),
        (("fsfreeze-hook",), [("fsfreeze-hook", "freeze")]),
    ],
    ids=["alibaba", "google", "qemu"],
)
def test_hooks_known_by_their_names_speak_their_own_protocol(
    names: tuple[str, ...], commands: list[tuple[str, ...]]
) -> None:
    found = [step.start.argv for step in find(folder_of(*names, mode=0o700)) if step.start]
    assert found == [(f"{FOLDER}/{command[0]}", *command[1:]) for command in commands]


@pytest.mark.parametrize("name", ["prescript.sh", "postscript.sh", "pre.sh", "post.sh"])
def test_half_a_pair_cannot_be_run_and_says_what_is_missing(name: str) -> None:
    (step,) = find(folder_of(name, mode=0o700))
    assert "belong together" in step.fault
    assert "is missing" in step.fault


@pytest.mark.parametrize("given", [{"prescript": "/opt/a"}, {"postscript": "/opt/a"}])
def test_half_a_pair_in_the_configuration_cannot_be_run(given: dict[str, str]) -> None:
    (step,) = find(FakeHookFiles(modes={"/opt/a": 0o700}), **given)
    assert "belong together" in step.fault


def test_google_pair_has_its_own_time_limit() -> None:
    files = FakeHookFiles(modes={"/g/pre.sh": 0o700, "/g/post.sh": 0o700}, folders={"/g"})
    (step,) = find(files, google_dir="/g")
    assert step.timeout_s == 60


def test_two_hooks_of_one_name_are_told_apart() -> None:
    files = folder_of("10-a")
    files.folders.add("/q")
    files.modes["/q/10-a"] = 0o755
    names = [step.name for step in find(files, fsfreeze_hook="/q")]
    assert names == ["hook 10-a", "hook 10-a (2)"]


def test_azure_configuration_is_taken_over_whole() -> None:
    step = azure()
    assert step.start is not None
    assert step.stop is not None
    assert step.start.argv == ("/bin/sh", "/opt/pre", "a")
    assert step.stop.argv == ("/bin/sh", "/opt/post")
    assert (step.retries, step.stop_retries, step.timeout_s) == (2, 1, 40)
    assert (step.private, step.start.executable) == (True, False)
    assert step.on_failure is OnFailure.GO_ON


def test_azure_failure_aborts_where_the_configuration_says_so() -> None:
    assert azure(continueBackupOnFailure=False).on_failure is OnFailure.ABORT


@pytest.mark.parametrize(("given", "limit_s"), [(1, 1), (0, 30), (99999, 1800)])
def test_azure_time_limit_is_kept_within_the_hosts(given: int, limit_s: int) -> None:
    assert azure(timeoutInSeconds=given).timeout_s == limit_s


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("preScriptLocation", ""),
        ("preScriptLocation", "pre.sh"),
        ("postScriptLocation", 7),
        ("preScriptParams", "a"),
        ("postScriptParams", [1]),
        ("preScriptNoOfRetries", -1),
        ("postScriptNoOfRetries", True),
        ("postScriptNoOfRetries", 101),
        ("timeoutInSeconds", "30"),
        ("continueBackupOnFailure", "true"),
        ("fsFreezeEnabled", 1),
        ("pluginName", None),
    ],
)
def test_azure_configuration_with_a_wrong_value_names_it(name: str, value: object) -> None:
    step = azure(**{name: value})
    assert name in step.fault
    assert AZURE in step.fault


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "[" * 100_000], ids=["none", "list", "cut", "deep"]
)
def test_azure_configuration_that_is_no_object_is_told(text: str) -> None:
    (step,) = find(FakeHookFiles(modes={AZURE: 0o600}, texts={AZURE: text}), azure_config=AZURE)
    assert "JSON" in step.fault


@pytest.mark.parametrize("name", ["a~", "a.bak", "a.orig", "a.rpmnew", "a.rpmorig", "a.rpmsave"])
def test_backup_names_are_ignored(name: str) -> None:
    assert is_ignored(name)


@pytest.mark.parametrize("name", ["a.sample", "a.dpkg-old", "a.dpkg-tmp", ".a", "#a#", "a.swp"])
def test_sample_and_editor_names_are_ignored(name: str) -> None:
    assert is_ignored(name)


@pytest.mark.parametrize("name", ["10-a", "a.sh", "sample", "dpkg", "a.back"])
def test_other_names_are_not_ignored(name: str) -> None:
    assert not is_ignored(name)


def hops(*, mode: int = 0o755, owner: int = 0, kind: PathKind = PathKind.FILE) -> list[PathHop]:
    """Return the way to /opt/app."""
    above = [PathHop(path=p, kind=PathKind.FOLDER, mode=0o755, owner=0) for p in ("/", "/opt")]
    return [*above, PathHop(path="/opt/app", kind=kind, mode=mode, owner=owner)]


@pytest.mark.parametrize(
    ("way", "executable", "private", "why"),
    [
        (hops(), True, False, ""),
        (hops(mode=0o700), True, True, ""),
        (hops(mode=0o600), False, True, ""),
        (hops(owner=1000), True, False, "belongs to user id 1000"),
        (hops(mode=0o757), True, False, "can be changed by others"),
        (hops(mode=0o775), True, False, "can be changed by others"),
        (hops(mode=0o644), True, False, "is not executable"),
        (hops(mode=0o755), True, True, "has permissions for users other"),
        (hops(mode=0o710), True, True, "has permissions for users other"),
        (hops(kind=PathKind.FOLDER), True, False, "is a folder"),
        (hops(kind=PathKind.OTHER), True, False, "is not a regular file"),
        (hops(kind=PathKind.LINK, mode=0o777), True, False, "is a link"),
    ],
)
def test_rules_of_ownership(way: list[PathHop], executable: bool, private: bool, why: str) -> None:
    found, hint = judge(way, executable=executable, private=private)
    assert why in found
    assert bool(found) == bool(why) == bool(hint)


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize(("mode", "owner"), [(0o777, 0), (0o1777, 0), (0o775, 0), (0o755, 33)])
def test_every_folder_on_the_way_counts(place: int, mode: int, owner: int) -> None:
    way = hops()
    path = way[place].path
    way[place] = PathHop(path=path, kind=PathKind.FOLDER, mode=mode, owner=owner)
    why, hint = judge(way, executable=True, private=False)
    assert why.startswith(f"{path} ")
    assert hint


def test_link_on_the_way_may_have_any_mode_but_not_any_owner() -> None:
    link = PathHop(path="/opt/link", kind=PathKind.LINK, mode=0o777, owner=0)
    assert judge([link, *hops()], executable=True, private=False) == ("", "")
    stolen = PathHop(path="/opt/link", kind=PathKind.LINK, mode=0o777, owner=33)
    assert "user id 33" in judge([stolen, *hops()], executable=True, private=False)[0]


def test_script_in_a_sticky_folder_is_refused_with_the_way_to_import_it() -> None:
    way = [PathHop(path="/tmp", kind=PathKind.FOLDER, mode=0o1777, owner=0), *hops()]
    assert "install -o root -g root -m 0700 /tmp/" in judge(way, executable=True, private=True)[1]

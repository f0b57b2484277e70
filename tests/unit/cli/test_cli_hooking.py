"""The lean entry of hooks: its table, its settings, and how it starts the main job."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from fakes.configfiles import FakeConfigFiles
from snap_self.changes.conversation import Conversation
from snap_self.cli.hook_config import hook_settings
from snap_self.cli.hooking import ADAPTERS, load_hook_settings, own_command, run_hook
from snap_self.config.load import default_config, load_config
from snap_self.model.hook_settings import HookSettings, settings_text
from snap_self.model.packages import MANAGERS
from snap_self.system.hook_state import HookState


@pytest.mark.parametrize("name", ADAPTERS)
def test_every_hook_has_its_manager_and_its_conversation(name: str) -> None:
    manager, module, kind = ADAPTERS[name]
    assert manager in MANAGERS
    assert issubclass(getattr(import_module(module), kind), Conversation)


def test_every_manager_has_a_hook() -> None:
    assert {manager for manager, _, _ in ADAPTERS.values()} == set(MANAGERS)


def test_settings_without_a_configuration_are_the_configurations_defaults() -> None:
    full, lean = hook_settings(default_config()), HookSettings()
    assert [full.aborts(manager) for manager in MANAGERS] == [False] * len(MANAGERS)
    full.on_failure = lean.on_failure
    assert settings_text(full) == settings_text(lean)


def test_settings_of_a_configuration_are_taken_over() -> None:
    text = (
        '[package_managers]\nenabled = ["dnf"]\non_failure = { dnf = "abort" }\nlimit = "5m"\n'
        'reuse = "off"\nrisky = ["a*"]\nalways = ["b"]\nnever = ["c"]\nthreshold = 0\n'
        'release_upgrade = false\n[state]\ndir = "/s"\n[network]\n'
        'metadata_url = "http://127.0.0.1:1"\n'
    )
    told = hook_settings(load_config(FakeConfigFiles({"config.toml": text}).sources()))
    expected = HookSettings(
        enabled=("dnf",),
        on_failure=told.on_failure,
        limit_s=300,
        reuse_s=None,
        risky=("a*",),
        always=("b",),
        never=("c",),
        threshold=0,
        release_upgrade=False,
        state_dir="/s",
        metadata_named=True,
    )
    assert settings_text(told) == settings_text(expected)
    assert (told.aborts("dnf"), told.aborts("apt")) == (True, False)


@pytest.fixture
def state(tmp_path: Path) -> HookState:
    return HookState(f"{tmp_path}/run", config=f"{tmp_path}/etc", limit_file=f"{tmp_path}/limit")


def test_machine_without_a_configuration_gets_the_defaults(state: HookState) -> None:
    assert settings_text(load_hook_settings(state, {})) == settings_text(HookSettings())


def test_kept_settings_are_believed_while_the_files_are_the_same(
    tmp_path: Path, state: HookState
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/config.toml").write_text("", encoding="utf-8")
    state.keep_settings(state.signature(), HookSettings(threshold=7))
    assert load_hook_settings(state, {}).threshold == 7


def test_variable_of_a_hooks_setting_beats_what_was_kept(tmp_path: Path, state: HookState) -> None:
    env = {"SNAP_SELF_PACKAGE_MANAGERS_THRESHOLD": "3"}
    assert load_hook_settings(state, env).threshold == 3
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("started", "arguments", "command"),
    [
        (
            ["/opt/snap-self/bin/python3", "-IS", "/usr/bin/snap-self", "hook", "apt"],
            ["/usr/bin/snap-self", "hook", "apt"],
            ("/py", "-IS", "/usr/bin/snap-self"),
        ),
        (["python3", "-c", "code", "hook", "apt"], ["-c", "hook", "apt"], ("/py", "-c", "code")),
        (
            ["python3", "-X", "dev", "-m", "snap_self", "hook", "apt"],
            ["/x/snap_self/__main__.py", "hook", "apt"],
            ("/py", "-X", "dev", "-m", "snap_self"),
        ),
    ],
)
def test_main_job_is_started_as_the_hook_was(
    started: list[str], arguments: list[str], command: tuple[str, ...]
) -> None:
    assert own_command("/py", started, arguments) == command


def test_further_arguments_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_hook(["apt", "--help"]) == 2
    assert "takes no further arguments" in capsys.readouterr().err

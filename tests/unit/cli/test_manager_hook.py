"""The lean entry of hooks: its table, its settings, and how it starts the main job."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fakes.configfiles import FakeConfigFiles
from snap_self.cli.manager_hook import load_manager_settings, run_manager_hook
from snap_self.cli.manager_settings import manager_settings
from snap_self.config.load import default_config, load_config
from snap_self.model.manager_settings import ManagerSettings, settings_text
from snap_self.model.packages import HOOKS, MANAGERS
from snap_self.system.managers.state import ManagerState


def test_settings_without_a_configuration_are_the_configurations_defaults() -> None:
    full, lean = manager_settings(default_config()), ManagerSettings()
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
    told = manager_settings(load_config(FakeConfigFiles({"config.toml": text}).sources()))
    expected = ManagerSettings(
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
def state(tmp_path: Path) -> ManagerState:
    return ManagerState(f"{tmp_path}/run", config=f"{tmp_path}/etc", limit_file=f"{tmp_path}/limit")


def test_machine_without_a_configuration_gets_the_defaults(state: ManagerState) -> None:
    assert settings_text(load_manager_settings(state, {})) == settings_text(ManagerSettings())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's agent writes the limit")
def test_limit_of_a_configuration_that_is_gone_binds_the_guard_no_longer(
    tmp_path: Path, state: ManagerState
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/config.toml").write_text("", encoding="utf-8")
    state.keep_settings(state.signature(), ManagerSettings(limit_s=5))
    assert (tmp_path / "limit").read_text() == "10\n305\n"
    load_manager_settings(state, {})
    assert (tmp_path / "limit").exists()
    (tmp_path / "etc/config.toml").unlink()
    load_manager_settings(state, {})
    assert not (tmp_path / "limit").exists()


def test_kept_settings_are_believed_while_the_files_are_the_same(
    tmp_path: Path, state: ManagerState
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/config.toml").write_text("", encoding="utf-8")
    state.keep_settings(state.signature(), ManagerSettings(threshold=7))
    assert load_manager_settings(state, {}).threshold == 7


def test_variable_of_a_hooks_setting_beats_what_was_kept(
    tmp_path: Path, state: ManagerState
) -> None:
    env = {"SNAP_SELF_PACKAGE_MANAGERS_THRESHOLD": "3"}
    assert load_manager_settings(state, env).threshold == 3
    assert not (tmp_path / "run").exists()


def test_further_arguments_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_manager_hook(HOOKS[0], ["--help"]) == 2
    assert "takes no further arguments" in capsys.readouterr().err

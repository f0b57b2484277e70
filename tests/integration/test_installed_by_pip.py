"""What the program says where pip put it: no hooks can be had, and it says so itself."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import snap_self
from agent_runner import AgentRunner
from json_schemas import hold
from snap_self.model.installation import HOOKS

CODE = Path(snap_self.__file__).resolve().parent

pytestmark = pytest.mark.skipif(
    Path(HOOKS).exists(), reason="a package of snap-self is installed, whose hooks serve"
)


@pytest.fixture
def pip_agent(agent: AgentRunner, tmp_path: Path) -> AgentRunner:
    """Return the agent from a folder that is laid out as pip does it."""
    site = tmp_path / "site-packages"
    shutil.copytree(CODE, site / CODE.name, ignore=shutil.ignore_patterns("__pycache__"))
    metadata = site / "snap_self-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "INSTALLER").write_text("pip\n", encoding="ascii")
    return agent.with_env(PYTHONPATH=str(site))


@pytest.mark.parametrize("words", [("enable", "apt"), ("disable",), ("status",)], ids=" ".join)
def test_hooks_are_refused_with_where_they_come_from(
    pip_agent: AgentRunner, words: tuple[str, ...]
) -> None:
    result = pip_agent.run("hook", *words)
    assert (result.status, result.out) == (4, "")
    first, mend = result.err.splitlines()
    assert first.startswith("snap-self: installed with pip: ")
    assert "install.sh" in first
    assert "snap-self run --before" in mend
    said = pip_agent.run("hook", *words, "--json").json
    hold(said, f"hook {words[0]}")
    assert said["error"]["code"] == "hooks-absent"


def test_version_and_doctor_name_the_installation_and_its_limits(pip_agent: AgentRunner) -> None:
    version = pip_agent.run("--version", "--verbose").out.splitlines()
    assert version[1].startswith("installed with pip, in ")
    assert "come with the .deb, the .rpm or install.sh" in version[2]
    closed = pip_agent.with_env(SNAP_SELF_METADATA_URL="http://127.0.0.1:1")
    said = closed.run("doctor", "--json").json
    hold(said, "doctor")
    assert (said["installation"]["by"], said["installation"]["whole"]) == ("pip", False)


def test_wrong_configuration_names_an_example_that_is_there(pip_agent: AgentRunner) -> None:
    result = pip_agent.with_env(SNAP_SELF_SNAPSHOT_KEEP="x").run("list")
    assert result.status == 3
    mend = result.err.splitlines()[-1]
    path = Path(mend.removeprefix("  -> ").partition(" ")[0])
    assert path.name == "config.example.toml"
    assert path.is_file()

"""`config check` as it is started, on files wherever they lie."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from agent_runner import AgentRunner
from json_schemas import hold

FAULTY = '[snapshot]\nkeep = "soon"\nkepe = 3\n'


@pytest.fixture
def draft(tmp_path: Path) -> Path:
    path = tmp_path / "draft"
    path.write_text(FAULTY)
    return path


def test_every_fault_is_told_at_once_with_what_is_accepted(agent: AgentRunner, draft: Path) -> None:
    result = agent.run("config", "check", str(draft))
    assert (result.status, result.out) == (3, "")
    assert "snap-self: 2 faults in the configuration:" in result.err
    assert f"{draft}:2: snapshot.keep 'soon'" in result.err
    assert "snapshot.keep takes a duration: 90s" in result.err
    assert f"{draft}:3: snapshot.kepe is not known; did you mean keep?" in result.err


def test_every_fault_is_told_in_json(agent: AgentRunner, draft: Path) -> None:
    result = agent.run("config", "check", str(draft), "--json", "--quiet")
    hold(result.json, "config check")
    assert result.status == result.json["exit_status"] == 3
    assert [(each["line"], each["key"]) for each in result.json["faults"]] == [
        (2, "snapshot.keep"),
        (3, "snapshot.kepe"),
    ]
    assert [bool(each["accepted"]) for each in result.json["faults"]] == [True, False]
    assert {each["file"] for each in result.json["faults"]} == {str(draft)}


def test_sound_file_is_named(agent: AgentRunner, draft: Path) -> None:
    draft.write_text('[snapshot]\nkeep = "7d"\n')
    result = agent.run("config", "check", str(draft))
    assert (result.status, result.out, result.err) == (0, f"No fault in {draft}.\n", "")
    said = agent.run("config", "check", str(draft), "--json").json
    hold(said, "config check")
    assert (said["result"], said["files"], said["faults"]) == ("done", [str(draft)], [])


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: None, "No such file"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: os.mkfifo(path), "not a regular file"),
        (lambda path: path.write_bytes(b"#" * (1 << 21)), "larger than 1 MiB"),
    ],
    ids=["absent", "folder", "pipe", "huge"],
)
def test_file_that_cannot_be_read_is_told(
    agent: AgentRunner, tmp_path: Path, make: object, why: str
) -> None:
    path = tmp_path / "given"
    make(path)  # type: ignore[operator]
    result = agent.run("config", "check", str(path))
    assert result.status == 3
    assert f"snap-self: {path} cannot be read: " in result.err
    assert why in result.err


def test_environment_is_a_part_of_the_whole_and_not_of_a_file(
    agent: AgentRunner, draft: Path
) -> None:
    agent = agent.with_env(SNAP_SELF_SNAPSHOT_KEEP="soon")
    whole = agent.run("config", "check", "--json")
    assert (whole.status, whole.json["faults"][0]["file"]) == (3, None)
    draft.write_text("")
    assert agent.run("config", "check", str(draft)).status == 0


@pytest.mark.root
def test_no_network_is_needed(agent: AgentRunner, draft: Path) -> None:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("needs root and unshare: a network namespace without any network")
    cut_off = agent.with_wrapper("unshare", "--net", "--")
    assert cut_off.run("config", "check", str(draft)).status == 3
    assert cut_off.run("config", "check").status == 0


def test_group_alone_shows_its_help(agent: AgentRunner) -> None:
    result = agent.run("config")
    assert (result.status, "check" in result.out) == (2, True)

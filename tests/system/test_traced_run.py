"""A whole run as root, seen from outside: what it executes, reads and writes."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from main_job_rig import Cloud, cloud_running
from traced import Call, calls, command

from agent_runner import AgentRunner
from snap_self.system.environment import SYSTEM_PATH
from snap_self.system.trust import distrust

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with cloud_running(tmp_path_factory.mktemp("disks")) as running:
        yield running


@pytest.fixture
def seen(agent: AgentRunner, cloud: Cloud, tmp_path: Path) -> Sequence[Call]:
    """Run the main job at level filesystem, with the follower, and return what it did."""
    cloud.calm()
    trace = tmp_path / "trace"
    runner = agent.against(cloud.process).with_wrapper(*command(trace))
    done = runner.run("--before", "x", "--consistency", "filesystem", "--verbose", "--wait", "cut")
    assert done.status == 0, done.err
    found = calls(trace)
    assert any(call.name == "execve" for call in found)
    return found


def test_no_file_is_made_through_a_link_or_over_another(seen: Sequence[Call]) -> None:
    made = [call for call in seen if call.creates and not call.failed]
    assert made, "the journal at least is written"
    careless = [
        call.args for call in made if "O_EXCL" not in call.args and "O_NOFOLLOW" not in call.args
    ]
    assert [args for args in careless if "/dev/" not in args] == []


def test_nothing_is_opened_by_a_path_that_begins_in_the_current_directory(
    seen: Sequence[Call],
) -> None:
    assert [call.args for call in seen if call.relative_to_nothing] == []


def test_no_secret_stands_in_what_is_executed(seen: Sequence[Call], cloud: Cloud) -> None:
    words = [word for call in seen if call.name.startswith("execve") for word in call.texts]
    secrets = cloud.secrets()
    assert secrets
    assert [word for word in words for secret in secrets if secret in word] == []


def test_only_programs_of_roots_are_executed(seen: Sequence[Call]) -> None:
    ran = {call.path for call in seen if call.name.startswith("execve") and not call.failed}
    own = {sys.executable, os.path.realpath(sys.executable)}
    folders = SYSTEM_PATH.split(":")
    assert {path for path in ran - own if str(Path(path).parent) not in folders} == set()
    assert [fault for path in ran if (fault := distrust(path, sticky=False))] == []


def test_what_is_written_is_for_root_alone(seen: Sequence[Call], agent: AgentRunner) -> None:
    made = {call.path for call in seen if call.creates and not call.failed}
    there = [path for each in made if (path := Path(each)).is_relative_to(agent.state)]
    modes = {str(path): path.stat().st_mode for path in there if path.is_file()}
    assert modes
    assert {path: oct(mode) for path, mode in modes.items() if stat.S_IMODE(mode) & 0o077} == {}

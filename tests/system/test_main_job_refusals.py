"""Wrong values on the command line: named, with what to do; nothing is asked of anybody."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_runner import AgentRunner
from fixtures_simulator import SimulatorProcess, simulator_running

X = ("--before", "x")
LONG = "n" * 129
# The arguments, and words that the message must hold beside a hint.
WRONG_OPTIONS: list[tuple[tuple[str, ...], str]] = [
    (("--before", ""), "--before is empty"),
    (("--before", " "), "--before is empty"),
    (("--before", "a\nb"), "a line break"),
    (("--before", "b" * 201), "201 characters"),
    ((), "--before TEXT is missing"),
    ((*X, "--name", "a"), "'a' has 1 characters"),
    ((*X, "--name", LONG), "129 characters"),
    ((*X, "--name", "1st"), "'1st' does not begin with a letter"),
    ((*X, "--name", "automatic"), "'automatic' begins with auto"),
    ((*X, "--name", "a b"), "'a b' holds ' '"),
    ((*X, "--name", "http://a"), "'http://a' begins like a web address"),
    ((*X, "--tag", "plain"), "'plain' has no ="),
    ((*X, "--tag", "=v"), "'' has 0 characters"),
    ((*X, "--tag", "acs:k=v"), "'acs:k' begins with aliyun or acs:"),
    ((*X, "--tag", "Aliyun=v"), "'Aliyun' begins with aliyun"),
    ((*X, "--tag", "snap-self-run=v"), "'snap-self-run' begins with snap-self-"),
    ((*X, "--tag", "k=https://v"), "'https://v' holds http:// or https://"),
    ((*X, "--tag", "k=acs:v"), "'acs:v' begins with acs:"),
    ((*X, "--tag", "k=1", "--tag", "K=2"), "'K' is there twice"),
    ((*X, *(f"--tag=k{n}=v" for n in range(16))), "16 tags are too many"),
    ((*X, "--description", "d"), "'d' has 1 characters"),
    ((*X, "--description", "d" * 257), "257 characters"),
    ((*X, "--description", "https://d"), "begins like a web address"),
    ((*X, "--keep", "14"), "--keep '14' is not a duration"),
    ((*X, "--keep", "0d"), "--keep '0d' is no time at all"),
    ((*X, "--keep", "65537d"), "--keep '65537d' is longer than 65536 days"),
    ((*X, "--timeout", "soon"), "--timeout 'soon' is not a duration"),
    ((*X, "--timeout", "-5m"), "--timeout '-5m' is not a duration"),
    ((*X, "--reuse", "1w"), "--reuse '1w' is not a duration"),
    ((*X, "--wait", "cat"), "--wait 'cat' is not known"),
    ((*X, "--consistency", "strong"), "--consistency 'strong' is not known"),
    ((*X, "--on-quiesce-failure", "pray"), "--on-quiesce-failure 'pray' is not known"),
    ((*X, "--path", ""), "--path is empty"),
    ((*X, "--disk", ""), "--disk is empty"),
    ((*X, "--exclude", ""), "--exclude is empty"),
    ((*X, "--frobnicate"), "--frobnicate"),
    (("frobnicate",), "frobnicate"),
]
WRONG_FILES: list[tuple[str, str]] = [
    ("[snapshot]\nkeep = 14\n", "config.toml:2: snapshot.keep is a number"),
    ('[snapshot]\nkeep = "x"\n', "config.toml:2: snapshot.keep 'x' is not a duration"),
    ('[snapshot]\nwait = "cat"\n', "snapshot.wait 'cat' is not known"),
    ('[snapshot]\nname = "auto1"\n', "'auto1' begins with auto"),
    ('[snapshot]\nkep = "14d"\n', "snapshot.kep is not known; did you mean keep?"),
    ("[snapshots]\n", "[snapshots] is not known; did you mean snapshot?"),
    ('[snapshot.tags]\n"acs:k" = "v"\n', "'acs:k' begins with aliyun or acs:"),
    ('[disks]\nexclude = "d-1"\n', "disks.exclude is a string"),
    ('[disks.map]\n"/dev/vdb" = "vdb"\n', "'vdb' is no disk id"),
    ('[network]\necs_endpoint = "http://10.0.0.1"\n', "without encryption"),
    ('[state]\ndir = "here"\n', "'here' is not absolute"),
    ("[snapshot\n", "config.toml:1: not TOML"),
]
WRONG_ENVIRONMENT: list[tuple[str, str, str]] = [
    ("SNAP_SELF_SNAPSHOT_KEEP", "x", "SNAP_SELF_SNAPSHOT_KEEP 'x' is not a duration"),
    ("SNAP_SELF_SNAPSHOT_KEPE", "14d", "did you mean SNAP_SELF_SNAPSHOT_KEEP?"),
    ("SNAP_SELF_STATE_RESUME", "-1s", "SNAP_SELF_STATE_RESUME '-1s' is not a duration"),
]
OWN_ETC = 'mount -t overlay -o "lowerdir=$1:/etc" overlay /etc && shift && exec "$@"'


@pytest.fixture(scope="module")
def running_cloud() -> Iterator[SimulatorProcess]:
    with simulator_running("--storage", "files", "--no-https", "--disk", "size=1") as cloud:
        yield cloud


@pytest.fixture
def cloud(running_cloud: SimulatorProcess) -> SimulatorProcess:
    running_cloud.control("DELETE", "calls")
    return running_cloud


def _nothing_was_asked(cloud: SimulatorProcess) -> bool:
    return not (
        cloud.control("GET", "calls")["calls"] or cloud.control("GET", "metadata-calls")["calls"]
    )


@pytest.mark.parametrize(("arguments", "words"), WRONG_OPTIONS)
def test_wrong_option_is_refused_before_anything_is_asked(
    agent: AgentRunner, cloud: SimulatorProcess, arguments: tuple[str, ...], words: str
) -> None:
    result = agent.against(cloud).run(*arguments, "--json")
    assert result.status == 2, result.err
    error = result.json["error"]
    assert words in error["message"]
    assert error["hint"]
    assert error["message"] in result.err
    assert result.json["exit_status"] == 2
    assert _nothing_was_asked(cloud)
    assert not (agent.state / "runs").exists()


@pytest.mark.parametrize(("name", "value", "words"), WRONG_ENVIRONMENT)
def test_wrong_variable_is_refused_before_anything_is_asked(
    agent: AgentRunner, cloud: SimulatorProcess, name: str, value: str, words: str
) -> None:
    result = agent.against(cloud).with_env(**{name: value}).run(*X, "--json")
    assert result.status == 3, result.err
    assert words in result.json["error"]["message"]
    assert _nothing_was_asked(cloud)


@pytest.mark.root
@pytest.mark.parametrize(("content", "words"), WRONG_FILES)
def test_wrong_file_is_refused_before_anything_is_asked(
    agent: AgentRunner, cloud: SimulatorProcess, tmp_path: Path, content: str, words: str
) -> None:
    result = _with_file(agent.against(cloud), tmp_path, content).run(*X, "--json")
    assert result.status == 3, result.err
    assert words in result.json["error"]["message"]
    assert result.json["error"]["hint"]
    assert _nothing_was_asked(cloud)


@pytest.mark.root
def test_file_that_others_may_write_is_refused(
    agent: AgentRunner, cloud: SimulatorProcess, tmp_path: Path
) -> None:
    runner = _with_file(agent.against(cloud), tmp_path, '[snapshot]\nkeep = "1d"\n')
    (tmp_path / "snap-self" / "config.toml").chmod(0o666)
    result = runner.run(*X)
    assert result.status == 3
    assert "can be changed by others than root" in result.err
    assert _nothing_was_asked(cloud)


def _with_file(agent: AgentRunner, folder: Path, content: str) -> AgentRunner:
    """Return a runner that sees its own ``/etc/snap-self/config.toml``, alone."""
    place = folder / "snap-self"
    place.mkdir()
    (place / "config.toml").write_text(content, encoding="utf-8")
    own = ("unshare", "-m", "sh", "-c", OWN_ETC, "sh", str(folder))
    if subprocess.run([*own, "true"], capture_output=True, check=False).returncode:
        pytest.skip("/etc cannot be overlaid here")
    return agent.with_wrapper(*own)

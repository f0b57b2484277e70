"""The guide from one machine to a thousand: each command in it is run, or said to need the cloud.

A block ``sh`` is run here, line by line, against the simulated cloud. A block ``sh cloud`` needs a
real instance, a real image or a real account: its lines are read by a shell and nothing more.
"""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from agent_runner import AgentRunner
from ecs_simulator.simulator import Simulator
from fakes.configfiles import FakeConfigFiles
from pasted_commands import check_syntax
from snap_self.changes.skipping import SKIP_VARIABLE
from snap_self.config.load import load_config
from snap_self.config.settings import Config

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"
GUIDE = PACKAGING / "docs/roll-out.md"
REPOSITORY = PACKAGING / "repository.sh"
CLOUD_INIT = PACKAGING / "cloud-init/snap-self.yml"
RUN, CLOUD = "sh", "sh cloud"
# `doctor` ends with the status of its worst finding, and the machine that runs tests has no disk of
# the simulated cloud.
MAY_END_WITH = {"snap-self doctor --json": (0, 4, 6, 7)}


def blocks(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each block of code with what stands behind its first fence."""
    for found in re.finditer(r"^```([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield found[1], found[2].splitlines()


def lines_of(text: str, kind: str) -> list[str]:
    return [line for name, lines in blocks(text) for line in lines if name == kind and line]


GUIDE_TEXT = GUIDE.read_text(encoding="utf-8")
COMMANDS = lines_of(GUIDE_TEXT, RUN)


def test_each_block_of_the_guide_says_what_it_is() -> None:
    assert {kind for kind, _ in blocks(GUIDE_TEXT)} == {RUN, CLOUD, "toml"}
    assert len(COMMANDS) > 5


def test_command_without_a_mark_is_one_that_is_run() -> None:
    text = f"{GUIDE_TEXT}\n```sh\nsnap-self fly\n```\n"
    assert lines_of(text, RUN) == [*COMMANDS, "snap-self fly"]


def test_lines_that_need_the_cloud_are_lines_of_a_shell() -> None:
    check_syntax(lines_of(GUIDE_TEXT, CLOUD))


@pytest.mark.parametrize("line", COMMANDS)
def test_command_of_the_guide_does_what_it_says(
    line: str, agent: AgentRunner, simulator: Simulator, tmp_path: Path
) -> None:
    shutil.copy(CLOUD_INIT, tmp_path)
    program, *arguments = line.split()
    if program == "snap-self":
        result = agent.against(simulator).run(*arguments)
        assert result.status in MAY_END_WITH.get(line, (0,)), result.err
        assert result.out or result.err
        return
    done = _elsewhere(line.split(), tmp_path)
    assert done.returncode == 0, done.stderr


def _elsewhere(argv: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    if shutil.which(argv[0]) is None:
        pytest.skip(f"{argv[0]} is not installed here")
    return subprocess.run(
        argv,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_command_that_the_program_does_not_know_would_be_seen(agent: AgentRunner) -> None:
    assert agent.run("fly").status == 2


def test_what_keeps_hooks_still_while_an_image_is_built_is_said_with_its_condition() -> None:
    section = GUIDE_TEXT.split("## Images\n")[1].split("\n## ")[0]
    assert "sudo --preserve-env=PACKER_BUILD_NAME" in section
    assert f"sudo {SKIP_VARIABLE}=1" in section
    assert "`policy-rc.d`\nis `exit 101`" in section


# --- Ansible -------------------------------------------------------------------------------------


def test_role_installs_with_what_it_has_tasks_for_and_leaves_others_to_its_own_message() -> None:
    role = PACKAGING / "ansible/roles/snap_self"
    ways = yaml.safe_load((role / "vars/main.yml").read_text(encoding="utf-8"))["snap_self_ways"]
    assert set(ways) == {"apt", "dnf", "dnf5"}
    assert all((role / f"tasks/repository_{way}.yml").is_file() for way in ways.values())


# --- the settings and cloud-init ---------------------------------------------------------------


def settings(text: str) -> Config:
    return load_config(FakeConfigFiles({"conf.d/50-fleet.toml": text}).sources({}))


def cloud_config() -> dict[str, Any]:
    value = yaml.safe_load(CLOUD_INIT.read_text(encoding="utf-8"))
    assert isinstance(value, dict)
    return value


def written_files() -> dict[str, str]:
    return {each["path"]: each["content"] for each in cloud_config()["write_files"]}


def written_by_the_script(ending: str) -> str:
    """Return the template of a file that the script of the repository writes."""
    text = REPOSITORY.read_text(encoding="utf-8")
    found = re.search(rf'cat >"\$new/\$NAME\.{ending}" <<END\n(.*?)^END$', text, re.M | re.S)
    suite = re.search(r"^SUITE=(\S+)$", text, re.M)
    assert found is not None
    assert suite is not None
    values = {"$(address)": "https://REPOSITORY", "$NAME": "snap-self", "$SUITE": suite[1]}
    made = found[1].replace("\\$", "\0")
    for name, value in values.items():
        made = made.replace(name, value)
    assert "$" not in made
    return made.replace("\0", "$")


def test_settings_of_the_guide_and_of_cloud_init_are_read_and_are_the_same() -> None:
    written = written_files()["/etc/snap-self/conf.d/50-fleet.toml"]
    told = "\n".join(line for line in lines_of(GUIDE_TEXT, "toml"))
    assert settings(told) == settings(written)
    assert settings(told) != settings("")


def test_cloud_init_asks_the_apt_repository_that_the_script_makes() -> None:
    sources = dict(
        line.split(": ", 1)
        for line in written_by_the_script("sources").splitlines()
        if not line.startswith("#")
    )
    (made,) = cloud_config()["apt"]["sources"].values()
    place = f"{sources['URIs']} {sources['Suites']} {sources['Components']}"
    assert made["source"] == f"{sources['Types']} [signed-by=$KEY_FILE] {place}"


def test_cloud_init_asks_the_rpm_repository_that_the_script_makes() -> None:
    parser = configparser.RawConfigParser()
    parser.read_string(written_by_the_script("repo"))
    script = parser["snap-self"]
    made = cloud_config()["yum_repos"]["snap-self"]
    assert (made["baseurl"], made["gpgkey"]) == (script["baseurl"], script["gpgkey"])
    for name in ("enabled", "gpgcheck", "repo_gpgcheck"):
        assert made[name] is script.getboolean(name) is True


def test_cloud_init_writes_the_key_that_rpm_reads_and_it_is_that_of_apt() -> None:
    value = cloud_config()
    place = value["yum_repos"]["snap-self"]["gpgkey"].removeprefix("file://")
    (apt,) = value["apt"]["sources"].values()
    assert written_files()[place] == apt["key"]


def test_cloud_init_installs_the_package_and_ends_with_the_verdict() -> None:
    value = cloud_config()
    assert value["packages"] == ["snap-self"]
    assert value["runcmd"][-1] == ["snap-self", "doctor"]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("packages:\n  - snap-self", "packages: snap-self"),
        ('permissions: "0644"', "permissions: 420"),
        ("  - [snap-self, doctor]", "  - {snap-self: doctor}"),
        ("    content: |", "    contents: |"),
        ("#cloud-config\n", ""),
    ],
)
def test_cloud_init_refuses_what_is_wrong(right: str, wrong: str, tmp_path: Path) -> None:
    text = CLOUD_INIT.read_text(encoding="utf-8")
    assert right in text
    (tmp_path / "wrong.yml").write_text(text.replace(right, wrong), encoding="utf-8")
    done = _elsewhere(("cloud-init", "schema", "--config-file", "wrong.yml"), tmp_path)
    assert done.returncode != 0

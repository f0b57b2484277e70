"""What the fleet's templates have an instance run, in a real shell with an agent of our making."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fleet_rig import package_served

from fakes.fleet_oos import FleetRegion

# Notes how it was called, runs the command, and says what `run --json` does.
AGENT = """\
#!/usr/bin/env python3
import json, os, subprocess, sys
json.dump(sys.argv[1:], open(os.environ["CALLED"], "w"))
words = sys.argv[1:]
if words == ["--version"]:
    print("snap-self 1.2.3")
    sys.exit(0)
status = subprocess.call(words[words.index("--") + 1:]) if "--" in words else 2
print(json.dumps({"run": {"id": "r"}, "exit_status": status}, indent=2))
sys.exit(status)
"""
TEXTS = ('it\'s "night"; touch x & $(id) `id` {{ x }} \\ 末 %s', "-rf", "' ; exit 9 ; '", "a\tb")


@dataclass(frozen=True, slots=True)
class Said:
    """How a script ended: its status, all it wrote, and how it called the agent."""

    status: int
    out: str
    called: list[str]

    @property
    def last(self) -> dict[str, Any]:
        """Return the line that the report is read from."""
        line = [each for each in self.out.split("\n") if each.startswith("{")][-1]
        read: dict[str, Any] = json.loads(line)
        return read


def content(name: str, **parameters: Any) -> bytes:
    """Return the script that a template has an instance run."""
    region = FleetRegion("i-1")
    region.go(name, **parameters)
    ((_, command),) = region.guest.begun
    return command.content


def environment_in(folder: Path, *, agent: bool = True) -> dict[str, str]:
    """Return the variables of a machine whose programs lie in a folder."""
    programs = folder / "bin"
    programs.mkdir()
    if agent:
        (programs / "snap-self").write_text(AGENT, "utf-8")
        (programs / "snap-self").chmod(0o755)
    path = f"{programs}:/usr/bin:/bin"
    return {"PATH": path, "CALLED": str(folder / "called"), "LANG": "C.UTF-8"}


def run(folder: Path, name: str, *, agent: bool = True, **parameters: Any) -> Said:
    called = folder / "called"
    done = subprocess.run(
        ["sh", "-s"],
        input=content(name, **parameters),
        capture_output=True,
        check=False,
        cwd=folder,
        env=environment_in(folder, agent=agent),
    )
    words = json.loads(called.read_text("utf-8")) if called.exists() else []
    return Said(done.returncode, (done.stderr + done.stdout).decode(), words)


@pytest.mark.parametrize("text", TEXTS)
def test_patch_when_a_text_is_odd_then_the_agent_gets_it_unchanged(
    tmp_path: Path, text: str
) -> None:
    said = run(tmp_path, "patch", before=text, command="true", keep="7d")
    assert said.called[:6] == ["run", "--before", text, "--keep", "7d", "--json"]
    assert (said.status, said.last["run"]["id"]) == (0, "r")


def test_patch_when_a_command_is_several_then_a_shell_runs_them(tmp_path: Path) -> None:
    command = "printf '%s\\n' \"it's\" >made\nfalse || exit 7"
    said = run(tmp_path, "patch", before="x", command=command)
    assert (tmp_path / "made").read_text("utf-8") == "it's\n"
    assert (said.status, said.last["exit_status"]) == (7, 7)


def test_patch_when_the_command_speaks_json_then_it_is_not_taken_for_the_report(
    tmp_path: Path,
) -> None:
    said = run(tmp_path, "patch", before="x", command='echo \'{"run": {"id": "forged"}}\'')
    assert '{"run": {"id": "forged"}}' in said.out
    assert said.last["run"]["id"] == "r"


def test_patch_when_nobody_listens_any_more_then_the_command_goes_on(tmp_path: Path) -> None:
    command = "while [ ! -e gone ]; do sleep 0.1; done; echo one; echo two; touch made"
    script = content("patch", before="x", command=command)
    with subprocess.Popen(
        ["sh", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=tmp_path,
        env=environment_in(tmp_path),
    ) as shell:
        assert shell.stdout is not None
        shell.stdout.close()
        (tmp_path / "gone").touch()
        assert shell.wait(timeout=60) == 0
    assert (tmp_path / "made").exists()


def test_patch_when_the_output_is_long_then_its_end_and_the_report_are_told(tmp_path: Path) -> None:
    said = run(tmp_path, "patch", before="x", command="seq 20000")
    assert "\n20000\n" in said.out
    assert len(said.out) < 13_000
    assert said.last["run"]["id"] == "r"


def test_patch_when_there_is_no_agent_then_nothing_is_started(tmp_path: Path) -> None:
    said = run(tmp_path, "patch", agent=False, before="x", command="touch made")
    assert (said.status, said.last["error"]["code"]) == (125, "not-installed")
    assert not (tmp_path / "made").exists()


def test_install_when_the_version_is_there_then_nothing_is_changed(tmp_path: Path) -> None:
    said = run(tmp_path, "install", version="1.2.3")
    assert (said.status, said.last["changed"], said.last["version"]) == (0, False, "1.2.3")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({}, "no-source"),
        ({"packageUrl": "http://127.0.0.1:9/x.deb"}, "no-source"),
        ({"packageUrl": "http://127.0.0.1:9/x.deb", "packageSha256": "0" * 64}, "not-fetched"),
        ({"repositoryUrl": "http://127.0.0.1:9/x"}, "no-source"),
    ],
    ids=str,
)
def test_install_when_the_source_is_of_no_use_then_nothing_is_changed(
    tmp_path: Path, given: dict[str, str], code: str
) -> None:
    (tmp_path / "apt-get").touch()
    said = run(tmp_path, "install", version="9.9.9", **given)
    assert (said.status, said.last["changed"], said.last["error"]["code"]) == (1, False, code)
    assert "nothing was changed" in said.out


def test_install_when_settings_were_edited_then_dpkg_is_told_to_keep_them(tmp_path: Path) -> None:
    environment, served = environment_in(tmp_path, agent=False), tmp_path / "served"
    served.mkdir()
    manager = tmp_path / "bin/apt-get"
    manager.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\" >words\nexit 1\n", "utf-8")
    manager.chmod(0o755)
    with package_served(served) as package:
        source = {"packageUrl": package.url, "packageSha256": package.sha256}
        script = content("install", version="9.9.9", **source)
        done = subprocess.run(
            ["sh", "-c", script], cwd=tmp_path, env=environment, capture_output=True, check=False
        )
    *words, what = (tmp_path / "words").read_text("utf-8").splitlines()
    kept = [f"Dpkg::Options::=--force-{each}" for each in ("confdef", "confold")]
    assert words == ["install", "-y", "-o", kept[0], "-o", kept[1]]
    assert what.endswith("/snap-self.deb")
    assert (done.returncode, b'"code": "not-installed"' in done.stdout) == (1, True)


def test_report_when_there_is_no_agent_then_says_so_and_does_not_fail(tmp_path: Path) -> None:
    said = run(tmp_path, "report", agent=False)
    assert (said.status, said.last["error"]["code"]) == (0, "not-installed")


def test_report_when_the_state_is_bad_then_tells_it_and_does_not_fail(tmp_path: Path) -> None:
    said = run(tmp_path, "report")
    assert said.called == ["check", "--json"]
    assert (said.status, said.last["exit_status"]) == (0, 2)

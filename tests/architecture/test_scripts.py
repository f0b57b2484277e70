"""The two scripts a stranger starts with: usage, help and refusals; no set-up is done here."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from snap_self.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
Script = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Return what runs one of the checkout's scripts with an empty HOME and cache."""

    def run(name: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
        return subprocess.run(
            [str(ROOT / name), *arguments],
            env={**env, **variables},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.mark.parametrize("name", ["install.sh", "tests/run"])
def test_help_goes_to_stdout_with_an_example(script: Script, name: str) -> None:
    result = script(name, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert "Example" in result.stdout
    assert "Exit status" in result.stdout


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("install.sh", (), "no verb"),
        ("install.sh", ("fly",), "unknown verb: fly"),
        ("install.sh", ("demo", "--fly"), "unknown option of demo: --fly"),
        ("install.sh", ("demo", "x"), "unknown option of demo: x"),
        ("install.sh", ("demo", "--setup-only", "x"), "unknown option of demo: x"),
        ("install.sh", ("demo", "--remove", "x"), "unknown option of demo: x"),
        ("install.sh", ("demo", "--remove", "--keep"), "--remove and --keep do not go together"),
        ("install.sh", ("install", "--fly"), "unknown option of install: --fly"),
        ("install.sh", ("install", "--check", "x"), "unknown option of install: x"),
        ("install.sh", ("install", "--check", "--tree"), "--tree needs a value"),
        ("install.sh", ("install", "--check", "--tree", ""), "--tree needs a value"),
        ("install.sh", ("install", "--check", "--python", ""), "--python needs a value"),
        ("packaging/build.sh", ("--output", ""), "--output needs a value"),
        ("packaging/build.sh", ("--python", "/fly"), "/fly is no Python 3.10 or newer"),
        ("packaging/deb/build.sh", ("--tree", ""), "--tree needs a value"),
        ("packaging/rpm/build.sh", ("--tree", ""), "--tree needs a value"),
        ("install.sh", ("uninstall", "--fly"), "unknown option of uninstall: --fly"),
        ("tests/run", ("fly",), "unknown tier fly"),
        ("tests/run", ("--fly",), "unknown option --fly"),
    ],
)
def test_wrong_usage_is_status_2_with_a_hint_and_nothing_is_made(
    script: Script, tmp_path: Path, name: str, arguments: tuple[str, ...], said: str
) -> None:
    result = script(name, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert said in result.stderr
    assert "hint: " in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_install_sh_passes_on_each_option_of_the_demo(script: Script) -> None:
    demo = typer.main.get_command(app).commands["demo"]  # type: ignore[attr-defined]
    assert [each.opts for each in demo.params] == [["--keep"]]
    assert script("install.sh", "demo", "--keep", "--help").returncode == 0


def test_demo_remove_with_nothing_there_leaves_nothing(script: Script, tmp_path: Path) -> None:
    result = script("install.sh", "demo", "--remove")
    assert result.returncode == 0
    assert "nothing to remove" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_demo_remove_names_what_it_removes_and_the_packages(script: Script, tmp_path: Path) -> None:
    home = tmp_path / "cache/snap-self"
    (home / "demo-venv/bin").mkdir(parents=True)
    (home / "apt-packages").write_text("xfsprogs\n", encoding="utf-8")
    result = script("install.sh", "demo", "--remove", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert f"removed {home}/demo-venv" in result.stderr
    assert "apt-get autoremove --purge xfsprogs" in result.stderr
    assert not home.exists()


def test_run_list_names_the_tiers(script: Script) -> None:
    result = script("tests/run", "--list")
    assert result.stdout.split() == [
        "lint",
        "bench",
        "unit",
        "contract",
        "integration",
        "system",
        "package",
        "vm",
        "mutation",
    ]


def test_ci_run_calls_tests_run() -> None:
    assert "exec ./tests/run lint bench unit contract integration system package " in (
        ROOT / ".ci/run"
    ).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["install.sh", "tests/run", ".ci/run"])
def test_script_is_executable(name: str) -> None:
    assert os.access(ROOT / name, os.X_OK)


SCRIPTS = sorted(
    path
    for path in (ROOT / "install.sh", ROOT / "tests/run", *(ROOT / "packaging").rglob("*"))
    if path.is_file() and re.match(rb"#!.*sh\b|# shellcheck shell=", path.read_bytes())
)
# An interpreter with its first option; one that a variable names, and the shebang of dnf's.
STARTS = re.compile(r'(?:python[\w.]*|program|first#\?\?|(?<!=)"\$1)\}?"?\s+(-\S+)')


def test_every_python_that_a_script_starts_is_isolated() -> None:
    started = [
        (path.name, line, option)
        for path in SCRIPTS
        for line in path.read_text(encoding="utf-8").splitlines()
        for option in STARTS.findall(line)
        if not line.lstrip().startswith(("#", "pip_install"))
    ]
    assert len({name for name, _, _ in started}) >= 5
    # -Es: of a script that imports what lies beside it.
    assert [one for one in started if not one[2].startswith(("-I", "-Es"))] == []


def test_no_script_finds_itself_by_a_program_of_the_callers_path() -> None:
    halves = [path.read_text(encoding="utf-8").split("packaging/setup.sh", 1) for path in SCRIPTS]
    before = [text[0] for text in halves if len(text) == 2]
    assert len(before) >= 6
    assert [text for text in before if "$(dirname" in text] == []

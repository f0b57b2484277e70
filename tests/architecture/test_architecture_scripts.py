"""The two scripts a stranger starts with: usage, help and refusals; no set-up is done here."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

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
        ("install.sh", ("demo", "--remove", "x"), "no further argument: x"),
        ("install.sh", ("install", "--fly"), "unknown option of install: --fly"),
        ("install.sh", ("install", "--tree"), "--tree needs a value"),
        ("install.sh", ("uninstall", "--fly"), "unknown option of uninstall: --fly"),
        ("tests/run", ("fly",), "unknown tier fly"),
        ("tests/run", ("--fly",), "unknown option --fly"),
    ],
)
def test_wrong_usage_is_status_2_with_a_hint(
    script: Script, name: str, arguments: tuple[str, ...], said: str
) -> None:
    result = script(name, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert said in result.stderr
    assert "hint: " in result.stderr


def test_demo_remove_with_nothing_there_leaves_nothing(script: Script, tmp_path: Path) -> None:
    result = script("install.sh", "demo", "--remove")
    assert result.returncode == 0
    assert "nothing to remove" in result.stderr
    assert [path.name for path in tmp_path.rglob("*") if path.name != ".cache"] == []


def test_demo_remove_names_what_it_removes_and_the_packages(script: Script, tmp_path: Path) -> None:
    home = tmp_path / "cache/snap-self"
    (home / "demo-venv/bin").mkdir(parents=True)
    (home / "apt-packages").write_text("xfsprogs\n", encoding="utf-8")
    result = script("install.sh", "demo", "--remove", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert f"removed {home}/demo-venv" in result.stderr
    assert "apt-get remove xfsprogs" in result.stderr
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
    ]


def test_ci_run_calls_tests_run() -> None:
    assert "exec ./tests/run all" in (ROOT / ".ci/run").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["install.sh", "tests/run", ".ci/run"])
def test_script_is_executable(name: str) -> None:
    assert os.access(ROOT / name, os.X_OK)

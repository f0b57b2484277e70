"""The scripts in packaging/: help, refusals, and that a build can be repeated."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from built_packages import need, self_contained_tree

from agent_runner import CHECKOUT

SCRIPTS = (
    "packaging/build.sh",
    "packaging/stage.sh",
    "packaging/deb/build.sh",
    "packaging/rpm/build.sh",
    "packaging/repository.sh",
)
WITHOUT_TREE = ("packaging/build.sh", "packaging/repository.sh")


def script(*argv: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run one of the checkout's scripts."""
    return subprocess.run(
        [str(CHECKOUT / argv[0]), *argv[1:]],
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_of_a_script_names_an_example_and_the_exit_statuses(name: str) -> None:
    done = script(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Example:" in done.stdout
    assert "Exit status:" in done.stdout


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_with_an_unknown_option_is_wrong_usage(name: str) -> None:
    done = script(name, "--fly")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--fly" in done.stderr
    assert f"hint: see: {name} --help" in done.stderr


@pytest.mark.parametrize("name", SCRIPTS)
def test_option_without_its_value_is_wrong_usage(name: str) -> None:
    option = "--output" if name in WITHOUT_TREE else "--tree"
    done = script(name, option)
    assert done.returncode == 2
    assert f"{option} needs a value" in done.stderr


@pytest.mark.parametrize("kind", ["deb", "rpm"])
def test_version_that_is_none_is_refused(kind: str) -> None:
    done = script(f"packaging/{kind}/build.sh", "--version", "1; rm -rf /")
    assert done.returncode == 2
    assert "is no version" in done.stderr


def test_staging_a_tree_that_is_none_says_how_to_make_one(tmp_path: Path) -> None:
    done = script("packaging/stage.sh", str(tmp_path / "out"), "deb", "--tree", str(tmp_path))
    assert done.returncode == 4
    assert f"packaging/build.sh --output {tmp_path}" in done.stderr


@pytest.mark.parametrize("flavour", ["deb", "rpm", "plain"])
def test_every_schema_of_json_is_staged_readable_by_all(flavour: str, tmp_path: Path) -> None:
    done = script("packaging/stage.sh", str(tmp_path / "out"), flavour, "--no-tree")
    assert done.returncode == 0, done.stderr
    staged = sorted((tmp_path / "out/usr/share/snap-self/schema").iterdir())
    made = sorted((CHECKOUT / "agent/snap_self/data/schema").iterdir())
    assert [path.name for path in staged] == [path.name for path in made]
    assert [path.read_bytes() for path in staged] == [path.read_bytes() for path in made]
    assert {path.stat().st_mode & 0o777 for path in staged} == {0o644}


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a mount namespace")
def test_build_without_patchelf_says_what_to_install(tmp_path: Path) -> None:
    # In a mount namespace without it: the script looks in the system's folders whatever PATH says.
    found = shutil.which("patchelf")
    hide = f"mount --bind /dev/null {found} && " if found else ""
    build = f'{hide}exec "$0" --output "$1"'
    argv = ["unshare", "--mount", "sh", "-c", build, str(CHECKOUT / "packaging/build.sh")]
    done = subprocess.run(
        [*argv, str(tmp_path / "tree")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 4
    assert "patchelf is missing" in done.stderr
    assert "apt-get install patchelf" in done.stderr


@pytest.mark.slow
def test_agent_of_a_second_build_is_the_same_to_the_bit(tmp_path: Path) -> None:
    need("patchelf", "strip")
    tree = self_contained_tree()
    before = contents(tree)
    again = script("packaging/build.sh", "--output", str(tree))
    assert again.returncode == 0, again.stderr
    assert contents(tree) == before


def contents(tree: Path) -> dict[str, bytes]:
    """Return what the agent's own files of a tree hold, and the command."""
    site = next(tree.glob("opt/snap-self/lib*/python3*/site-packages"))
    files = [*site.glob("snap_self/**/*"), *site.glob("ecs_simulator/**/*")]
    files += (tree / "opt/snap-self/bin").iterdir()
    return {str(path): path.read_bytes() for path in files if path.is_file()}

"""Another Python of ours: it finds what its starter finds, and nothing of somebody else's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent_runner import CHECKOUT
from snap_self.system.python_child import bare_command, child_command, is_beside_us

AGENT = str(CHECKOUT / "agent")
NOBODY = 65534
# Run by a first Python: it changes its own path, and has a second one tell what it sees.
TELL = """
import json, subprocess, sys
sys.path[:0] = json.loads(sys.argv[1])
from snap_self.system.python_child import child_command
code = 'print(json.dumps([sys.path, list(sys.argv), sys.flags.isolated, sys.flags.no_site]))'
argv = list(child_command(('--option', ''), module='os', call='0'))
place = argv.index('-c') + 1
argv[place] = argv[place].replace('from os import main;', 'import json;').replace(
    'sys.exit(0)', code)
print(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
"""


def seen_by_child(
    *path: str, cwd: str = "/", flags: tuple[str, ...] = ("-I",), env: dict[str, str] | None = None
) -> tuple[list[str], list[str], int, int]:
    done = subprocess.run(
        [sys.executable, *flags, "-c", TELL, json.dumps([*path, AGENT])],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, **(env or {})},
    )
    assert done.returncode == 0, done.stderr
    path_of_child, argv, isolated, no_site = json.loads(done.stdout)
    return path_of_child, argv, isolated, no_site


@pytest.mark.parametrize("flags", [(), ("-I", "-S", "-B")], ids=["plain", "isolated"])
def test_child_finds_the_agent_as_its_starter_did(flags: tuple[str, ...]) -> None:
    told = [*sys.path, AGENT]
    code = (
        f"import sys; sys.path[:] = {told!r}; "
        "from snap_self.system.python_child import child_command; "
        "import subprocess; "
        "print(subprocess.run(child_command(('--version',)), env={}, cwd='/', capture_output=True,"
        " text=True).stdout)"
    )
    done = subprocess.run(
        [sys.executable, *flags, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("snap-self ")


@pytest.mark.parametrize("flags", [("-I",), ("-I", "-S")], ids=["site", "no site"])
def test_child_is_isolated_and_has_no_site_module_where_its_starter_has_none(
    flags: tuple[str, ...],
) -> None:
    _, argv, isolated, no_site = seen_by_child(flags=flags)
    assert (isolated, no_site) == (1, int("-S" in flags))
    assert argv == ["snap-self", "--option", ""]


def test_child_does_not_look_into_the_current_directory(tmp_path: Path) -> None:
    path, *_ = seen_by_child("", ".", str(tmp_path), cwd=str(tmp_path))
    assert not {"", ".", str(tmp_path)} & set(path)


@pytest.mark.root
@pytest.mark.parametrize(("owner", "mode"), [(NOBODY, 0o755), (0, 0o1777), (0, 0o775)])
def test_child_of_root_does_not_look_where_others_may_write(
    tmp_path: Path, owner: int, mode: int
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    os.chown(place, owner, -1)
    place.chmod(mode)
    path, *_ = seen_by_child(str(place), flags=(), env={"PYTHONPATH": str(place)})
    assert str(place) not in path


@pytest.mark.root
def test_child_of_root_looks_where_root_alone_may_write() -> None:
    assert "/usr/share" in seen_by_child("/usr/share")[0]


def test_child_runs_the_same_code_as_its_starter_whatever_else_is_installed() -> None:
    path, *_ = seen_by_child()
    assert path[0] == AGENT
    assert len(path) == len(set(path))


def test_bare_child_has_the_standard_library_first_and_nothing_but_our_code_beside_it() -> None:
    argv = list(bare_command(("1",), module="snap_self"))
    place = argv.index("-c") + 1
    argv[place] = argv[place].replace(
        "from snap_self import main; main()", "import snap_self; print(sys.path, sys.argv)"
    )
    told = subprocess.run(argv, capture_output=True, text=True, check=True, cwd="/").stdout
    path, words = told.strip().removesuffix("]").split("] [")
    assert path.endswith(AGENT + "'")
    assert "site-packages" not in path.removesuffix(AGENT + "'")
    assert words == "'-c', '1'"


def test_arguments_stay_apart_from_the_path() -> None:
    argv = child_command(("follow", "RUN"))
    assert argv[-2:] == ("follow", "RUN")
    assert "" not in argv[argv.index("-c") + 3 :]


def test_simulated_cloud_lies_beside_the_agent_and_nothing_else_does() -> None:
    assert is_beside_us("ecs_simulator")
    assert not is_beside_us("requests")

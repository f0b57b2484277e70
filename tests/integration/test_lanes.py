"""Tests that run in several processes: which stay together, what comes last, what is told."""

from __future__ import annotations

import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import lanes

LANES = (
    "--tx",
    f"2*popen//python={sys.executable} -I",
    "--dist",
    "loadscope",
    "--no-loadscope-reorder",
)
NOTES = """
import os, time
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1]

def note(what):
    with (FOLDER / "notes").open("a") as file:
        file.write(f"{what} {os.getpid()}\\n")
"""
LOOKING = f"""{NOTES}
def test_last():
    assert len((FOLDER / "notes").read_text().splitlines()) == EXPECTED
"""

KILLS = """
def test_kills():
    os.kill(os.getpid(), 9)
"""


def noting(*names: str, slow: bool) -> str:
    """Return a module whose tests note where they ran."""
    body = "    time.sleep(1.5)\n    note(__name__)\n" if slow else "    note(__name__)\n"
    return NOTES + "".join(f"def test_{name}():\n{body}" for name in names)


def ran(folder: Path, files: dict[str, str], *options: str) -> tuple[int, dict[str, str], str]:
    """Run the tests in two processes; return the status, each test's outcome and the output."""
    for name in ("lanes.py", "agent_runner.py", "run_directory.py"):
        shutil.copy(Path(lanes.__file__).parent / name, folder / name)
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text("[pytest]\npythonpath = .\nmarkers = root: x\n")
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    command = ("-m", "pytest", "-p", "no:cacheprovider", "--junitxml=all.xml", *LANES, *options)
    ended = subprocess.run(
        [sys.executable, "-I", *command], cwd=folder, capture_output=True, text=True, timeout=120
    )
    outcomes = {
        case.get("name", ""): "+".join(sorted({part.tag for part in case})) or "passed"
        for case in ElementTree.parse(folder / "all.xml").iter("testcase")
    }
    return ended.returncode, outcomes, ended.stdout


CONFTEST = """
from pathlib import Path
import lanes

def pytest_configure(config):
    lanes.register(config, lanes.shared_run_root(config) or Path(__file__).parent)

def pytest_collection_modifyitems(items):
    items.sort(key=lanes.is_last)
"""


def where(folder: Path) -> dict[str, set[str]]:
    """Return the processes in which each module's tests ran."""
    found: dict[str, set[str]] = {}
    for line in (folder / "notes").read_text().splitlines():
        name, pid = line.split()
        found.setdefault(name, set()).add(pid)
    return found


def test_what_two_may_not_do_at_once_runs_in_one_process(tmp_path: Path) -> None:
    files = {
        "system/test_m.py": noting("p1", "p2", slow=True),
        "package/test_p.py": noting("k1", "k2", slow=False),
        "integration/test_s.py": "import pytest\npytestmark = pytest.mark.root\n"
        + noting("s1", "s2", slow=False),
        "vm/test_v.py": noting("v1", "v2", slow=True),
        "unit/test_u.py": noting(*(f"u{n}" for n in range(9)), slow=False),
    }
    status, outcomes, out = ran(tmp_path, files)
    assert (status, set(outcomes.values())) == (0, {"passed"}), out
    assert len(outcomes) == 17
    found = where(tmp_path)
    assert found["test_m"] == found["test_s"] == found["test_p"]
    assert {len(pids) for pids in found.values()} == {1}
    assert found["test_v"] != found["test_m"]


@pytest.mark.parametrize(
    ("tier", "mark", "apart"),
    [
        ("package", "slow", False),
        ("package", "own_root", True),
        ("contract", "root", False),
        ("contract", "slow", True),
        ("integration", "own_root", True),
    ],
)
def test_file_is_apart_where_it_needs_no_machine_or_has_roots_of_its_own(
    tmp_path: Path, tier: str, mark: str, apart: bool
) -> None:
    name = f"{tier}/test_p.py"
    (tmp_path / tier).mkdir()
    (tmp_path / name).write_text(f"import pytest\npytestmark = pytest.mark.{mark}\n")
    assert lanes.group_of(tmp_path, f"{name}::test_x") == (name if apart else lanes.MACHINE)


def test_second_tries_are_asked_for_without_a_wait(tmp_path: Path) -> None:
    asks = """
import socket

def test_asks(pytestconfig):
    sock = pytestconfig.failures_db.sock
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
"""
    status, outcomes, out = ran(tmp_path, {"unit/test_asks.py": asks}, "--reruns", "1")
    assert (status, outcomes) == (0, {"test_asks": "passed"}), out


def test_what_looks_at_all_comes_last(tmp_path: Path) -> None:
    files = {
        "leaks/test_l.py": LOOKING.replace("EXPECTED", "7"),
        "unit/test_slow.py": noting("a", "b", "c", slow=True),
        "unit/test_quick.py": noting("d", "e", "f", "g", slow=False),
    }
    status, outcomes, out = ran(tmp_path, files)
    assert (status, outcomes["test_last"]) == (0, "passed"), out


def test_process_that_dies_fails_the_test_and_keeps_no_other_from_running(tmp_path: Path) -> None:
    files = {
        "leaks/test_l.py": LOOKING.replace("EXPECTED", "4"),
        "unit/test_kills.py": noting("before", slow=False) + KILLS,
        "unit/test_other.py": noting("d", "e", "f", slow=False),
    }
    status, outcomes, out = ran(tmp_path, files)
    assert (status, outcomes["test_last"]) == (1, "passed"), out
    assert {name for name, outcome in outcomes.items() if outcome != "passed"} == {"test_kills"}
    assert "1 failed, 5 passed in" in out.splitlines()[-1]


def test_failure_in_another_process_is_told_and_counted(tmp_path: Path) -> None:
    files = {
        "unit/test_bad.py": "def test_bad():\n    assert 1 == 2, 'told there'\n",
        "unit/test_good.py": noting("good", slow=False),
    }
    status, outcomes, out = ran(tmp_path, files)
    assert (status, outcomes) == (1, {"test_bad": "failure", "test_good": "passed"})
    assert "told there" in out
    assert "1 failed, 1 passed in" in out.splitlines()[-1]


def test_what_comes_last_and_is_skipped_is_told_so(tmp_path: Path) -> None:
    files = {
        "leaks/test_l.py": "import pytest\ndef test_last():\n    pytest.skip('nothing to see')\n",
        "unit/test_good.py": noting("good", slow=False),
    }
    status, outcomes, out = ran(tmp_path, files, "-rs")
    assert (status, outcomes) == (0, {"test_last": "skipped", "test_good": "passed"}), out
    assert "nothing to see" in out


def test_what_comes_last_is_left_out_where_it_was_not_chosen(tmp_path: Path) -> None:
    files = {
        "leaks/test_l.py": "def test_last():\n    assert 1 == 2\n",
        "unit/test_good.py": noting("good", "other", slow=False),
    }
    status, outcomes, out = ran(tmp_path, files, "-k", "good")
    assert (status, set(outcomes)) == (0, {"test_good", "test_other"}), out

"""The search for secrets at the end of a run, tried on small runs that leak one on purpose."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
MACHINERY = (
    *("conftest.py", "lanes.py", "guards.py", "run_directory.py"),
    "agent_runner.py",
)
SIMULATOR = '''
import os
from pathlib import Path
import pytest

class Cloud:
    """Stands for a simulator that handed out one secret."""
    def secrets(self):
        return ["handed-out-4711"]

@pytest.fixture
def cloud():
    return Cloud()
'''
LEAKS = {
    "standard output": "print('token handed-out-4711')",
    "a log": "import logging; logging.getLogger('x').warning('token handed-out-4711')",
    "a journal": "(state_dir / 'run.json').write_text('{\"t\": \"handed-out-4711\"}')",
    "a temporary file": "(run_directory.root / 'tmp' / 'f').write_text('handed-out-4711')",
    "the agent's output": (
        "agent.with_wrapper('sh', '-c', 'echo handed-out-4711 >&2').run('list')"
    ),
    "another process's secret": (
        "Path(os.environ['SNAP_SELF_TEST_SECRETS_DIR'], '99').write_text('of-a-process-99\\n'); "
        "print('of-a-process-99')"
    ),
}


@pytest.fixture
def small_run(tmp_path: Path) -> Path:
    """Return a folder with a copy of the tests' own machinery and nothing else."""
    tests = tmp_path / "tests"
    (tests / "leaks").mkdir(parents=True)
    (tests / "zone").mkdir()
    for name in MACHINERY:
        shutil.copy(TESTS / name, tests / name)
    shutil.copy(TESTS / "leaks/test_leaks_whole_run.py", tests / "leaks")
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\npythonpath = tests\nmarkers = root: x\naddopts = -ra\n", encoding="utf-8"
    )
    return tmp_path


def run_tests(folder: Path, body: str, **variables: str) -> subprocess.CompletedProcess[str]:
    test = f"{SIMULATOR}\ndef test_x(cloud, agent, run_directory, state_dir):\n    {body}\n"
    # A name that would come after tests/leaks by itself.
    (folder / "tests/zone/test_zone.py").write_text(test, encoding="utf-8")
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SNAP_SELF_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests"],
        cwd=folder,
        env={**kept, "SNAP_SELF_TEST_RUN_DIR": str(folder / "run"), **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("body", LEAKS.values(), ids=LEAKS.keys())
def test_run_that_leaks_a_secret_fails_without_showing_it(small_run: Path, body: str) -> None:
    result = run_tests(small_run, body)
    assert "1 failed, 1 passed" in result.stdout, result.stdout
    assert "secrets lie in" in result.stdout
    assert "handed-out-4711" not in result.stdout
    assert result.stdout.index("test_zone.py") < result.stdout.index("test_leaks_whole_run.py")


def test_run_that_leaks_nothing_passes(small_run: Path) -> None:
    result = run_tests(small_run, "print('nothing to see')")
    assert "2 passed" in result.stdout, result.stdout


def test_run_says_above_its_summary_what_failed_before(small_run: Path) -> None:
    result = run_tests(small_run, "pass", SNAP_SELF_TEST_FAILED_BEFORE="lint/mypy")
    assert "lint/mypy (see above)" in result.stdout
    assert result.stdout.rstrip().splitlines()[-1].strip("= ").startswith("2 passed")

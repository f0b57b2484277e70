"""What holds for every test: where output goes, what a tier may touch, what is skipped and why."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

import guards
import lanes
from agent_runner import AgentRunner
from run_directory import RunDirectory

TESTS = Path(__file__).resolve().parent
FIXTURE_MODULES = ("fixtures_simulator",)
pytest_plugins = [name for name in FIXTURE_MODULES if importlib.util.find_spec(name)]

RUN = pytest.StashKey[RunDirectory]()
GUARD = guards.install()

hypothesis.settings.register_profile(
    "base",
    database=None,
    deadline=None,  # a shared machine is slow at times
    max_examples=60,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile(
    "ci", parent=hypothesis.settings.get_profile("base"), derandomize=True, print_blob=True
)


def pytest_configure(config: pytest.Config) -> None:
    """Make the run directory; tell simulators where to note the secrets they hand out."""
    _heed_signals()
    hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "base")
    kept = os.environ.get("SNAP_SELF_TEST_RUN_DIR")
    run = RunDirectory.create(lanes.shared_run_root(config) or (Path(kept) if kept else None))
    config.stash[RUN] = run
    os.environ["SNAP_SELF_TEST_SECRETS_DIR"] = str(run.secrets_folder)
    if not lanes.runs_elsewhere(config):
        config.pluginmanager.register(CaptureKeeper(run), "snap-self-capture-keeper")
    lanes.register(config, run.root)


def _heed_signals() -> None:
    """Undo what a background job or nohup ignores: the agents started here would inherit it."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            usual = signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL
            signal.signal(number, usual)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the run directory unless its place was chosen, or a secret was found in it."""
    run = config.stash[RUN]
    if lanes.shared_run_root(config):
        return
    if not os.environ.get("SNAP_SELF_TEST_RUN_DIR") and not (run.root / "keep").exists():
        run.remove()


class CaptureKeeper:
    """Writes what pytest captured of each test into the run directory."""

    def __init__(self, run: RunDirectory) -> None:
        self._run = run

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Append one phase's output and logs to the test's file."""
        text = "".join(f"--- {name}\n{content}\n" for name, content in report.sections)
        if text:
            name = re.sub(r"[^A-Za-z0-9._-]+", "-", report.nodeid)[-120:]
            with (self._run.root / "captured" / name).open("a", encoding="utf-8") as file:
                file.write(text)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs root where it cannot be; put the search for leaked secrets last."""
    missing = guards.what_root_tests_miss(os.geteuid(), Path("/dev/loop-control"))
    for item in items:
        if missing and item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason=missing))
    items.sort(key=lanes.is_last)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Hold the unit tier's rules while one of its tests, or a fixture for it, runs."""
    with GUARD.unit_rules(hold=(TESTS / "unit") in item.path.parents):
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Note what the test's simulators handed out, before they are torn down."""
    run = item.config.stash[RUN]
    for value in getattr(item, "funcargs", {}).values():
        note_secrets_of(value, run)


def note_secrets_of(value: Any, run: RunDirectory) -> None:
    """Note the secrets of a fixture that has some to tell."""
    ask = getattr(value, "secrets", None)
    if callable(ask) and not isinstance(value, RunDirectory):
        run.note_secrets(ask())


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say above the last line what failed before pytest was started."""
    failed = os.environ.get("SNAP_SELF_TEST_FAILED_BEFORE", "")
    if failed:
        terminalreporter.section("failed before these tests", red=True, bold=True)
        terminalreporter.line(f"{failed} (see above); the exit status will say so")


@pytest.fixture(scope="session")
def run_directory(pytestconfig: pytest.Config) -> RunDirectory:
    """Return the folder of this test run."""
    return pytestconfig.stash[RUN]


@pytest.fixture
def state_dir(run_directory: RunDirectory, request: pytest.FixtureRequest) -> Path:
    """Return a state directory of this test's own; searched for secrets at the end."""
    return run_directory.new_folder("state", request.node.name)


@pytest.fixture
def agent(run_directory: RunDirectory, state_dir: Path) -> AgentRunner:
    """Return what starts the agent for this test."""
    return AgentRunner(run_directory=run_directory, state=state_dir)

"""Fixtures for stories in guests: saved guests, a folder each, and how long everything took."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent / "package"))

import built_packages
import guest_driver
import guest_image
import guest_prepared
from guest_driver import Disk, Guest
from guest_prepared import Begin, Saved

from ecs_simulator.storage.guest import what_guests_need
from kept_builds import CannotBuild
from run_directory import RunDirectory

# Stories end their guests after 30 minutes; guests may have to be made before.
TIMEOUT_S = 3600
STOPWATCH = pytest.StashKey["Stopwatch"]()


def pytest_configure(config: pytest.Config) -> None:
    """Have the durations noted."""
    config.stash[STOPWATCH] = Stopwatch()
    config.pluginmanager.register(config.stash[STOPWATCH], "snap-self-stories")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let stories take their time."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep what a failed story and its guests leave, while the guests still run, and name it."""
    report = yield
    if report.failed and report.when != "teardown" and item.path.parent == Path(__file__).parent:
        folders = {*guest_driver.keep_evidence()}
        if "story_folder" in getattr(item, "funcargs", {}):
            folders.add(item.funcargs["story_folder"])  # type: ignore[attr-defined]
        for folder in folders:
            (folder.parent.parent / "keep").touch()
            report.sections.append(("kept", f"console, journal and the like: {folder}"))
    return report


class Stopwatch:
    """Notes how long each story took, wherever it ran."""

    def __init__(self) -> None:
        self.took: list[tuple[str, float]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note one phase of a story."""
        if report.nodeid.startswith("tests/vm/"):
            name = report.nodeid.partition("::")[2]
            self.took.append((f"{name} ({report.when})", report.duration))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say how long the stories took."""
    long = [(name, took_s) for name, took_s in config.stash[STOPWATCH].took if took_s >= 1]
    if long:
        terminalreporter.section("stories in guests")
        for name, took_s in long:
            terminalreporter.line(f"{took_s:6.1f} s  {name}")


@pytest.fixture(scope="session")
def guests_possible() -> None:
    """Skip where no guest can run."""
    missing = what_guests_need() or guest_image.missing_to_build()
    if missing:
        pytest.skip(f"no virtual machines here: {missing}")


@pytest.fixture(scope="session")
def package(guests_possible: None) -> Path:
    """Return the agent's Debian package; ``SNAP_SELF_TEST_DEB`` may name one that is there."""
    given = os.environ.get("SNAP_SELF_TEST_DEB")
    return Path(given) if given else built_packages.deb()


def _saved(make: Callable[[], Saved]) -> Saved:
    try:
        return make()
    except CannotBuild as error:
        pytest.skip(f"no guest image: {error}")


@pytest.fixture(scope="session")
def plain_guest(guests_possible: None) -> Saved:
    """Return a saved guest without the agent."""
    return _saved(guest_prepared.booted)


@pytest.fixture(scope="session")
def agent_guest(guests_possible: None, package: Path) -> Saved:
    """Return a saved guest with the agent's package installed."""
    return _saved(lambda: guest_prepared.prepared(package))


@pytest.fixture(scope="session")
def database_guest(guests_possible: None, package: Path) -> Saved:
    """Return a saved guest with the agent, MariaDB and PostgreSQL."""
    return _saved(lambda: guest_prepared.prepared(package, "databases"))


@pytest.fixture(scope="session")
def btrfs_guest(guests_possible: None, package: Path) -> Saved:
    """Return a saved guest with the agent and its root on btrfs."""
    return _saved(lambda: guest_prepared.prepared(package, "btrfs"))


@pytest.fixture(scope="session")
def lvm_guest(guests_possible: None, package: Path) -> Saved:
    """Return a saved guest with the agent and its root on a logical volume."""
    return _saved(lambda: guest_prepared.prepared(package, "lvm"))


@pytest.fixture
def story_folder(run_directory: RunDirectory, request: pytest.FixtureRequest) -> Path:
    """Return a folder for what the story leaves; kept when it fails."""
    (run_directory.root / "vm").mkdir(exist_ok=True)
    return run_directory.new_folder("vm", request.node.name)


@pytest.fixture
def begin(story_folder: Path) -> Iterator[Begin]:
    """Return what resumes a saved guest with data disks, for as long as the story lasts."""
    with ExitStack() as stack:

        def resume(saved: Saved, *data: Disk, **settings: Any) -> Guest:
            return stack.enter_context(
                guest_prepared.resumed(saved, *data, folder=story_folder, **settings)
            )

        yield resume

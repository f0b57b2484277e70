"""Lets the tests run in several processes (pytest-xdist), none of which disturbs another.

``--tx 2*popen --dist loadscope --no-loadscope-reorder`` spreads these groups; each stays in one
process::

    guests     stories in guests, which mostly wait for an emulated processor
    machine    what two may not do at once on one machine: loop devices, freezes, package managers
    a file     all others, also what needs root where its file says ``pytest.mark.own_root``

The first two take longest and begin first. What looks at all that the others have left
(``leaks/``) is run once they have ended.
"""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

from agent_runner import OWN_RUN

TESTS = Path(__file__).resolve().parent
GUESTS, MACHINE = GROUPS = ("guests", "machine")
RUN_ROOT = "SNAP_SELF_TEST_RUN_DIR"


class Scheduling(LoadScopeScheduling):
    """Tests of one group stay in one process; one that ends its process is not tried again."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        super().__init__(config, log)
        self._fatal: set[str] = set()

    def remove_node(self, node: Any) -> str | None:
        """Take note of the test during which a process died; return its name."""
        units = self.assigned_work[node].values()
        left = [nodeid for unit in units for nodeid, done in unit.items() if not done]
        self._fatal.update(left[:1])
        crashed: str | None = super().remove_node(node)
        return crashed

    def _assign_work_unit(self, node: Any) -> None:
        while self.workqueue:
            unit = next(iter(self.workqueue.values()))
            unit.update((nodeid, True) for nodeid in unit.keys() & self._fatal)
            if not all(unit.values()):
                super()._assign_work_unit(node)
                return
            self.workqueue.popitem(last=False)
        node.shutdown()

    def _split_scope(self, nodeid: str) -> str:
        return group_of(self.config.rootpath, nodeid)


class Controller:
    """In the process that hands the tests out."""

    def __init__(self, run_root: Path) -> None:
        self._run_root = run_root
        self._last: Sequence[str] = ()

    def pytest_configure_node(self, node: Any) -> None:
        """Tell a process where the run directory is, which all share."""
        node.workerinput["run_root"] = str(self._run_root)

    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Scheduling:
        """Return who hands them out."""
        return Scheduling(config, log)

    def pytest_testnodedown(self, node: Any) -> None:
        """Learn from a process that has ended what it left to be done last."""
        self._last = getattr(node, "workeroutput", {}).get("last", self._last)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Do that."""
        for nodeid in self._last:
            report = self._report_of(nodeid, session.config.rootpath)
            session.config.hook.pytest_runtest_logreport(report=report)
            if report.failed:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _report_of(self, nodeid: str, root: Path) -> pytest.TestReport:
        start = time.monotonic()
        found = self._run_root / "last.xml"
        done = subprocess.run(
            [
                *(sys.executable, "-I", "-m", "pytest", "-q", "-p", "no:cacheprovider"),
                *(f"--junitxml={found}", nodeid),
            ],
            cwd=root,
            env={**os.environ, RUN_ROOT: str(self._run_root)},
            capture_output=True,
            text=True,
            check=False,
        )
        file, name = nodeid.partition("::")[0], nodeid.rpartition("::")[2]
        skipped = None if done.returncode else ElementTree.parse(found).find(".//skipped")
        longrepr: Any = f"{done.stdout}{done.stderr}" if done.returncode else None
        if skipped is not None:
            longrepr = (file, 0, f"Skipped: {skipped.get('message')}")
        outcome = "skipped" if skipped is not None else "failed" if done.returncode else "passed"
        return pytest.TestReport(
            nodeid=nodeid,
            location=(file, 0, name),
            keywords={},
            outcome=outcome,  # type: ignore[arg-type]
            longrepr=longrepr,
            when="call",
            duration=time.monotonic() - start,
        )


class Worker:
    """In a process that runs some of the tests."""

    def __init__(self, output: dict[str, Any]) -> None:
        self._output = output

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Let what counts second tries be asked without a wait.

        pytest-rerunfailures sends two small messages for each test; the second one waited some
        40 ms for the first one's acknowledgement (Nagle's algorithm): 57 s for 1,335 unit tests,
        now 40 s.
        """
        counted_at = getattr(getattr(session.config, "failures_db", None), "sock", None)
        if isinstance(counted_at, socket.socket):
            counted_at.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Begin with the groups that take longest; leave what comes last, if it was chosen."""
        self._output["last"] = [item.nodeid for item in items if is_last(item)]
        items[:] = sorted(
            (item for item in items if not is_last(item)),
            key=lambda item: _turn(group_of(item.config.rootpath, item.nodeid)),
        )

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Leave the machine's lock to the group that needs the machine.

        Root's agents take one lock in /run/snap-self, and end each other's freezes. The groups come
        first, so no test of one follows in this process.
        """
        beside = group_of(item.config.rootpath, item.nodeid) not in GROUPS
        if os.geteuid() == 0 and beside and OWN_RUN not in os.environ:
            os.environ[OWN_RUN] = own_run_folder()


def own_run_folder() -> str:
    """Make a folder that lies in the place of /run/snap-self for this process's agents."""
    for folder in (own := f"/run/snap-self-tests-{os.getpid()}", "/run/snap-self"):
        Path(folder).mkdir(mode=0o700, exist_ok=True)
    atexit.register(shutil.rmtree, own, ignore_errors=True)
    return own


def group_of(root: Path, nodeid: str) -> str:
    """Return the name of the group a test belongs to.

    Args:
        root: of the checkout.
        nodeid: begins with the file's path from there.
    """
    return _group_of_file(root, nodeid.partition("::")[0])


@cache
def _group_of_file(root: Path, name: str) -> str:
    parts = Path(name).parts
    if "vm" in parts:
        return GUESTS
    text = (root / name).read_text(encoding="utf-8")
    if "pytest.mark.own_root" in text:
        return name
    # Single tests of the other tiers need loop devices too.
    return MACHINE if {"system", "package"} & {*parts} or "pytest.mark.root" in text else name


def is_last(item: pytest.Item) -> bool:
    """Tell whether a test looks at what all others have left."""
    return TESTS / "leaks" in item.path.parents


def _turn(group: str) -> int:
    return GROUPS.index(group) if group in GROUPS else len(GROUPS)


def shared_run_root(config: pytest.Config) -> Path | None:
    """Return the run directory that the process which hands the tests out has made, if one did."""
    handed: dict[str, Any] = getattr(config, "workerinput", {})
    return Path(handed["run_root"]) if handed else None


def register(config: pytest.Config, run_root: Path) -> None:
    """Take the part that this process has, if it has one."""
    handed: dict[str, Any] = getattr(config, "workerinput", {})
    if handed:
        output: dict[str, Any] = getattr(config, "workeroutput", {})
        config.pluginmanager.register(Worker(output), "snap-self-lane")
    elif runs_elsewhere(config):
        config.pluginmanager.register(Controller(run_root), "snap-self-lanes")


def runs_elsewhere(config: pytest.Config) -> bool:
    """Tell whether this process only hands the tests out."""
    return bool(config.getoption("tx", default=None)) and not hasattr(config, "workerinput")

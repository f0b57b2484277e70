"""Stop tests from reaching where their tier may not; by audit events, so nothing is patched."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

# From https://docs.python.org/3/library/audit_events.html; `time.sleep` is raised from 3.13 on,
# and a rule on the unit tests' imports stands in for it before.
NOT_IN_UNIT_TESTS = {
    "socket.__new__": "makes a socket",
    "subprocess.Popen": "starts a process",
    "os.system": "starts a process",
    "os.posix_spawn": "starts a process",
    "os.exec": "replaces the process",
    "os.fork": "forks",
    "os.forkpty": "forks",
    "pty.spawn": "starts a process",
    "time.sleep": "sleeps",
}


class Guard:
    """An audit hook that can be told which tier's rules hold now."""

    def __init__(self) -> None:
        self._unit = False

    @contextmanager
    def unit_rules(self, *, hold: bool) -> Iterator[None]:
        """Hold, or do not hold, the unit tier's rules inside the block."""
        before, self._unit = self._unit, hold
        try:
            yield
        finally:
            self._unit = before

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        """Fail the test that causes a forbidden event."""
        if self._unit and event in NOT_IN_UNIT_TESTS:
            pytest.fail(f"a unit test {NOT_IN_UNIT_TESTS[event]} ({event}); pass a fake instead")
        if event == "socket.connect" and not is_here(args[1]):
            pytest.fail(f"a test connects to {args[1]!r}; only loopback may be reached")


def is_here(address: object) -> bool:
    """Tell whether a socket address lies on this machine."""
    if not isinstance(address, tuple) or not address:
        return True  # AF_UNIX and other local families
    host = address[0]
    if not isinstance(host, str):
        return True
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
        mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
        return (mapped or found).is_loopback
    except ValueError:
        return host in ("localhost", "")


def install(add_hook: Callable[[Guard], None] = sys.addaudithook) -> Guard:
    """Add a guard to the interpreter; it stays for the process's life."""
    guard = Guard()
    add_hook(guard)
    return guard


def what_root_tests_miss(uid: int, loop_control: Path) -> str:
    """Return why tests marked ``root`` cannot run here; empty where they can."""
    if uid != 0:
        return f"needs root; this is uid {uid}: run the tests as root"
    if not loop_control.exists():
        return f"needs loop devices; there is no {loop_control} here: modprobe loop"
    return ""

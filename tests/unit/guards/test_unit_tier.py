"""The unit tier's rules, tried from a unit test."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import guards


def test_unit_test_making_a_socket_fails() -> None:
    with pytest.raises(pytest.fail.Exception, match="makes a socket"):
        socket.socket()


def test_unit_test_starting_a_process_fails() -> None:
    with pytest.raises(pytest.fail.Exception, match="starts a process"):
        subprocess.run(["true"], check=True)


def test_unit_test_using_the_shell_fails() -> None:
    with pytest.raises(pytest.fail.Exception, match="starts a process"):
        os.system("true")


@pytest.mark.skipif(sys.version_info < (3, 13), reason="time.sleep is audited from 3.13 on")
def test_unit_test_sleeping_fails() -> None:
    with pytest.raises(pytest.fail.Exception, match="sleeps"):
        time.sleep(0)


@pytest.mark.parametrize(
    "address",
    [
        *(("127.0.0.1", 80), ("127.3.2.1", 80), ("::1", 80, 0, 0), ("::ffff:127.0.0.1", 80, 0, 0)),
        *("/run/x.sock", ("localhost", 1)),
    ],
)
def test_is_here_for_local_address_is_true(address: object) -> None:
    assert guards.is_here(address)


@pytest.mark.parametrize(
    "address",
    [("100.100.100.200", 80), ("10.0.0.1", 1), ("ecs.example", 443), ("::ffff:10.0.0.1", 1)],
)
def test_is_here_for_other_address_is_false(address: object) -> None:
    assert not guards.is_here(address)


def test_guard_outside_unit_tests_lets_sockets_be_made() -> None:
    guard = guards.Guard()
    with guard.unit_rules(hold=False):
        guard("socket.__new__", ())
    with guard.unit_rules(hold=True), pytest.raises(pytest.fail.Exception):
        guard("socket.__new__", ())


def test_guard_in_any_tier_stops_connecting_to_the_outside() -> None:
    with pytest.raises(pytest.fail.Exception, match="only loopback"):
        guards.Guard()("socket.connect", (None, ("192.0.2.1", 443)))


@pytest.mark.parametrize(
    ("uid", "device", "said"),
    [
        (0, "/dev/null", ""),
        (1000, "/dev/null", "needs root; this is uid 1000"),
        (0, "/nowhere", "needs loop devices"),
    ],
)
def test_root_tests_say_what_they_miss(uid: int, device: str, said: str) -> None:
    missing = guards.what_root_tests_miss(uid, Path(device))
    assert missing.startswith(said)
    assert bool(missing) == bool(said)

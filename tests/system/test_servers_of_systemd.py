"""Under a real systemd a service of the distribution is proved, and one started by hand is not."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from systemd_world import ROOT, World, skip_reason, systemd_running

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(bool(skip_reason()), reason=skip_reason()),
    pytest.mark.skipif(not shutil.which("redis-server"), reason="needs redis-server"),
]
LOOK = f"""
import json, sys
sys.path[:0] = ["{ROOT}/agent", "{ROOT}/tests", "{ROOT}/tests/system"]
import applications_rig as rig
from snap_self.model.applications import ApplicationSettings
from snap_self.model.identity import unproved
from snap_self.quiesce.applications.base import Limit, Server
from snap_self.quiesce.applications.redis import RedisDriver

tools = rig.tools()
rules = tools.accounts.rules()
processes = rig.SystemProcesses()
seen = []
for identity in processes.named({{"redis-server"}}):
    fact = processes.look_at(identity)
    account = tools.accounts.uid_of("redis")
    seen.append({{
        "why": unproved(identity, rules, account=None, usual=[account]) or fact.distrust,
        "named": unproved(identity, rules, account=account) or fact.distrust,
        "cgroup": identity.cgroup,
        "own_users": identity.own_users,
        "said": "",
    }})
    if sys.argv[1:] == ["rest"]:
        server = Server(
            label="redis", process=fact, data_dir=fact.cwd, one_cut=True, covers=bool,
            settings=ApplicationSettings(),
        )
        driver = RedisDriver(server, tools)
        limit = Limit(rig.CLOCK, rig.CLOCK.monotonic() + 20)
        try:
            driver.open(limit)
            driver.hold(limit)
            seen[-1]["said"] = driver.state() or driver.release() or "rested"
        except Exception as error:
            seen[-1]["said"] = str(error)
        finally:
            driver.close()
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with systemd_running(tmp_path_factory.mktemp("servers") / "world") as running:
        running.run("install", "-d", "-o", "redis", "-g", "redis", "/var/log/redis")
        yield running


def looked_at(world: World, *how: str) -> list[dict[str, Any]]:
    """Return what the agent sees of every redis-server."""
    done = world.run(
        *("nsenter", "--net=/proc/1/ns/net", sys.executable, "-c", LOOK, *how),
    )
    assert done.returncode == 0, done.stderr
    seen: list[dict[str, Any]] = json.loads(done.stdout)
    return seen


def test_service_of_the_distribution_is_proved_and_brought_to_rest_over_loopback(
    world: World,
) -> None:
    started = world.run("systemctl", "start", "redis-server.service")
    assert started.returncode == 0, world.run("journalctl", "-u", "redis-server").stdout
    world.run("ip", "link", "set", "lo", "up")
    try:
        (seen,) = looked_at(world, "rest")
    finally:
        world.run("systemctl", "stop", "redis-server.service")
    assert (seen["why"], seen["said"]) == ("", "rested")
    assert seen["cgroup"] == "/system.slice/redis-server.service"
    # Debian's unit has PrivateUsers=, PrivateTmp= and ProtectSystem=.
    assert "PrivateUsers=true" not in unit() or seen["own_users"]


def test_server_started_by_hand_counts_only_for_the_account_that_is_named(world: World) -> None:
    by_hand = ("setpriv", "--reuid=redis", "--regid=redis", "--clear-groups", "redis-server")
    world.run("install", "-d", "-o", "redis", "/run/by-hand")
    given = ("--port", "0", "--unixsocket", "/run/by-hand/sock", "--dir", "/run/by-hand")
    more = ("--daemonize", "yes", "--save", "", "--pidfile", "/run/by-hand/pid")
    assert world.run(*by_hand, *given, *more).returncode == 0
    try:
        world.wait(lambda: bool(looked_at(world)))
        (seen,) = looked_at(world)
    finally:
        world.run("sh", "-c", "kill $(cat /run/by-hand/pid)")
    assert seen["why"].startswith("it does not run in a service of the system")
    assert seen["named"] == ""


def unit() -> str:
    """Return the distribution's own unit."""
    return Path("/lib/systemd/system/redis-server.service").read_text(encoding="utf-8")

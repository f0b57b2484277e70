"""Who is told of what happens in our units, by a real systemd that ends what a unit leaves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from systemd_world import ROOT, World, configured, skip_reason, systemd_running

from fixtures_simulator import SimulatorProcess, simulator_running

AGENT = "/opt/snap-self/bin/snap-self"
TOLD = "/run/told.json"
# It takes its time, and needs the network as a robot does.
TELL = """\
#!/bin/bash
sleep 1
exec 3<>/dev/tcp/127.0.0.1/{port} && cat >>{told}
"""
NOTIFY = """\
[notify]
command = ["/opt/tell"]
on = ["uploaded", "unprotected"]
"""
CLOUD = ("--storage", "loop", "--no-https", "--disk", "size=1")

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(bool(skip_reason()), reason=skip_reason()),
]


@contextmanager
def telling(tmp_path: Path) -> Iterator[World]:
    """Run a systemd on whose machine a command wants to be told."""
    life = tmp_path / "cloud.toml"
    life.write_text("[life]\naccomplished_s = 2.0\n", encoding="utf-8")
    with (
        systemd_running(tmp_path / "world") as world,
        simulator_running(*CLOUD, "--config", str(life), wrapper=world.network) as cloud,
    ):
        _configure(world, cloud)
        yield world


def _configure(world: World, cloud: SimulatorProcess) -> None:
    port = cloud.ecs_url.rstrip("/").rpartition(":")[2]
    program = world.path("/opt/tell")
    program.write_text(TELL.format(port=port, told=TOLD), encoding="utf-8")
    program.chmod(0o755)
    configured(world, cloud, NOTIFY)


def told(world: World) -> list[tuple[str, str]]:
    """Return of which events, and with which code, the command was told by now."""
    if not world.path(TOLD).exists():
        return []
    lines = world.path(TOLD).read_text(encoding="utf-8").splitlines()
    return [(each["event"], each.get("code") or "") for each in map(json.loads, lines)]


def test_end_of_an_upload_is_told_although_the_follower_ends_with_it(tmp_path: Path) -> None:
    with telling(tmp_path) as world:
        job = ("--before", "x", "--consistency", "crash", "--wait", "cut", "--json")
        made = world.run("env", "-i", "PATH=/usr/sbin:/usr/bin", AGENT, *job)
        assert made.returncode == 0, made.stderr
        unit = f"snap-self-follow@{json.loads(made.stdout)['run']['id']}.service"
        world.wait(lambda: world.run("systemctl", "is-active", unit).stdout == "inactive\n")
        assert told(world) == [("uploaded", "")]


def test_change_that_the_guard_let_go_on_is_told_from_the_timers_unit(tmp_path: Path) -> None:
    guard = (ROOT / "packaging/hooks/hook-guard").read_text(encoding="utf-8")
    with telling(tmp_path) as world:
        drop_in = world.path("/etc/systemd/system/snap-self-metrics.service.d/test.conf")
        drop_in.parent.mkdir()
        drop_in.write_text("[Unit]\nConditionVirtualization=\n", encoding="utf-8")
        world.run("systemctl", "daemon-reload")
        world.path("/run/snap-self").mkdir(mode=0o700, exist_ok=True)
        broken = guard.replace("AGENT=/usr/bin/snap-self\n", "AGENT=/bin/false\n")
        assert broken != guard
        assert world.run("sh", "-c", broken, "hook-guard", "apt").returncode == 0
        started = world.run("systemctl", "start", "snap-self-metrics.service")
        assert started.returncode == 0, started.stderr
        world.wait(lambda: bool(told(world)))
        assert told(world) == [("unprotected", "hook-broken")]

"""The machine's own apt with our hook: what is one action by the processes above it."""

from __future__ import annotations

import pytest
from apt_world import Cloud, World

pytestmark = pytest.mark.root

TWICE = "apt-get -y install libc6; apt-get -y install openssl\n"


@pytest.mark.parametrize("shell", ["bash", "bash -s"])
def test_script_that_a_shell_reads_from_a_pipe_is_one_action(
    world: World, cloud: Cloud, shell: str
) -> None:
    world.configure('reuse = "off"')
    done = world.run("sh", "-c", f"printf '{TWICE}' | {shell}; true")
    assert done.status == 0, done.err
    assert cloud.befores() == ["apt: upgrade libc6"]


@pytest.mark.parametrize("name", ["AliYunDun", "Runner.Listener", "java"])
def test_jobs_of_a_daemon_are_one_action_each(world: World, cloud: Cloud, name: str) -> None:
    world.configure('reuse = "off"')
    world.write(f"/opt/{name}", f"#!/bin/sh\n{TWICE}true\n", 0o755)
    done = world.run(f"/opt/{name}")
    assert done.status == 0, done.err
    assert cloud.befores() == ["apt: upgrade libc6", "apt: upgrade openssl"]

"""Ansible itself, in a world: the controller and the machine it looks after are one."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from apt_world import World

from agent_runner import CHECKOUT

COLLECTION = CHECKOUT / "packaging/ansible"
# Made by tests/run: Ansible is no part of the tests' own environment.
TOOLS = CHECKOUT / ".cache/ansible/bin"
PLACE = "/root/controller"
PLAY = f"{PLACE}/site.yml"
CONFIG = "/etc/snap-self/conf.d/50-ansible.toml"
HOSTS = "[ecs]\necs-1 ansible_connection=local ansible_python_interpreter=/usr/bin/python3\n"
LIMIT_S = 300.0
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_RECAP = re.compile(r"^ecs-1 .*?changed=(\d+) .*?failed=(\d+) ", re.MULTILINE)


def need_ansible(*tools: str) -> None:
    """Skip the test aloud where tests/run could not set Ansible up."""
    missing = [tool for tool in tools if not (TOOLS / tool).exists()]
    if missing:
        pytest.skip(f"not set up: {', '.join(missing)} in {TOOLS} (./tests/run package makes it)")


def blocks(kind: str) -> list[str]:
    """Return the blocks of a kind in the collection's README."""
    text = (COLLECTION / "README.md").read_text(encoding="utf-8")
    return [block for name, block in _FENCE.findall(text) if name == kind]


def collection_name() -> str:
    """Return what the built collection's file is called."""
    text = (COLLECTION / "galaxy.yml").read_text(encoding="utf-8")
    named = dict(line.split(": ", 1) for line in text.splitlines() if re.match(r"\w+: \S", line))
    return f"{named['namespace']}-{named['name']}-{named['version']}.tar.gz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """How a run of a play ended."""

    status: int
    out: str
    err: str
    changed: int
    failed: int


@dataclass(frozen=True, slots=True)
class Controller:
    """Ansible in a world, with the README's play; ``settings`` go over the role's own."""

    world: World
    settings: Mapping[str, Any]

    def given(self, **more: Any) -> Controller:
        """Return the same with more variables."""
        return Controller(self.world, {**self.settings, **more})

    def run(self, line: str) -> Played:
        """Run one line of shell as it stands in the README."""
        path = f"{TOOLS}:{os.environ.get('PATH', '')}"
        done = replace(self.world, limit_s=LIMIT_S).run(
            "sh",
            "-c",
            f"cd {PLACE} && {line}",
            PATH=path,
            ANSIBLE_NOCOLOR="1",
            ANSIBLE_PIPELINING="1",
        )
        recap = _RECAP.search(done.out)
        changed, failed = (int(recap[1]), int(recap[2])) if recap else (-1, -1)
        return Played(
            status=done.status, out=done.out, err=done.err, changed=changed, failed=failed
        )

    def play(self, *options: str) -> Played:
        """Run the README's play with these settings."""
        self.world.write(f"{PLACE}/settings.json", json.dumps(self.settings))
        words = ("ansible-playbook", "-i", "hosts", "site.yml", "-e", "@settings.json", *options)
        return self.run(" ".join(words))

    def put(self, package: Path) -> str:
        """Place a package on the controller; return where."""
        target = f"{PLACE}/{package.name}"
        self.world.path(PLACE).mkdir(parents=True, exist_ok=True)
        shutil.copy(package, self.world.path(target))
        return target

    def facts(self) -> dict[str, Any]:
        """Return what the play noted last."""
        noted: dict[str, Any] = json.loads(self.world.path(f"{PLACE}/report.json").read_text())
        return noted


def controller(world: World, **settings: Any) -> Controller:
    """Lay out a controller: the collection, the README's play and the list of machines."""
    (play,) = blocks("yaml")[:1]
    world.write(PLAY, play)
    world.write(f"{PLACE}/hosts", HOSTS)
    target = world.path(f"{PLACE}/packaging/ansible")
    shutil.copytree(COLLECTION, target)
    return Controller(world, settings)

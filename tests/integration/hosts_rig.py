"""The agent in a network of its own where the region's hosts of the ECS API come and go."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from agent_runner import AgentRunner
from fixtures_simulator import SimulatorProcess, simulator_running

REGION = "cn-beijing"
VPC = f"ecs-vpc.{REGION}.aliyuncs.com"
PUBLIC = f"ecs.{REGION}.aliyuncs.com"
ADDRESSES: Mapping[str, str] = {VPC: "127.0.1.1", PUBLIC: "127.0.1.2"}
_ENTER = 'ip link set lo up && exec "$@"'
_WITH_HOSTS = 'mount --bind "$0" /etc/hosts && exec "$@"'
_PROGRAM = Path(__file__).with_name("front_program.py")


@dataclass(frozen=True, slots=True)
class HostsRig:
    """A simulated ECS behind two host names."""

    cloud: SimulatorProcess
    agent: AgentRunner
    state: Path
    _fronts: subprocess.Popen[str]

    def set(self, host: str, mode: str, file: Path | None = None) -> None:
        """Choose what a host does from now on, see ``front_program``."""
        assert self._fronts.stdin is not None
        assert self._fronts.stdout is not None
        print(ADDRESSES[host], mode, file or "", file=self._fronts.stdin, flush=True)
        assert self._fronts.stdout.readline() == "ready\n"

    @property
    def remembered(self) -> str:
        """Return what the state directory says of the host."""
        file = self.state / "facts/endpoint.json"
        return file.read_text(encoding="utf-8") if file.exists() else ""


@contextmanager
def hosts_rig(agent: AgentRunner, folder: Path, *, named: bool = True) -> Iterator[HostsRig]:
    """Give the agent a network in which both hosts refuse connections at first.

    Args:
        named: False if their names are not known there either.
    """
    known = ADDRESSES.items() if named else ()
    names = "\n".join(f"{address} {name}" for name, address in known)
    hosts = folder / "hosts"
    hosts.write_text(f"127.0.0.1 localhost\n{names}\n", encoding="utf-8")
    with simulator_running(
        *("--region", REGION, "--storage", "none"),
        *("--disk", "size=20"),
        wrapper=("unshare", "--net", "sh", "-c", _ENTER, "sh"),
    ) as cloud:
        enter = ("nsenter", f"--net=/proc/{cloud.pid}/ns/net", "--")
        port = urlsplit(cloud.ecs_tls_url).port
        with subprocess.Popen(
            [*enter, sys.executable, str(_PROGRAM), str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as fronts:
            try:
                runner = agent.with_env(
                    SNAP_SELF_METADATA_URL=cloud.metadata_url,
                    SNAP_SELF_NETWORK_CA_BUNDLE=str(cloud.ca_file),
                ).with_wrapper(*enter, "unshare", "--mount", "sh", "-c", _WITH_HOSTS, str(hosts))
                yield HostsRig(cloud, runner, agent.state, fronts)
            finally:
                fronts.kill()

"""An account whose API is asked by real agents over TLS, and what each of their commands asks."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent_runner import AgentResult, AgentRunner
from ecs_simulator import DiskConfig, InstanceConfig, Simulator, SimulatorConfig, tls
from ecs_simulator.config import LifeTimes
from fakes.machine_builder import MachineBuilder
from run_directory import RunDirectory
from snap_self.disks import recording
from snap_self.system.disks.recorded import MACHINE

CREATES = ("CreateSnapshot", "CreateSnapshotGroup")
# As in the cloud: the cut comes about a second after the create.
LIFE = LifeTimes(cut_s=1.0, available_s=1.0, accomplished_s=1e6)


@dataclass(frozen=True, slots=True)
class Asked:
    """What one command asked of the API.

    Args:
        actions: every call, in the order they were answered.
        connections: how many were opened for them.
    """

    actions: tuple[str, ...]
    connections: int
    result: AgentResult

    @property
    def counted(self) -> Counter[str]:
        """Return how often each action was asked."""
        return Counter(self.actions)

    @property
    def before_create(self) -> tuple[str, ...]:
        """Return what was asked before the first create."""
        places = [place for place, name in enumerate(self.actions) if name in CREATES]
        assert places, f"no create was sent: {self.actions}\n{self.result.err}"
        return self.actions[: places[0]]


class Account:
    """One instance with so many disks in a cloud of its own."""

    def __init__(self, simulator: Simulator, agent: AgentRunner, folder: Path) -> None:
        self.simulator = simulator
        self.agent = agent
        self._recorded = ("--consistency", "crash", "--recorded", str(folder))

    def ask(self, *arguments: str) -> Asked:
        """Run the agent with these arguments."""
        calls, connections = len(self.simulator.calls), self.simulator.connections
        result = self.agent.run(*arguments)
        return Asked(
            tuple(call.action for call in self.simulator.calls[calls:]),
            self.simulator.connections - connections,
            result,
        )

    def job(self, text: str, *options: str) -> Asked:
        """Run the main job as a person does."""
        return self.ask("--before", text, *self._recorded, "--json", *options)

    def hook(self, text: str, *options: str) -> Asked:
        """Run the main job as a package manager's hook does."""
        words = ("--wait", "cut", "--timeout", "55s", "--waited-for", "--quiet")
        return self.job(text, *words, *options)

    def end_uploads(self) -> None:
        """Let every upload end now."""
        self.simulator.finish_snapshots()


@contextmanager
def account(disks: int, run: RunDirectory, folder: Path) -> Iterator[Account]:
    """Give an account whose instance has so many disks."""
    folder = folder / f"account-{disks}"
    folder.mkdir()
    contexts = tls.make_contexts(folder / "tls", ["127.0.0.1"])
    config = SimulatorConfig(
        instances=(
            InstanceConfig(
                disks=tuple(DiskConfig(disk_id=f"d-{_serial(i)}") for i in range(disks))
            ),
        ),
        life=LIFE,
    )
    _record(disks, folder)
    state = run.new_folder("state", f"calls-{disks}")
    with Simulator(config, tls=contexts) as simulator:
        agent = AgentRunner(run_directory=run, state=state)
        agent = agent.against(simulator, ca_bundle=folder / "tls" / "ca.pem")
        agent = agent.with_env(SNAP_SELF_ECS_ENDPOINT=simulator.ecs_tls_url)
        try:
            yield Account(simulator, agent, folder)
        finally:
            run.note_secrets(simulator.secrets())
            shutil.rmtree(folder / "tls")


def _serial(index: int) -> str:
    return f"bp1callbudgetdisk{index:03}"


def _record(disks: int, folder: Path) -> None:
    builder = MachineBuilder()
    builder.pseudo()
    for index in range(disks):
        name = f"vd{chr(ord('a') + index)}"
        builder.virtio(name, 40, _serial(index))
        builder.mount("/" if not index else f"/srv{index}", "ext4", f"/dev/{name}", device=name)
    (folder / MACHINE).write_text(recording.dump(builder.text()), encoding="utf-8")

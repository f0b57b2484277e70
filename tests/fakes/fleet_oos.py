"""A simulated region with several tagged instances, whose commands end as a test says."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ecs_simulator.assistant import Command, Ended
from ecs_simulator.config import (
    AccessKeyConfig,
    DiskConfig,
    InstanceConfig,
    RoleConfig,
    SimulatorConfig,
)
from fakes.simulated_cloud import LIFE, Signer
from fakes.simulated_oos import OosCloud

FOLDER = Path(__file__).resolve().parents[2] / "packaging/oos"
FLEET_ROLE = "fleet"
OOS = "oos.aliyuncs.com"
TAG = {"snap-self": "web"}
STRANGERS = ("i-untagged", "i-other")
APPROVER = AccessKeyConfig(
    access_key_id="LTAI5tSimulatedApprover1",
    access_key_secret="simulatedApproverSecretForTests",
    user="alice",
)
Json = dict[str, Any]


def template_of(name: str) -> str:
    """Return the text of a template that is shipped."""
    return (FOLDER / f"snap-self-{name}.yml").read_text("utf-8")


def documented_policy() -> Json:
    """Return the policy that the document gives the role of the executions, filled in."""
    text = (FOLDER.parent / "docs/oos.md").read_text("utf-8")
    (found,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    names = {"REGION": "cn-hangzhou", "ACCOUNT": "1234567890123456", "VALUE": "web"}
    for name, value in names.items():
        found = found.replace(name, value)
    policy: Json = json.loads(found)
    return policy


def region_of(*names: str, policy: Mapping[str, Any] | None = None) -> SimulatorConfig:
    """Return a region with these instances in the fleet, and two that are not.

    Args:
        policy: what the role of the executions may; None for everything.
    """
    tags = {**dict.fromkeys(names, TAG), "i-untagged": {}, "i-other": {"snap-self": "db"}}
    role = RoleConfig(name=FLEET_ROLE, trusted=(OOS,))
    return SimulatorConfig(
        instances=tuple(
            InstanceConfig(
                instance_id=name, tags=tag, disks=(DiskConfig(disk_id=name.replace("i-", "d-")),)
            )
            for name, tag in tags.items()
        ),
        keys=(AccessKeyConfig(), APPROVER),
        roles=(RoleConfig(), role if policy is None else replace(role, policies=(policy,))),
        life=LIFE,
    )


@dataclass(frozen=True, slots=True)
class Ends:
    """How a command ends on an instance, at once."""

    status: int = 0
    said: str = ""


@dataclass(slots=True)
class ScriptedGuest:
    """Ends commands as a test says; None stands for one of which nothing is heard any more.

    Args:
        down: the instances on which no assistant runs.
    """

    down: set[str] = field(default_factory=set)
    ends: dict[str, Ends | None] = field(default_factory=dict)
    begun: list[tuple[str, Command]] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)

    def is_up(self, instance_id: str) -> bool:
        """Tell whether an assistant runs there."""
        return instance_id not in self.down

    def begin(self, instance_id: str, command: Command, ended: Ended) -> None:
        """Note it, and end it."""
        self.begun.append((instance_id, command))
        end = self.ends.get(instance_id, Ends())
        if end is not None:
            ended(end.status, end.said.encode())

    def stop(self, instance_id: str, command: Command) -> None:
        """Note whose time was up."""
        del command
        self.stopped.append(instance_id)


class FleetRegion(OosCloud):
    """A region whose OOS is called by function, with a guest on each instance."""

    def __init__(self, *names: str, policy: Mapping[str, Any] | None = None) -> None:
        super().__init__(region_of(*names, policy=policy))
        self.guest = ScriptedGuest()
        self.cloud.assistant.guest = self.guest
        self.approver = Signer(
            access_key_id=APPROVER.access_key_id, secret=APPROVER.access_key_secret
        )

    @property
    def asked(self) -> list[str]:
        """The instances on which a command was begun, in that order."""
        return [name for name, _ in self.guest.begun]

    def ended(self, execution_id: str) -> Json:
        """Pass three hours at most until an execution has ended, and return it."""
        found = self.cloud.oos.records.executions[execution_id]
        for _ in range(720):
            self.pass_time(15)
            if found.status not in ("Started", "Running"):
                break
        return self.execution(execution_id)

    def go(self, name: str, **parameters: Any) -> Json:
        """Run a shipped template to its end, with the fleet's role and tag."""
        given = {"tagValue": "web", "OOSAssumeRole": FLEET_ROLE, **parameters}
        return self.ended(self.started(template_of(name), Parameters=given))

    def report(self, execution_id: str) -> dict[str, Json]:
        """Return what the report says, by instance; empty where there is none."""
        (task,) = self.oos("ListTaskExecutions", ExecutionId=execution_id, TaskName="report").body[
            "TaskExecutions"
        ] or [{"Outputs": "{}"}]
        machines = json.loads(task["Outputs"]).get("machines") or []
        return {each["instance"]: each for each in machines if each}

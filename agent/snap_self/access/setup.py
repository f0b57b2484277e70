"""How a policy comes to a role and the role to the instance: shell lines and console steps. Pure.

They are followed where an administrator's credentials are, not on the instance, so they bring the
policy along. Source: RAM API CreatePolicy, CreatePolicyVersion, CreateRole, AttachPolicyToRole; ECS
API AttachInstanceRamRole, DetachInstanceRamRole, TagResources; `aliyun` command line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from snap_self.access.documents import (
    ECS_SERVICE,
    OOS_SERVICE,
    Document,
    FleetTag,
    as_sent,
    trust_policy,
)
from snap_self.model.actions import Holder
from snap_self.model.shell import command, quoted

MAX_ROLE_NAME = 64
NAME = "snap-self"
FLEET_NAME = "snap-self-fleet"
# A shell's variables: the policy and who may take the role.
POLICY_VARIABLE, TRUST_VARIABLE = "POLICY", "TRUST"
ROLLBACK_VARIABLE = "OOS_POLICY"
ROTATE = "DeleteOldestNonDefaultVersionWhenLimitExceeded"


class PolicyKind(Enum):
    """What a policy is for."""

    ROLE = "role"
    FLEET = "fleet"
    SESSION = "session"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What is to be done with a policy.

    Args:
        policy, role: their names; a session's policy has none.
        lines: for a POSIX shell, in order; each may use what those before it set.
        update: a line in place of all but the first, where the policy is there from before; may be
            empty.
        console: the same by hand.
    """

    policy: str
    role: str
    lines: tuple[str, ...]
    update: str
    console: tuple[str, ...]

    def withheld(self) -> Setup:
        """Return it without what is to be done.

        The first steps of a policy that the cloud refuses would still be carried out: a role that
        is taken off the instance to be bound anew would stay off.
        """
        return replace(self, lines=(), update="", console=())


def role_setup(holder: Holder, document: Document, *, bound: str) -> Setup:
    """Return how one instance gets its role.

    Args:
        bound: the role that it has already; empty for none, then one is made.
    """
    policy = f"{NAME}-{holder.instance_id}"
    role = bound or _role_name(policy)
    lines = [
        _assignment(POLICY_VARIABLE, as_sent(document)),
        _create_policy(policy),
        *(() if bound else _create_role(role)),
        _attach_policy(policy, role),
        *(() if bound else (_bind(holder, role),)),
    ]
    console = _console(policy, role, bound=bool(bound), where=f"instance {holder.instance_id}")
    return Setup(
        policy=policy, role=role, lines=tuple(lines), update=_update(policy), console=tuple(console)
    )


def fleet_setup(holder: Holder, tag: FleetTag, document: Document, *, bound: str) -> Setup:
    """Return how a fleet gets its one role, and this instance its part in it."""
    role = bound or FLEET_NAME
    lines = [
        _assignment(POLICY_VARIABLE, as_sent(document)),
        _create_policy(FLEET_NAME),
        *(() if bound else _create_role(role)),
        _attach_policy(FLEET_NAME, role),
        *_tagging(holder, tag),
        *(() if bound else (_bind(holder, role),)),
    ]
    tagging = f"ECS console, each instance and each of its disks: Edit Tags: {tag.key}={tag.value}."
    console = list(_console(FLEET_NAME, role, bound=bool(bound), where="each instance"))
    # With a role that is bound already, the tags are the last step.
    console.insert(len(console) if bound else -1, tagging)
    return Setup(
        policy=FLEET_NAME,
        role=role,
        lines=tuple(lines),
        update=_update(FLEET_NAME),
        console=tuple(console),
    )


def session_setup(holder: Holder, document: Document, *, bound: str) -> Setup:
    """Return how a shared role is narrowed as it is bound to this instance.

    Args:
        bound: the role that it has already, which is bound anew; for a moment it has none.
    """
    role = bound or FLEET_NAME
    lines = [_assignment(POLICY_VARIABLE, as_sent(document))]
    if bound:
        lines.append(_on_instance("DetachInstanceRamRole", holder, role))
    lines.append(f'{_bind(holder, role)} --Policy "${POLICY_VARIABLE}"')
    return Setup(policy="", role=role, lines=tuple(lines), update="", console=())


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackSetup:
    """The role that OOS brings disks back with, and how it comes into being.

    Args:
        role: its name.
        lines, update, console: as of ``Setup``.
    """

    role: str
    document: Document
    lines: tuple[str, ...]
    update: str
    console: tuple[str, ...]


def rollback_setup(document: Document, *, role: str) -> RollbackSetup:
    """Return how OOS gets its role for one instance.

    Args:
        document: its policy.
        role: its name.
    """
    lines = (
        _assignment(ROLLBACK_VARIABLE, as_sent(document)),
        _create_policy(role, ROLLBACK_VARIABLE),
        *_create_role(role, OOS_SERVICE),
        _attach_policy(role, role),
    )
    console = (
        f"RAM console, Policies, Create Policy, JSON: paste the second policy, name it {role}.",
        "RAM console, Roles, Create Role: Alibaba Cloud Service, CloudOps Orchestration Service, "
        f"name {role}.",
        f"RAM console, Roles, {role}, Grant Permission: Custom Policy, {role}.",
    )
    return RollbackSetup(
        role=role,
        document=document,
        lines=lines,
        update=_update(role, ROLLBACK_VARIABLE),
        console=console,
    )


def _role_name(wanted: str) -> str:
    return wanted if len(wanted) <= MAX_ROLE_NAME else NAME


def _assignment(variable: str, text: str) -> str:
    return f"{variable}={quoted(text)}"


def _create_policy(name: str, variable: str = POLICY_VARIABLE) -> str:
    line = command("aliyun", "ram", "CreatePolicy", "--PolicyName", name)
    return f'{line} --PolicyDocument "${variable}"'


def _update(name: str, variable: str = POLICY_VARIABLE) -> str:
    line = command("aliyun", "ram", "CreatePolicyVersion", "--PolicyName", name)
    options = command("--SetAsDefault", "true", "--RotateStrategy", ROTATE)
    return f'{line} --PolicyDocument "${variable}" {options}'


def _create_role(name: str, service: str = ECS_SERVICE) -> Iterator[str]:
    yield _assignment(TRUST_VARIABLE, as_sent(trust_policy(service)))
    line = command("aliyun", "ram", "CreateRole", "--RoleName", name)
    yield f'{line} --AssumeRolePolicyDocument "${TRUST_VARIABLE}"'


def _attach_policy(policy: str, role: str) -> str:
    words = ("--PolicyType", "Custom", "--PolicyName", policy, "--RoleName", role)
    return command("aliyun", "ram", "AttachPolicyToRole", *words)


def _bind(holder: Holder, role: str) -> str:
    return _on_instance("AttachInstanceRamRole", holder, role)


def _on_instance(action: str, holder: Holder, role: str) -> str:
    ids = json.dumps([holder.instance_id])
    words = ("--RegionId", holder.region, "--RamRoleName", role, "--InstanceIds", ids)
    return command("aliyun", "ecs", action, *words)


def _tagging(holder: Holder, tag: FleetTag) -> Iterator[str]:
    for kind, ids in (("instance", [holder.instance_id]), ("disk", holder.disks)):
        if ids:
            yield _tag_line(holder.region, kind, ids, tag)


def _tag_line(region: str, kind: str, ids: Sequence[str], tag: FleetTag) -> str:
    numbered = [w for n, each in enumerate(ids, 1) for w in (f"--ResourceId.{n}", each)]
    named = ("--Tag.1.Key", tag.key, "--Tag.1.Value", tag.value)
    kept = ("--RegionId", region, "--ResourceType", kind)
    return command("aliyun", "ecs", "TagResources", *kept, *numbered, *named)


def _console(policy: str, role: str, *, bound: bool, where: str) -> Iterator[str]:
    yield f"RAM console, Policies, Create Policy, JSON: paste the policy, name it {policy}."
    if not bound:
        yield (
            "RAM console, Roles, Create Role: Alibaba Cloud Service, Elastic Compute Service, "
            f"name {role}."
        )
    yield f"RAM console, Roles, {role}, Grant Permission: Custom Policy, {policy}."
    if not bound:
        yield f"ECS console, {where}: Instance Settings, Attach/Detach RAM Role: {role}."

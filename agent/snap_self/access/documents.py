"""RAM policies as the cloud takes them, all made from the one table of actions. Pure.

Source: RAM "Policy structure and syntax" and "Limits"; the RAM authorization table of the ECS API
reference; AttachInstanceRamRole and STS AssumeRole, Policy.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snap_self.errors import RuleError
from snap_self.model.actions import (
    ACTIONS,
    ANY_DISK,
    ANY_SNAPSHOT,
    ANYTHING,
    Action,
    Effect,
    Holder,
    Mark,
    Policy,
    rollback_role,
)
from snap_self.model.shown import shown
from snap_self.model.snapshots import EXPIRES_TAG, OWNER_TAG, RUN_TAG, TEMPORARY_TAG

# Most characters of a policy: of a custom policy, of one that narrows a role as it is bound to an
# instance, of one that narrows a session of AssumeRole.
CUSTOM_LIMIT = 6144
BOUND_LIMIT = 1024
SESSION_LIMIT = 2048

VERSION = "1"
ECS_SERVICE = "ecs.aliyuncs.com"
OOS_SERVICE = "oos.aliyuncs.com"
# What the rollback's template looks at.
ROLE_READS = (
    "ecs:DescribeInstances",
    "ecs:DescribeDisks",
    "ecs:DescribeSnapshots",
    "ecs:DescribeSnapshotGroups",
    "ecs:DescribeCloudAssistantStatus",
    "ecs:DescribeInvocations",
    "ecs:DescribeInvocationResults",
)
# By these `prune` decides; with one of them changed it could delete what is another's.
DECIDING_TAGS = (OWNER_TAG, EXPIRES_TAG, RUN_TAG)
_RESOURCE_TAG = "acs:ResourceTag"
_REQUEST_TAG = "acs:RequestTag"
_MARKS: Mapping[Mark, tuple[str, str]] = {
    Mark.OWN: (_RESOURCE_TAG, OWNER_TAG),
    Mark.TEMPORARY: (_RESOURCE_TAG, TEMPORARY_TAG),
    Mark.ASKED_TEMPORARY: (_REQUEST_TAG, TEMPORARY_TAG),
}
# What else a condition's key may hold is nowhere documented; in a value `*`, `?` and `$` would act.
_TAG_KEY = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_TAG_VALUE = re.compile(r"[A-Za-z0-9_./:@+=-]{1,128}")

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetTag:
    """The tag that all instances and disks of a fleet carry."""

    key: str
    value: str


def parse_fleet_tag(text: str) -> FleetTag:
    """Return the tag that ``KEY=VALUE`` stands for.

    Raises:
        RuleError: it has another form, or characters that a policy's condition may not mean.
    """
    key, equals, value = text.partition("=")
    if not equals or not _TAG_KEY.fullmatch(key) or not _TAG_VALUE.fullmatch(value):
        raise RuleError(
            f"--fleet {shown(text)} is no tag that a policy can ask for",
            hint="write KEY=VALUE, as in snap-self=web: letters, digits, - _ and . ; in the value "
            "also / : @ + and =",
        )
    if key.lower().startswith(("snap-self-", "aliyun", "acs:")):
        raise RuleError(
            f"--fleet {shown(text)}: that key is not yours to set",
            hint="take another one, as in snap-self=web",
        )
    return FleetTag(key=key, value=value)


def role_policy(holder: Holder, policies: Collection[Policy], *, passed: str = "") -> Document:
    """Return the policy of one instance's role.

    Args:
        holder: the instance; its disks are the only ones that may be snapshotted.
        policies: what it allows, joined into one document.
        passed: the role that it gives to OOS; empty for the usual one.
    """

    def statements() -> Iterator[Document]:
        yield from _reads(policies)
        yield from _grants(_changes(policies), holder)
        if Policy.ROLLBACK in policies:
            yield _passing(holder, passed or rollback_role(holder.instance_id))
        yield from _further(policies, holder)
        yield from _denials(policies, holder)

    return _document(statements())


def fleet_policy(holder: Holder, tag: FleetTag, policies: Collection[Policy]) -> Document:
    """Return the policy of one role for many instances of a region, which carry a tag.

    Instances and disks count by that tag, snapshots by an owner's tag of whatever instance.

    Args:
        holder: any of them.
    """
    member = _condition("StringEquals", _RESOURCE_TAG, tag.key, tag.value)
    any_of = Holder(
        region=holder.region, account=holder.account, instance_id=ANYTHING, disks=(ANYTHING,)
    )

    def statements() -> Iterator[Document]:
        yield from _reads(policies)
        changes = _changes(policies)
        creates = [action for action in changes if _makes_snapshots(action)]
        names = dict.fromkeys(name for action in creates for name in action.arns(any_of))
        tagged = [name for name in names if _is_there_before(name)]
        if creates:
            yield _allow(creates, tagged, member)
            yield _allow(creates, [name for name in names if name not in tagged])
        others = [action for action in changes if action not in creates]
        yield from _grants(others, any_of, unmarked=member)
        yield from _denials(policies, holder)

    return _document(statements())


def session_policy(holder: Holder, policies: Collection[Policy]) -> Document:
    """Return what narrows a shared role down to one instance, as short as it can be.

    What is allowed is what both the role's policy and this one allow. Ids are unique in the whole
    cloud, so neither region nor account are named; denials stand in the role's policy.
    """
    anywhere = Holder(region="*", account="*", instance_id=holder.instance_id, disks=holder.disks)
    changes = _changes(policies)
    plain = [action for action in changes if not action.marks]
    marked = [action for action in changes if action.marks]

    def statements() -> Iterator[Document]:
        yield {"Effect": "Allow", "Action": "ecs:Describe*", "Resource": ANYTHING}
        if plain:
            yield _allow(plain, _names(plain, anywhere))
        for mark in Mark:
            alike = [action for action in marked if mark in action.grants()]
            if alike:
                names = dict.fromkeys(n for each in alike for n in each.grants(anywhere)[mark])
                yield _allow(alike, names, _marked(mark, anywhere))

    return _document(statements())


def rollback_role_policy(holder: Holder) -> Document:
    """Return the policy of the role that OOS brings one instance's disks back with.

    It is bound to the instance, its disks and the snapshots that carry its owner's tag. Whoever
    may pass the role may have a template of his own run with it, so this is what he can do then.
    """
    disks = [holder.arn("ecs", f"disk/{disk_id}") for disk_id in holder.disks]
    instance = holder.arn("ecs", f"instance/{holder.instance_id}")
    own = _condition("StringEquals", _RESOURCE_TAG, OWNER_TAG, holder.instance_id)

    def statements() -> Iterator[Document]:
        yield {"Effect": "Allow", "Action": list(ROLE_READS), "Resource": ANYTHING}
        yield _statement(("ecs:StopInstance", "ecs:StartInstance"), (instance,))
        yield _statement(("ecs:RunCommand",), (instance, holder.arn("ecs", "command/*")))
        yield _statement(("ecs:ResetDisk", "ecs:CreateSnapshot", "ecs:CreateSnapshotGroup"), disks)
        yield _statement(("ecs:ResetDisk",), (holder.arn("ecs", ANY_SNAPSHOT),), own)
        yield _statement(("ecs:CreateSnapshot",), (holder.arn("ecs", ANY_SNAPSHOT),))
        groups = (instance, holder.arn("ecs", "snapshotgroup/*"))
        yield _statement(("ecs:CreateSnapshotGroup",), groups)

    return _document(statements())


def trust_policy(service: str = ECS_SERVICE) -> Document:
    """Return who may take the role: a service, as ECS in the name of its instances."""
    statement = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"Service": [service]},
    }
    return _document([statement])


def as_read(document: Document) -> str:
    """Return a policy's text for people."""
    return json.dumps(document, indent=2)


def as_sent(document: Document) -> str:
    """Return a policy's text in as few characters as it can have, which limits count."""
    return json.dumps(document, separators=(",", ":"))


def _reads(policies: Collection[Policy]) -> Iterator[Document]:
    reads = [a for a in _wanted(policies) if a.effect is Effect.READS]
    if reads:
        names = [action.ram_action for action in reads]
        yield {"Effect": "Allow", "Action": names, "Resource": ANYTHING}


def _changes(policies: Collection[Policy]) -> Sequence[Action]:
    return [a for a in _wanted(policies) if a.effect is not Effect.READS]


def _wanted(policies: Collection[Policy]) -> Iterator[Action]:
    return (action for action in ACTIONS.values() if action.policy in policies)


def _grants(
    actions: Iterable[Action], holder: Holder, *, unmarked: Document | None = None
) -> Iterator[Document]:
    """Yield a statement for what one policy allows on the same resources with the same tags.

    Args:
        unmarked: the condition for resources that no tag of ours limits.
    """
    alike: dict[tuple[Policy, Mark, tuple[str, ...]], list[Action]] = {}
    for action in actions:
        for mark, names in action.grants(holder).items():
            alike.setdefault((action.policy, mark, names), []).append(action)
    for (_, mark, names), some in alike.items():
        yield _allow(some, names, _marked(mark, holder) or unmarked)


def _marked(mark: Mark, holder: Holder) -> Document | None:
    """Return the condition that a tag names the instance; of a fleet, any instance."""
    if mark is Mark.NONE:
        return None
    kind, key = _MARKS[mark]
    if holder.instance_id == ANYTHING:
        return _condition("StringLike", kind, key, "i-*")
    return _condition("StringEquals", kind, key, holder.instance_id)


def _makes_snapshots(action: Action) -> bool:
    return action.effect is Effect.CREATES and action.policy is Policy.CREATE


def _denials(policies: Collection[Policy], holder: Holder) -> Iterator[Document]:
    """Yield what no tag that is added later may change."""
    if Policy.TAGS in policies:
        for key in DECIDING_TAGS:
            yield {
                "Effect": "Deny",
                "Action": ACTIONS["TagResources"].ram_action,
                "Resource": ANYTHING,
                "Condition": _condition("StringLike", _REQUEST_TAG, key, ANYTHING),
            }
    if Policy.RESTORE in policies:
        # Who may tag the instance's own disks as temporary ones may then detach and delete them.
        yield {
            "Effect": "Deny",
            "Action": ["ecs:TagResources", "ecs:UntagResources"],
            "Resource": holder.arn("ecs", ANY_DISK),
        }


def _passing(holder: Holder, role: str) -> Document:
    """Allow a role to be given to a service; roles belong to no region."""
    return _statement(("ram:PassRole",), (f"acs:ram::{holder.account}:role/{role}",))


def _further(policies: Collection[Policy], holder: Holder) -> Iterator[Document]:
    """Yield what a policy allows of calls that another one is for, on resources of its own."""
    for policy in policies:
        alike: dict[tuple[str, ...], list[Action]] = {}
        for action in ACTIONS.values():
            if names := action.arns_in(policy, holder):
                alike.setdefault(names, []).append(action)
        for names, some in alike.items():
            yield _allow(some, names)


def _allow(
    actions: Sequence[Action], resources: Iterable[str], condition: Document | None = None
) -> Document:
    return _statement([action.ram_action for action in actions], resources, condition)


def _statement(
    actions: Sequence[str], resources: Iterable[str], condition: Document | None = None
) -> Document:
    """Return a statement; a list of one is written as that one."""
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Action": _one_or_all(list(actions)),
        "Resource": _one_or_all(list(resources)),
    }
    return {**statement, "Condition": condition} if condition else statement


def _names(actions: Sequence[Action], holder: Holder) -> Iterable[str]:
    return dict.fromkeys(name for action in actions for name in action.arns(holder))


def _is_there_before(arn: str) -> bool:
    """Tell whether a create reads it, rather than makes it: only then it has tags by then."""
    return arn.rpartition(":")[2].partition("/")[0] in ("instance", "disk")


def _one_or_all(values: list[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else values


def _condition(operator: str, kind: str, key: str, value: str) -> Document:
    return {operator: {f"{kind}/{key}": value}}


def _document(statements: Iterable[Document]) -> Document:
    return {"Version": VERSION, "Statement": list(statements)}

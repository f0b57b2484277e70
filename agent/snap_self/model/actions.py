"""Every operation of the cloud's API that the agent calls.

Read from here: which requests of the SDK are loaded before a freeze, what a lost answer may have
left behind, what an error says of permissions; tests hold the RAM policies against it.
Source: ECS API reference, each operation's page and its RAM authorization.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

ANYTHING = "*"
DISK = "disk/DISK_ID"
INSTANCE = "instance/INSTANCE_ID"
ANY_DISK = "disk/*"
ANY_SNAPSHOT = "snapshot/*"
# Operation Orchestration Service, which acts on the instance from outside.
OOS, OOS_VERSION = "oos", "2019-06-01"
EXECUTIONS = "execution/*"
# The name under which an account may keep the rollback's template.
ROLLBACK_NAME = "snap-self-rollback"
OOS_TEMPLATE = f"template/{ROLLBACK_NAME}"


def rollback_role(instance_id: str) -> str:
    """Return the name of the role that OOS uses for an instance unless another is configured."""
    return f"{ROLLBACK_NAME}-{instance_id}"


MADE_ONCE = (
    "the snapshot may have been made all the same: the next snap-self command finds it, "
    "and no second one is made"
)
STARTED_ONCE = (
    "the rollback may have been started all the same: the OOS console shows it, and the same "
    "command within 10 minutes starts no second one"
)
DISK_MADE_ONCE = (
    "the disk may have been made all the same: the next snap-self command finds and deletes it"
)


class Effect(Enum):
    """What a call does, and so what becomes of it when it is sent twice."""

    READS = "reads"
    # Carries a client token: the same call again names what the first one made.
    CREATES = "creates"
    # The second time comes to the same as the first.
    SETS = "sets"


class Mark(Enum):
    """The tag with the instance's id as its value by which a policy limits a call."""

    NONE = "none"
    # The owner's tag, on what was made for the instance.
    OWN = "own"
    # That of a temporary disk: on the disk, or in the request that makes it.
    TEMPORARY = "temporary"
    ASKED_TEMPORARY = "asked-temporary"


class Policy(Enum):
    """The file in ``packaging/ram`` that allows a call, a part of what `policy` prints."""

    CREATE = "snap-self-create.json"
    PRUNE = "snap-self-prune.json"
    TAGS = "snap-self-tags.json"
    RESTORE = "snap-self-restore.json"
    ROLLBACK = "snap-self-rollback.json"
    ONLINE = "snap-self-online.json"

    @property
    def command(self) -> str:
        """What prints it, filled in, with all that the main job needs."""
        return "snap-self policy" if self is Policy.CREATE else f"snap-self policy --{self.word}"

    @property
    def word(self) -> str:
        """The name of its option."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Whose disks a policy is about; without values the placeholders of a template.

    Args:
        account: ``*`` where it is not known; a RAM policy then means its own account.
        disks: ids; in a message those that a call was about.
    """

    region: str = "REGION"
    account: str = "ACCOUNT"
    instance_id: str = "INSTANCE_ID"
    disks: tuple[str, ...] = ("DISK_ID",)

    def arn(self, product: str, resource: str) -> str:
        """Return a resource's full name, as in ``acs:ecs:REGION:ACCOUNT:snapshot/*``."""
        return f"acs:{product}:{self.region}:{self.account}:{resource}"


TEMPLATE = Holder()


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One operation.

    Args:
        resources: what a policy must name for it, as in ``disk/DISK_ID``; none: it cannot be
            limited.
        marks: by which tag a policy limits it, for those of its resources that it limits so.
        also: further policies that allow it, each with the resources that it does so on.
        if_lost: what people are told where its answer was lost and it may have taken effect.
        product, version: as the API and its SDK have them.
    """

    name: str
    effect: Effect
    policy: Policy
    resources: tuple[str, ...] = ()
    marks: Mapping[str, Mark] = field(default_factory=dict)
    also: Mapping[Policy, tuple[str, ...]] = field(default_factory=dict)
    if_lost: str = ""
    product: str = "ecs"
    version: str = "2014-05-26"

    @property
    def ram_action(self) -> str:
        """What a policy calls it."""
        return f"{self.product}:{self.name}"

    def arns(self, holder: Holder = TEMPLATE) -> tuple[str, ...]:
        """Return the resources in full, as a holder's policy must name them."""
        return self._in_full(self.resources, holder) or (ANYTHING,)

    def arns_in(self, policy: Policy, holder: Holder = TEMPLATE) -> tuple[str, ...]:
        """Return the resources on which a further policy allows it; none if it does not."""
        return self._in_full(self.also.get(policy, ()), holder)

    def grants(self, holder: Holder = TEMPLATE) -> Mapping[Mark, tuple[str, ...]]:
        """Return the same by the tags that limit them."""
        by_mark: dict[Mark, list[str]] = {}
        for each in self.resources:
            by_mark.setdefault(self.marks.get(each, Mark.NONE), []).append(each)
        return {mark: self._in_full(names, holder) for mark, names in by_mark.items()} or {
            Mark.NONE: (ANYTHING,)
        }

    def _in_full(self, resources: Iterable[str], holder: Holder) -> tuple[str, ...]:
        names: list[str] = []
        for each in resources:
            if each == DISK:
                names += [f"disk/{disk_id}" for disk_id in holder.disks]
            else:
                names.append(each.replace("INSTANCE_ID", holder.instance_id))
        return tuple(holder.arn(self.product, name) for name in names)

    @property
    def sdk_module(self) -> str:
        """The SDK's module with its request; empty for what no installed package has."""
        if self.product != "ecs":
            return ""
        version = self.version.replace("-", "")
        return f"aliyunsdk{self.product}.request.v{version}.{self.name}Request"


ACTIONS: Mapping[str, Action] = {
    action.name: action
    for action in (
        Action(name="DescribeInstances", effect=Effect.READS, policy=Policy.CREATE),
        Action(name="DescribeDisks", effect=Effect.READS, policy=Policy.CREATE),
        Action(name="DescribeSnapshots", effect=Effect.READS, policy=Policy.CREATE),
        Action(name="DescribeSnapshotGroups", effect=Effect.READS, policy=Policy.CREATE),
        Action(
            name="CreateSnapshot",
            effect=Effect.CREATES,
            policy=Policy.CREATE,
            resources=(DISK, ANY_SNAPSHOT),
            if_lost=MADE_ONCE,
        ),
        Action(
            name="CreateSnapshotGroup",
            effect=Effect.CREATES,
            policy=Policy.CREATE,
            resources=(INSTANCE, DISK, "snapshotgroup/*"),
            if_lost=MADE_ONCE,
        ),
        Action(
            name="ModifySnapshotAttribute",
            effect=Effect.SETS,
            policy=Policy.CREATE,
            resources=(ANY_SNAPSHOT,),
            marks={ANY_SNAPSHOT: Mark.OWN},
        ),
        Action(
            name="DeleteSnapshot",
            effect=Effect.SETS,
            policy=Policy.PRUNE,
            resources=(ANY_SNAPSHOT,),
            marks={ANY_SNAPSHOT: Mark.OWN},
        ),
        Action(
            name="DeleteSnapshotGroup",
            effect=Effect.SETS,
            policy=Policy.PRUNE,
            resources=("snapshotgroup/*",),
            marks={"snapshotgroup/*": Mark.OWN},
        ),
        Action(
            name="TagResources",
            effect=Effect.SETS,
            policy=Policy.TAGS,
            resources=(ANY_SNAPSHOT,),
            marks={ANY_SNAPSHOT: Mark.OWN},
        ),
        Action(name="DescribeAvailableResource", effect=Effect.READS, policy=Policy.RESTORE),
        Action(
            name="CreateDisk",
            effect=Effect.CREATES,
            policy=Policy.RESTORE,
            resources=(ANY_DISK, ANY_SNAPSHOT),
            marks={ANY_DISK: Mark.ASKED_TEMPORARY, ANY_SNAPSHOT: Mark.OWN},
            if_lost=DISK_MADE_ONCE,
        ),
        Action(
            name="AttachDisk",
            effect=Effect.SETS,
            policy=Policy.RESTORE,
            resources=(INSTANCE, ANY_DISK),
            marks={ANY_DISK: Mark.TEMPORARY},
            also={Policy.ONLINE: (INSTANCE, DISK)},
        ),
        Action(
            name="DetachDisk",
            effect=Effect.SETS,
            policy=Policy.RESTORE,
            resources=(INSTANCE, ANY_DISK),
            marks={ANY_DISK: Mark.TEMPORARY},
            also={Policy.ONLINE: (INSTANCE, DISK)},
        ),
        Action(
            name="DeleteDisk",
            effect=Effect.SETS,
            policy=Policy.RESTORE,
            resources=(ANY_DISK,),
            marks={ANY_DISK: Mark.TEMPORARY},
        ),
        Action(
            name="ResetDisk",
            effect=Effect.SETS,
            policy=Policy.ONLINE,
            resources=(DISK, ANY_SNAPSHOT),
            marks={ANY_SNAPSHOT: Mark.OWN},
        ),
        Action(
            name="StartExecution",
            effect=Effect.CREATES,
            policy=Policy.ROLLBACK,
            resources=(EXECUTIONS, OOS_TEMPLATE),
            if_lost=STARTED_ONCE,
            product=OOS,
            version=OOS_VERSION,
        ),
        Action(
            name="ListExecutions",
            effect=Effect.READS,
            policy=Policy.ROLLBACK,
            product=OOS,
            version=OOS_VERSION,
        ),
        Action(
            name="ListTaskExecutions",
            effect=Effect.READS,
            policy=Policy.ROLLBACK,
            product=OOS,
            version=OOS_VERSION,
        ),
        Action(
            name="CancelExecution",
            effect=Effect.SETS,
            policy=Policy.ROLLBACK,
            resources=(EXECUTIONS,),
            product=OOS,
            version=OOS_VERSION,
        ),
    )
}
CREATES = frozenset(name for name, action in ACTIONS.items() if action.effect is Effect.CREATES)

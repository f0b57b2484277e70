"""A faithful local stand-in for Alibaba Cloud ECS: metadata service, ECS API, OOS and STS.

Programs that know only the real cloud work against it unmodified. It listens on loopback, and
answers only its own user and root (``peers``):

* the metadata service (plain HTTP, token mode and plain mode),
* the RPC API of ECS (version 2014-05-26), OOS (2019-06-01) and STS (2015-04-01), told apart by the
  version, on one HTTP and one HTTPS port, requests signed with HMAC-SHA1 (signature version 1.0) or
  ACS3-HMAC-SHA256,
* a control service under ``/_simulator/`` on a Unix socket in a folder of its own, for tests in
  other processes.

In a test::

    with Simulator(SimulatorConfig(instances=(InstanceConfig(disks=(DiskConfig(),)),))) as cloud:
        cloud.ecs_url, cloud.metadata_url, cloud.calls, cloud.state
        cloud.inject(Fault(kind="lost_reply", action="CreateSnapshot"))

Layers, top to bottom (each imports only what is below it):
``neighbours`` > ``simulator`` > ``control_api``, ``servers``, ``peers`` > ``controls`` > ``api``,
``metadata`` > ``actions`` > ``snapshotting``, ``attaching``, ``encrypting`` > ``cloud`` > ``oos`` >
``pace``, ``account``, ``machines``, ``guest_assistant`` > ``assistant`` > ``state``,
``guest_channel``, ``life``, ``authenticate``,
``keys``, ``faults``, ``idempotency`` > ``records``, ``usage``, ``paging``, ``rules``, ``params``,
``ram``, ``render`` > ``config``, ``errors``, ``signature``, ``clock``, ``ports``, ``identifiers``.

Where the documentation says nothing, the simulator does this. A group's not-found code is
``InvalidSnapshotGroupId.NotFound``. When a group is deleted, a member from which a disk or image
was made stays, and so does the group. A failed security check comes before the parameters are
looked at. Group tags do not reach members unless ``propagate_group_tags``. A listing filtered by
tag silently ends after ``tag_filter_cap`` entries. A disk whose reset failed may be reset again. An
instance with a disk that is being reset is not started. A device does not arrive at an instance
that does not let go of another disk. A ClientToken is remembered for ``token_memory_s``, by default
for ever. A disk whose making failed is gone.

In OOS, where the documentation says nothing: an execution whose errors a task's OnError took care
of ends as Success. Without a RAM role an execution has its starter's rights for as long as it
lasts. StartExecution needs rights on the execution and, if one is named, on the stored template.
Codes are this simulator's own, except ``User.NoPermission``, ``InvalidAction.NotFound`` and
``EntityNotExists.Template``. Besides calls that delete, release or stop something, those that
reset or replace a disk are of high risk.
"""

from ecs_simulator.config import (
    AccessKeyConfig,
    DiskConfig,
    InstanceConfig,
    LifeTimes,
    RoleConfig,
    SimulatorConfig,
)
from ecs_simulator.faults import Fault, Throttle
from ecs_simulator.simulator import Simulator

__all__ = [
    "AccessKeyConfig",
    "DiskConfig",
    "Fault",
    "InstanceConfig",
    "LifeTimes",
    "RoleConfig",
    "Simulator",
    "SimulatorConfig",
    "Throttle",
]

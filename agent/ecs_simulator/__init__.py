"""A faithful local stand-in for Alibaba Cloud ECS: metadata service, ECS API and STS.

Programs that know only the real cloud work against it unmodified. It listens on loopback:

* the metadata service (plain HTTP, token mode and plain mode),
* the RPC API of ECS (version 2014-05-26) and STS (2015-04-01) on one HTTP and one HTTPS port,
  requests signed with HMAC-SHA1 (signature version 1.0) or ACS3-HMAC-SHA256,
* a control service under ``/_simulator/`` on a port of its own, for tests in other processes.

In a test::

    with Simulator(SimulatorConfig(instances=(InstanceConfig(disks=(DiskConfig(),)),))) as cloud:
        cloud.ecs_url, cloud.metadata_url, cloud.calls, cloud.state
        cloud.inject(Fault(kind="lost_reply", action="CreateSnapshot"))

Layers, top to bottom (each imports only what is below it):
``simulator`` > ``control_api``, ``servers`` > ``controls`` > ``api``, ``metadata`` >
``actions`` > ``snapshotting`` > ``cloud`` > ``state``, ``life``, ``authenticate``, ``keys``,
``faults``, ``idempotency`` > ``records``, ``paging``, ``rules``, ``params``, ``ram``,
``render`` > ``config``, ``errors``, ``signature``, ``clock``, ``ports``.

Where the documentation is silent, this is what is done: a group's not-found code is
``InvalidSnapshotGroupId.NotFound``; a member that a disk or image was made from stays, and its
group with it, when the group is deleted; an unsuccessful security check comes before the
parameters are looked at; group tags do not reach members unless ``propagate_group_tags``; a
listing filtered by tag ends after ``tag_filter_cap`` entries without saying so.
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

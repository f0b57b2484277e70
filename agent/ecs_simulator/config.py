"""The parts of a simulated cloud: region, account, keys, roles, instances, disks, times."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

PolicyDocument = Mapping[str, Any]

ALLOW_ALL: PolicyDocument = {
    "Version": "1",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeTimes:
    """How long each stage of a snapshot takes.

    Args:
        visible_lag_s: upper bound of the random time until Describe shows a new resource.
        cut_s: from acceptance to the instant whose content is captured.
        cut_skew_s: added per single snapshot of the disk; a group has one cut and ignores it.
        available_s: from the cut until usable (ESSD family only; others at the end).
        accomplished_s: from the cut until 100 %.
        accomplished_s_per_gib: added to it for each GiB of the disk.
        member_lag_s: until a group shows its members in DescribeSnapshotGroups.
        fail_at: ``""``, ``before_cut``, ``after_cut`` or ``after_available``.
    """

    visible_lag_s: float = 0.0
    cut_s: float = 0.02
    cut_skew_s: float = 0.0
    available_s: float = 0.03
    accomplished_s: float = 0.15
    accomplished_s_per_gib: float = 0.0
    member_lag_s: float = 0.0
    fail_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskConfig:
    """One cloud disk that exists from the start.

    Args:
        disk_id: made up when empty.
        serial: None means the id without ``d-``; empty means none, as on disks before 2020-06-10.
        kind: ``system`` or ``data``; None makes an instance's first disk its system disk.
        delete_with_instance: whether it is released with its instance.
        device: the API's ``/dev/xvd?`` label; made up when empty.
        locks: ``OperationLocks`` reasons.
    """

    disk_id: str = ""
    serial: str | None = None
    name: str = ""
    size_gib: int = 40
    category: str = "cloud_essd"
    performance_level: str = "PL0"
    kind: str | None = None
    device: str = ""
    multi_attach: str = "Disabled"
    encrypted: bool = False
    kms_key_id: str = ""
    portable: bool = True
    zone_id: str = ""
    never_attached: bool = False
    delete_with_instance: bool = True
    locks: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    life: LifeTimes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceConfig:
    """One instance; the first of the cloud is the one whose metadata service is served.

    Args:
        hot_plug: whether disks can come and go while it runs.
        refused_categories: disk categories that its type does not support.
    """

    instance_id: str = ""
    name: str = "sim-host"
    hostname: str = "sim-host"
    instance_type: str = "ecs.g7.large"
    image_id: str = "aliyun_3_x64_20G_alibase_20260101.vhd"
    status: str = "Running"
    stopped_mode: str = "Not-applicable"
    zone_id: str = ""
    serial_number: str = "3f1a6c2e-8c1d-4a0b-9d55-7e6a1b2c3d4e"
    private_ipv4: str = "172.16.0.10"
    mac: str = "00:16:3e:0a:0b:0c"
    locks: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    disks: tuple[DiskConfig, ...] = ()
    disk_quantity: int = 17
    charge_type: str = "PostPaid"
    deletion_protection: bool = False
    hot_plug: bool = True
    refused_categories: tuple[str, ...] = ()
    http_endpoint: str = "enabled"
    http_tokens: str = "optional"
    metadata_tags: str = "disabled"
    role: str = "SnapSelfRole"
    user_data: bytes | None = None
    vendor_data: bytes | None = None
    spot_termination: str = ""
    public_keys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessKeyConfig:
    """A long-lived key pair of a RAM user."""

    access_key_id: str = "LTAI5tSimulatedUserKey01"
    access_key_secret: str = field(default="simulatedUserSecretForTests001", repr=False)
    user: str = "tester"
    active: bool = True
    policies: tuple[PolicyDocument, ...] = (ALLOW_ALL,)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleConfig:
    """A RAM role that an instance carries or that AssumeRole yields.

    Args:
        trusted: who may assume it: user names, role names, ``oidc:<provider>`` or ``*``.
        external_id: if set, AssumeRole must give the same.
    """

    name: str = "SnapSelfRole"
    policies: tuple[PolicyDocument, ...] = (ALLOW_ALL,)
    trusted: tuple[str, ...] = ("*",)
    external_id: str = ""


def _secrets_dir() -> str:
    return os.environ.get("SNAP_SELF_TEST_SECRETS_DIR", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorConfig:
    """A whole simulated cloud; port 0 means any free one.

    Args:
        host: address that the metadata service and the API listen on.
        trust_peers_from: networks whose machines may ask, such as ``192.0.2.0/24``; on this
            machine only the simulator's own user and root may.
        seed: gives the same ids again; None makes new ones each time.
        profile: ``fast`` (no latency) or ``realistic`` (observed times of real calls).
        latencies_s: per action, in place of the profile's; ``*`` is the default for all.
        operations_s: per action, how long after its answer an asynchronous operation ends.
        disk_operation_s: of the operations on disks that have no time of their own.
        instance_operation_s: the same for operations on instances.
        detach_retry_s: how often the cloud asks the machine for a disk that it does not let go.
        device_lag_s: from In_use until the device is there; ``inf`` for never.
        sight_lag_s: upper bound of the random time until DescribeDisks shows a change of a disk.
        attaching_limit: how many disks of one instance may be Attaching at a time.
        detaching_limit: how many disks of one instance may be Detaching at a time.
        token_memory_s: how long a ClientToken is remembered (undocumented).
        kms_keys: the account's keys with their states (``encrypting.KEY_STATES``).
        default_encryption: the account encrypts every new disk, with ``default_kms_key_id`` or,
            if that is empty, the service key.
        images: more images for ReplaceSystemDisk than those of the instances.
        sold_out: disk categories that cannot be bought (``account.Account``).
        role_lifetime_s: of credentials from the metadata service.
        role_overlap_s: a new set appears this long before the old one ends.
        sts_expiry: whether expired tokens are refused.
        tag_filter_cap: Describe by tag shows at most this many resources.
        group_max_disks: 16, or 128 in regions with the raised limit.
        propagate_group_tags: whether a group's tags reach its members (undocumented).
        left_out_disks: ids a new group silently leaves out.
        loose_delete: DeleteSnapshot of an unknown id succeeds (both ways are documented).
        default_stopped_mode: the account's own default of StopInstance.
        starter_rights_s: for how long an OOS execution without a RAM role has the rights of the
            role's session that started it (undocumented: a session ends, an execution may not).
        default_oos_role: what an OOS execution without a RAM role assumes; empty for the rights
            of who started it (both ways are documented, ``OOSServiceRole`` is the older one).
        handled_errors_fail: an OOS execution with a failed task ends as Failed even if the task's
            OnError led on to the end (undocumented).
        executions_at_once: of OOS; further ones are Queued.
        idle_close_s: the API closes connections that are idle for that long.
        secrets_dir: a folder for a file with every secret given out, one per line, so that a
            test run can look for leaks; from SNAP_SELF_TEST_SECRETS_DIR, none if empty.
    """

    region_id: str = "cn-hangzhou"
    other_regions: tuple[str, ...] = ("cn-beijing", "cn-shanghai", "ap-southeast-1")
    zone_id: str = "cn-hangzhou-i"
    account_id: str = "1234567890123456"
    host: str = "127.0.0.1"
    trust_peers_from: tuple[str, ...] = ()
    metadata_port: int = 0
    ecs_port: int = 0
    ecs_tls_port: int = 0
    seed: int | None = None
    profile: str = "fast"
    latencies_s: Mapping[str, float] = field(default_factory=dict)
    life: LifeTimes | None = None
    operations_s: Mapping[str, float] = field(default_factory=dict)
    disk_operation_s: float = 0.02
    instance_operation_s: float = 0.02
    detach_retry_s: float = 0.1
    device_lag_s: float = 0.0
    sight_lag_s: float = 0.0
    attaching_limit: int = 1
    detaching_limit: int = 1
    token_memory_s: float = inf
    kms_keys: Mapping[str, str] = field(default_factory=dict)
    default_encryption: bool = False
    default_kms_key_id: str = ""
    sold_out: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    instances: tuple[InstanceConfig, ...] = (InstanceConfig(),)
    free_disks: tuple[DiskConfig, ...] = ()
    keys: tuple[AccessKeyConfig, ...] = (AccessKeyConfig(),)
    roles: tuple[RoleConfig, ...] = (RoleConfig(),)
    oidc_tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    role_lifetime_s: float = 21600.0
    role_overlap_s: float = 1800.0
    sts_expiry: bool = True
    clock_window_s: float = 900.0
    metadata_limit_per_s: int = 0
    tag_filter_cap: int = 1000
    snapshots_per_disk: int = 256
    concurrent_snapshots: int = 1
    group_max_disks: int = 16
    group_max_tib: int = 32
    propagate_group_tags: bool = False
    left_out_disks: tuple[str, ...] = ()
    loose_delete: bool = True
    snapshot_service: bool = True
    default_stopped_mode: str = "KeepCharging"
    starter_rights_s: float = inf
    default_oos_role: str = ""
    handled_errors_fail: bool = False
    executions_at_once: float = inf
    idle_close_s: float | None = None
    secrets_dir: str = field(default_factory=_secrets_dir)

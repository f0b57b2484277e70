"""The settings as the rest of the agent reads them, every value parsed and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from snap_self.model.applications import ApplicationSettings
from snap_self.model.command import OnSnapshotFailure
from snap_self.model.ids import DiskId
from snap_self.model.notifying import Robot
from snap_self.model.occurrences import Occasion
from snap_self.model.request import FreezeRoot, OnQuiesceFailure
from snap_self.model.snapshots import Consistency, WaitFor


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotSettings:
    """What the main job does when its options do not say.

    Args:
        timeout_s: for the wait.
        keep_s: retention; None for ever.
        name: empty to have one generated.
        reuse_s: accept a snapshot at most this old; None for never.
    """

    consistency: Consistency
    on_quiesce_failure: OnQuiesceFailure
    wait: WaitFor
    timeout_s: int
    keep_s: int | None
    name: str
    tags: Mapping[str, str]
    reuse_s: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """What ``snap-self run`` does."""

    on_snapshot_failure: OnSnapshotFailure


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSettings:
    """Which disks never get a snapshot, and which is which where it cannot be found out.

    Args:
        exclude: disk ids, devices or mount points.
        map: device (``vdb``, ``/dev/disk/by-path/…``) to cloud disk.
    """

    exclude: tuple[str, ...]
    map: Mapping[str, DiskId]


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialSettings:
    """Which of several credentials to use; empty for the usual order."""

    profile: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """Where the services are; empty URLs are found out, an empty bundle is the built-in one."""

    ecs_endpoint: str
    oos_endpoint: str
    metadata_url: str
    sts_endpoint: str
    ca_bundle: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSettings:
    """Where the journal and the lock lie.

    Args:
        resume_s: an interrupted run of the same request is finished when at most this old.
    """

    dir: Path
    resume_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowSettings:
    """The process that goes on watching uploads when a command has returned.

    Args:
        limit_s: it watches, and holds back a reboot, no longer.
        pause_s: it asks the cloud at least so often, give or take a quarter.
    """

    enabled: bool
    limit_s: int
    pause_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSettings:
    """What those are told who watch this machine.

    Args:
        journal: whether the system's journal is told what happens.
        old_after_s: somebody who logs in is told of a newest snapshot this old; None for never.
    """

    journal: bool
    old_after_s: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifySettings:
    """Who is told of what happened; an empty command, path or robot for nobody.

    Args:
        command: a program and its arguments.
        on: what the command and the robot are told of.
        ping_url_file, robot_url_file, robot_secret_file: private files of one line each.
    """

    command: tuple[str, ...]
    on: frozenset[Occasion]
    ping_url_file: str
    robot: Robot
    robot_url_file: str
    robot_secret_file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreSettings:
    """What looking back into a snapshot may make.

    Args:
        max_gib: a larger temporary disk is made only with ``--yes``.
    """

    max_gib: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackSettings:
    """How whole disks are brought back by OOS.

    Args:
        role: whose rights it uses; empty for the one that `policy --rollback` names.
        stored_template: start the template that the account keeps, in place of our own.
    """

    role: str
    stored_template: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeSettings:
    """The freeze of levels ``filesystem`` and ``application``.

    Args:
        limit_s: no filesystem stays frozen for longer.
        root: whether the root filesystem may be frozen.
    """

    limit_s: int
    root: FreezeRoot


@dataclass(frozen=True, slots=True, kw_only=True)
class HookSettings:
    """Where hooks lie; an empty path for a protocol that is not used.

    Args:
        timeout_s: for each command, where its protocol has no limit of its own.
        fsfreeze_hook: qemu-ga's dispatcher script, or a directory of its hooks.
        google_dir: folder of ``pre.sh`` and ``post.sh``.
        azure_config: ``VMSnapshotScriptPluginConfig.json``.
    """

    dir: str
    timeout_s: int
    fsfreeze_hook: str
    prescript: str
    postscript: str
    google_dir: str
    azure_config: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationsSettings:
    """Which applications are brought to rest at level ``application``, and how.

    Args:
        timeout_s: how long each may take to come to rest.
        containers: servers in containers are looked for too.
        kinds: one for each of ``model.applications.APPLICATIONS``.
    """

    timeout_s: int
    containers: bool
    kinds: Mapping[str, ApplicationSettings]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageManagersSettings:
    """When a package manager's change gets a snapshot first.

    Args:
        on_failure: manager to ``continue`` or ``abort``.
        limit_s: no change is held up for longer.
        throttled_limit_s: the same when nobody waits and the cloud refuses calls as too many.
        spread_s: when nobody waits, a delay shorter than that goes before.
        confirm_within_s: a change goes back by itself unless it is confirmed so soon; None for
            never.
        reuse_s: a snapshot at most this old serves again; None for never.
        risky: name patterns beyond the built-in ones.
        always: name patterns for which an earlier snapshot does not serve.
        never: name patterns that are left out of account.
        threshold: so many packages are risky whatever they are; 0 for never.
    """

    enabled: tuple[str, ...]
    on_failure: Mapping[str, str]
    limit_s: int
    throttled_limit_s: int
    spread_s: int
    confirm_within_s: int | None
    reuse_s: int | None
    risky: tuple[str, ...]
    always: tuple[str, ...]
    never: tuple[str, ...]
    threshold: int
    release_upgrade: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSettings:
    """What ``snap-self check`` takes for good enough.

    Args:
        warning_s: age of a disk's newest good snapshot above which it warns.
        critical_s: the same for critical.
        level: it warns of a weaker one.
    """

    warning_s: int
    critical_s: int
    level: Consistency


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings:
    """Where the metrics are left.

    Args:
        textfile: a path that ends in ``.prom``; empty for nowhere.
    """

    textfile: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings."""

    snapshot: SnapshotSettings
    run: RunSettings
    disks: DiskSettings
    credentials: CredentialSettings
    network: NetworkSettings
    state: StateSettings
    follow: FollowSettings
    watch: WatchSettings
    check: CheckSettings
    metrics: MetricsSettings
    notify: NotifySettings
    restore: RestoreSettings
    rollback: RollbackSettings
    freeze: FreezeSettings
    hooks: HookSettings
    applications: ApplicationsSettings
    package_managers: PackageManagersSettings

"""Every key there is: its name, parser, default, meaning, environment variable and option.

A new section is a dataclass in ``settings`` and rows here; files, environment, option names, the
suggestions for misspelt keys and the test of the example file follow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from snap_self.config import parsers
from snap_self.config.settings import (
    ApplicationsSettings,
    CredentialSettings,
    DiskSettings,
    FollowSettings,
    FreezeSettings,
    HookSettings,
    NetworkSettings,
    PackageManagersSettings,
    RunSettings,
    SnapshotSettings,
    StateSettings,
)
from snap_self.model.command import OnSnapshotFailure
from snap_self.model.packages import MANAGERS
from snap_self.model.request import FreezeRoot, OnQuiesceFailure
from snap_self.model.snapshots import Consistency, WaitFor

ENV_PREFIX = "SNAP_SELF_"
Merge = Callable[[Mapping[str, Any], Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Key:
    """One key of the configuration.

    Args:
        default: as a file would give it.
        accepted: the values it takes, for people.
        field: attribute of the section's settings, where it is not ``name``.
        option: the option of the main job that sets it.
        env: a second, shorter environment variable.
        scalar: it has an environment variable.
        merge: how a later file's table joins an earlier one's; None where the later one wins.
    """

    section: str
    name: str
    parse: parsers.Parser
    default: Any
    accepted: str
    doc: str
    field: str = ""
    option: str = ""
    env: str = ""
    scalar: bool = True
    merge: Merge | None = None

    @property
    def dotted(self) -> str:
        """Its name with the section."""
        return f"{self.section}.{self.name}"

    @property
    def attribute(self) -> str:
        """The attribute of the section's settings that holds it."""
        return self.field or self.name

    @property
    def env_names(self) -> tuple[str, ...]:
        """The environment variables that set it."""
        own = f"{ENV_PREFIX}{self.section}_{self.name}".upper()
        return tuple(filter(None, (own, self.env))) if self.scalar else ()


def merge_tables(old: Mapping[str, Any], new: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return both tables, the later one's entries winning."""
    return {**old, **new}


def merge_tags(old: Mapping[str, Any], new: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return both tables; the cloud does not tell keys apart by upper and lower case."""
    replaced = {key.lower() for key in new}
    return {key: value for key, value in old.items() if key.lower() not in replaced} | dict(new)


SECTIONS: Mapping[str, type] = {
    "snapshot": SnapshotSettings,
    "run": RunSettings,
    "disks": DiskSettings,
    "credentials": CredentialSettings,
    "network": NetworkSettings,
    "state": StateSettings,
    "follow": FollowSettings,
    "freeze": FreezeSettings,
    "hooks": HookSettings,
    "applications": ApplicationsSettings,
    "package_managers": PackageManagersSettings,
}

_DURATION = "a duration: 90s, 30m, 12h, 14d"
_PATTERNS = "patterns of package names, with * and ?"
_APPLICATION = "off, auto, on; or a table of use, socket, user, password_file"
_APPLICATIONS = {
    "mariadb": "MariaDB",
    "mysql": "MySQL",
    "postgresql": "PostgreSQL",
    "redis": "Redis",
    "mongodb": "MongoDB",
}

KEYS: tuple[Key, ...] = (
    Key(
        section="snapshot",
        name="consistency",
        parse=parsers.choice(Consistency),
        default="flush",
        accepted="crash, flush, filesystem, application",
        doc="What is done before the snapshot, and so what it is worth.",
        option="--consistency",
    ),
    Key(
        section="snapshot",
        name="on_quiesce_failure",
        parse=parsers.choice(OnQuiesceFailure),
        default="continue",
        accepted="continue (one level weaker), abort",
        doc="What to do when that consistency cannot be reached.",
        option="--on-quiesce-failure",
    ),
    Key(
        section="snapshot",
        name="wait",
        parse=parsers.choice(WaitFor),
        default="available",
        accepted="none, cut, available, accomplished",
        doc="When the command returns; available: the snapshot can be used to go back.",
        option="--wait",
    ),
    Key(
        section="snapshot",
        name="timeout",
        field="timeout_s",
        parse=parsers.duration,
        default="30m",
        accepted=_DURATION,
        doc="How long that wait may last; the snapshot goes on when it runs out.",
        option="--timeout",
    ),
    Key(
        section="snapshot",
        name="keep",
        field="keep_s",
        parse=parsers.retention,
        default="14d",
        accepted=f"{_DURATION}; or forever",
        doc="How long snapshots are kept; the cloud rounds up to whole days.",
        option="--keep",
    ),
    Key(
        section="snapshot",
        name="name",
        parse=parsers.snapshot_name,
        default="",
        accepted="2 to 128 letters, digits and : _ . -, a letter first, not auto…; or empty",
        doc="Name of every snapshot; empty: made from the --before text.",
        option="--name",
    ),
    Key(
        section="snapshot",
        name="tags",
        parse=parsers.tags,
        default={},
        accepted="at most 15 pairs of strings; keys not aliyun…, acs:…, snap-self-…",
        doc="Tags on everything made; files add to each other.",
        option="--tag",
        scalar=False,
        merge=merge_tags,
    ),
    Key(
        section="snapshot",
        name="reuse",
        field="reuse_s",
        parse=parsers.duration_or_off,
        default="off",
        accepted=f"{_DURATION}; or off",
        doc="Be content with a good snapshot of the same disks at most this old.",
        option="--reuse",
    ),
    Key(
        section="run",
        name="on_snapshot_failure",
        parse=parsers.choice(OnSnapshotFailure),
        default="stop",
        accepted="stop, run",
        doc="What becomes of the command of snap-self run when the snapshot was not made.",
        option="--on-snapshot-failure",
    ),
    Key(
        section="disks",
        name="exclude",
        parse=parsers.names,
        default=[],
        accepted="disk ids, devices or mount points",
        doc="Disks that never get a snapshot; --exclude adds to them.",
        option="--exclude",
        scalar=False,
    ),
    Key(
        section="disks",
        name="map",
        parse=parsers.disk_map,
        default={},
        accepted="device or /dev/disk/by-path link = disk id",
        doc="Which cloud disk a device is, where the disk has no serial number to tell it.",
        scalar=False,
        merge=merge_tables,
    ),
    Key(
        section="credentials",
        name="profile",
        parse=parsers.text,
        default="",
        accepted="a profile name; or empty",
        doc="Profile of ~/.aliyun/config.json or the credentials file to use.",
    ),
    Key(
        section="credentials",
        name="role",
        parse=parsers.role,
        default="",
        accepted="a role name; or empty",
        doc="The instance's RAM role; empty: asked of the metadata service.",
    ),
    Key(
        section="network",
        name="ecs_endpoint",
        parse=parsers.url,
        default="",
        accepted=parsers.HTTPS,
        doc="The ECS API; empty: the region's own, inside the VPC if it answers there.",
        env="SNAP_SELF_ECS_ENDPOINT",
    ),
    Key(
        section="network",
        name="metadata_url",
        parse=parsers.metadata_url,
        default="",
        accepted=f"http://{parsers.METADATA_HOST}, or {parsers.HTTPS}",
        doc="The metadata service; empty: the instance's own.",
        env="SNAP_SELF_METADATA_URL",
    ),
    Key(
        section="network",
        name="sts_endpoint",
        parse=parsers.url,
        default="",
        accepted=parsers.HTTPS,
        doc="The STS API, for credentials that assume a role; empty: the usual one.",
    ),
    Key(
        section="network",
        name="ca_bundle",
        parse=parsers.file_or_empty,
        default="",
        accepted="an absolute path; or empty",
        doc="File of CA certificates to trust; empty: those that come with the agent.",
    ),
    Key(
        section="state",
        name="dir",
        parse=parsers.absolute_path,
        default="/var/lib/snap-self",
        accepted="an absolute path",
        doc="Where the journal and the lock lie.",
    ),
    Key(
        section="state",
        name="resume",
        field="resume_s",
        parse=parsers.duration_or_zero,
        default="10m",
        accepted=f"{_DURATION}; 0s for never",
        doc="An interrupted run of the same request is finished when at most this old.",
    ),
    Key(
        section="follow",
        name="enabled",
        parse=parsers.switch,
        default=True,
        accepted="true, false",
        doc="Watch an upload on after the command, and hold back a reboot until it is finished.",
    ),
    Key(
        section="follow",
        name="limit",
        field="limit_s",
        parse=parsers.duration,
        # A first snapshot of hundreds of GiB takes hours; next morning nobody is to be hindered.
        default="6h",
        accepted=_DURATION,
        doc="For no longer than that; the upload itself goes on.",
    ),
    Key(
        section="freeze",
        name="limit",
        field="limit_s",
        parse=parsers.freeze_limit,
        default="10s",
        accepted="a duration of at most 30s",
        doc="No filesystem stays frozen for longer, whatever happens; then the level falls.",
    ),
    Key(
        section="freeze",
        name="root",
        parse=parsers.choice(FreezeRoot),
        default="refuse",
        accepted="refuse, allow",
        doc="Freeze / too; allow it once you have tried it on a machine like this one.",
    ),
    Key(
        section="hooks",
        name="dir",
        parse=parsers.file_or_empty,
        default="/etc/snap-self/hooks.d",
        accepted="an absolute path; or empty",
        doc="Hooks run at level application, in the order of their names; empty: none.",
    ),
    Key(
        section="hooks",
        name="timeout",
        field="timeout_s",
        parse=parsers.duration,
        default="30s",
        accepted=_DURATION,
        doc="Limit for each run of a hook, where its protocol has none of its own.",
    ),
    Key(
        section="hooks",
        name="fsfreeze_hook",
        parse=parsers.file_or_empty,
        default="",
        accepted="an absolute path; or empty",
        doc="Hooks of the QEMU guest agent: its script, or the directory of them.",
    ),
    Key(
        section="hooks",
        name="prescript",
        parse=parsers.file_or_empty,
        default="",
        accepted="an absolute path; or empty",
        doc="prescript.sh of Alibaba Cloud's application-consistent snapshots; not in /tmp.",
    ),
    Key(
        section="hooks",
        name="postscript",
        parse=parsers.file_or_empty,
        default="",
        accepted="an absolute path; or empty",
        doc="postscript.sh of the same.",
    ),
    Key(
        section="hooks",
        name="google_dir",
        parse=parsers.file_or_empty,
        default="",
        accepted="an absolute path; or empty",
        doc="Folder with pre.sh and post.sh as Google Cloud's guest agent runs them.",
    ),
    Key(
        section="hooks",
        name="azure_config",
        parse=parsers.file_or_empty,
        default="",
        accepted="an absolute path; or empty",
        doc="VMSnapshotScriptPluginConfig.json of Azure Backup.",
    ),
    Key(
        section="applications",
        name="timeout",
        field="timeout_s",
        parse=parsers.duration,
        default="20s",
        accepted=_DURATION,
        doc="How long each application may take to come to rest; then it is released.",
    ),
    *(
        Key(
            section="applications",
            name=name,
            parse=parsers.application,
            default="off",
            accepted=_APPLICATION,
            doc=f"Bring {title} to rest at level application; on: its absence is a failure.",
        )
        for name, title in _APPLICATIONS.items()
    ),
    Key(
        section="package_managers",
        name="enabled",
        parse=parsers.managers,
        default=[*MANAGERS],
        accepted="some of apt, dnf, zypper, pacman; dnf is also dnf 5 and yum",
        doc="Package managers whose risky changes get a snapshot first.",
        scalar=False,
    ),
    Key(
        section="package_managers",
        name="on_failure",
        parse=parsers.failure_policies,
        default="continue",
        accepted='continue, abort; or a table such as { apt = "abort" }',
        doc="What becomes of the change when its snapshot was not made.",
    ),
    Key(
        section="package_managers",
        name="limit",
        field="limit_s",
        parse=parsers.hook_limit,
        default="60s",
        accepted="a duration from 5s to 10m",
        doc="No change is held up for longer, whatever happens.",
    ),
    Key(
        section="package_managers",
        name="reuse",
        field="reuse_s",
        parse=parsers.duration_or_off,
        default="30m",
        accepted=f"{_DURATION}; or off",
        doc="Be content with a good snapshot of the same disks at most this old.",
    ),
    Key(
        section="package_managers",
        name="risky",
        parse=parsers.names,
        default=[],
        accepted=_PATTERNS,
        doc="Packages whose change is risky, beside those that snap-self knows.",
        scalar=False,
    ),
    Key(
        section="package_managers",
        name="always",
        parse=parsers.names,
        default=[],
        accepted=_PATTERNS,
        doc="Packages that get a snapshot of their own, whatever earlier one there is.",
        scalar=False,
    ),
    Key(
        section="package_managers",
        name="never",
        parse=parsers.names,
        default=[],
        accepted=_PATTERNS,
        doc="Packages that do not count, even if they are known as risky.",
        scalar=False,
    ),
    Key(
        section="package_managers",
        name="threshold",
        parse=parsers.count,
        default=25,
        accepted="a number; 0 for never",
        doc="So many packages at once are risky, whatever they are.",
    ),
    Key(
        section="package_managers",
        name="release_upgrade",
        parse=parsers.switch,
        default=True,
        accepted="true, false",
        doc="An upgrade to another release of the system is risky.",
    ),
)

BY_NAME: Mapping[tuple[str, str], Key] = {(key.section, key.name): key for key in KEYS}
BY_ENV: Mapping[str, Key] = {name: key for key in KEYS for name in key.env_names}
BY_OPTION: Mapping[str, Key] = {key.option: key for key in KEYS if key.option}

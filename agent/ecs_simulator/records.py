"""The cloud's resources in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from ecs_simulator.config import LifeTimes

ESSD_FAMILY = frozenset(
    {"cloud_essd", "cloud_auto", "cloud_essd_entry", "cloud_regional_disk_auto"}
)
PLAIN_CLOUD = frozenset({"cloud", "cloud_efficiency", "cloud_ssd"})
LOCAL = frozenset({"local_ssd_pro", "local_hdd_pro", "ephemeral", "ephemeral_ssd"})
ELASTIC_EPHEMERAL = frozenset({"elastic_ephemeral_disk_standard", "elastic_ephemeral_disk_premium"})
CATEGORIES = ESSD_FAMILY | PLAIN_CLOUD | LOCAL | ELASTIC_EPHEMERAL
REGIONAL = "cloud_regional_disk_auto"


@dataclass(slots=True, kw_only=True)
class Disk:
    """One disk.

    Args:
        path: where the storage keeps its bytes.
        system_of: the instance whose system disk it is or was.
        bound_for: the instance that it is being attached to.
        attached_s: how long it was attached before ``attached_at``.
        past: how readers still see it, and until when; the oldest first.
    """

    disk_id: str
    serial: str
    name: str
    size_gib: int
    category: str
    performance_level: str
    kind: str
    zone_id: str
    created_at: float
    status: str = "Available"
    description: str = ""
    device: str = ""
    instance_ids: list[str] = field(default_factory=list)
    multi_attach: str = "Disabled"
    encrypted: bool = False
    kms_key_id: str = ""
    portable: bool = True
    charge_type: str = "PostPaid"
    delete_with_instance: bool = True
    delete_auto_snapshot: bool = True
    bursting: bool = False
    attached_at: float | None = None
    detached_at: float | None = None
    never_attached: bool = False
    source_snapshot_id: str = ""
    source_disk_id: str = ""
    locks: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    life: LifeTimes | None = None
    path: str = ""
    visible_at: float = 0.0
    system_of: str = ""
    bound_for: str = ""
    attached_s: float = 0.0
    deleted_at: float | None = None
    past: list[tuple[float, Disk]] = field(default_factory=list, repr=False)

    def seen(self, now: float) -> Disk:
        """Return it as a reader sees it at an instant."""
        return next((view for until, view in self.past if until > now), self)


@dataclass(slots=True, kw_only=True)
class GuestFault:
    """Something that the program on the instance did wrong.

    Args:
        what: ``detached-in-use``: DetachDisk of a disk that the machine still had mounted.
        over_at: when the machine let go, None until then.
    """

    what: str
    disk_id: str
    instance_id: str
    began_at: float
    over_at: float | None = None


@dataclass(slots=True, kw_only=True)
class Instance:
    """One instance, as both the API and the metadata service see it.

    Args:
        started_at: when it was last started.
        hot_plug: whether disks can come and go while it runs.
        refused_categories: disk categories that its type does not support.
        at_start: fields that get these values when it starts.
    """

    instance_id: str
    name: str
    hostname: str
    instance_type: str
    image_id: str
    zone_id: str
    serial_number: str
    private_ipv4: str
    mac: str
    created_at: float
    started_at: float
    status: str = "Running"
    stopped_mode: str = "Not-applicable"
    locks: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    disk_quantity: int = 17
    charge_type: str = "PostPaid"
    deletion_protection: bool = False
    hot_plug: bool = True
    refused_categories: tuple[str, ...] = ()
    description: str = ""
    at_start: dict[str, str | bytes] = field(default_factory=dict)
    http_endpoint: str = "enabled"
    http_tokens: str = "optional"
    metadata_tags: str = "disabled"
    role: str = ""
    user_data: bytes | None = None
    vendor_data: bytes | None = None
    spot_termination: str = ""
    public_keys: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotLock:
    """A lock in compliance mode: nobody can take it away once its cool-off has ended."""

    created_at: float
    starts_at: float
    cool_off_h: int
    days: int

    @property
    def cool_off_ends_at(self) -> float:
        return self.created_at + self.cool_off_h * 3600.0

    @property
    def ends_at(self) -> float:
        return self.starts_at + self.days * 86400.0

    def status(self, now: float) -> str:
        """Return its LockStatus."""
        if now >= self.ends_at:
            return "expired"
        return "compliance-cooloff" if now < self.cool_off_ends_at else "compliance"


@dataclass(slots=True, kw_only=True)
class Snapshot:
    """One snapshot.

    Stages are instants, None until reached: accepted, visible, cut, available, accomplished.

    Args:
        source_id: the snapshot of another region that it is a copy of.
    """

    snapshot_id: str
    number: int
    disk_id: str
    disk_kind: str
    disk_size_gib: int
    disk_category: str
    accepted_at: float
    visible_at: float
    life: LifeTimes
    name: str = ""
    description: str = ""
    retention_days: int | None = None
    encrypted: bool = False
    kms_key_id: str = ""
    group_id: str = ""
    cut_at: float | None = None
    failed_at: float | None = None
    created_disks: set[str] = field(default_factory=set)
    created_image: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    modified_at: float = 0.0
    lock: SnapshotLock | None = None
    source_id: str = ""

    def is_locked(self, now: float) -> bool:
        """Tell whether nobody can delete it."""
        return self.lock is not None and self.lock.status(now) != "expired"

    @property
    def instant_access(self) -> bool:
        """Tell whether it is usable soon after the cut."""
        return self.disk_category in ESSD_FAMILY

    def ends_at(self) -> float | None:
        """Return when it is, or would be, complete."""
        if self.cut_at is None:
            return None
        per_gib = self.life.accomplished_s_per_gib * self.disk_size_gib
        return self.cut_at + self.life.accomplished_s + per_gib

    def status(self, now: float) -> str:
        if self.failed_at is not None and self.failed_at <= now:
            return "failed"
        end = self.ends_at()
        return "accomplished" if end is not None and end <= now else "progressing"

    def available(self, now: float) -> bool:
        """Tell whether disks can be reset to it or made from it at an instant."""
        status = self.status(now)
        if status != "progressing":
            return status == "accomplished"
        usable_at = None if self.cut_at is None else self.cut_at + self.life.available_s
        return self.instant_access and usable_at is not None and usable_at <= now

    def progress(self, now: float) -> int:
        """Return percent done at an instant; 100 only when accomplished."""
        end = self.ends_at()
        if self.cut_at is None or end is None:
            return 0
        if self.failed_at is not None:
            now = min(now, self.failed_at)
        if now >= end:
            return 100
        return max(0, min(99, int(100 * (now - self.cut_at) / (end - self.cut_at))))

    def usage(self) -> str:
        if self.created_disks and self.created_image:
            return "image_disk"
        if self.created_image:
            return "image"
        return "disk" if self.created_disks else "none"


@dataclass(slots=True, kw_only=True)
class SnapshotGroup:
    """One snapshot-consistent group; members vanish from it one by one when deleted."""

    group_id: str
    number: int
    instance_id: str
    created_at: float
    visible_at: float
    members_visible_at: float
    name: str = ""
    description: str = ""
    member_ids: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)

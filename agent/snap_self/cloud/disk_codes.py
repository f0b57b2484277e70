"""What the codes of the calls that make, attach, detach and delete a disk mean.

Source: ECS API reference, the error codes of CreateDisk, AttachDisk, DetachDisk and DeleteDisk.
"""

from __future__ import annotations

from collections.abc import Mapping

from snap_self.cloud.code_rows import Row, rows
from snap_self.cloud.retry import DENIED
from snap_self.errors import (
    ApiFault,
    BalanceTooLow,
    CloudRefused,
    DiskCategoryRefused,
    DiskConflict,
    DiskNotSettled,
    InstanceNotReady,
    KeyUnusable,
    NoDiskSlot,
    NoHotPlug,
    PermissionRefused,
    PreconditionRefused,
    QuotaReached,
    ResourceGone,
    SnapshotNotUsable,
    SnapshotOfOtherDisk,
    TokenReused,
)

IN_USE = "InvalidDisk.InUse"
BEING_DETACHED = "InvalidOperation.DiskDetachingFromThisEcs"
# The second one's text: "the specified disk has not been attached on the specified instance".
NOT_ATTACHED = ("InvalidDisk.AlreadyDetached", "DependencyViolation")
BEING_RESET = "InvalidOperation.DiskResetInProgress"
REHEARSED = "DryRunOperation"
RUNNING = "IncorrectInstanceStatus"
FROM_OUTSIDE = "`snap-self show` prints the steps that do it at another instance"


def may_be_attached(error: ApiFault) -> bool:
    """Tell whether an attach was refused because an earlier try of it may have been heard."""
    return isinstance(error, DiskNotSettled | DiskConflict) or error.api_code == IN_USE


def may_be_detaching(error: ApiFault) -> bool:
    """Tell the same of a detach."""
    return isinstance(error, DiskNotSettled | DiskConflict)


def is_not_attached(error: ApiFault) -> bool:
    """Tell whether a detach was refused because the disk is not attached there."""
    return error.api_code in NOT_ATTACHED or isinstance(error, ResourceGone)


def is_being_reset(error: ApiFault) -> bool:
    """Tell whether a reset was refused because it is under way."""
    return error.api_code == BEING_RESET


def is_rehearsed(error: ApiFault) -> bool:
    """Tell whether that is how the cloud says that it would have done it."""
    return error.api_code == REHEARSED


def is_of_running(error: ApiFault) -> bool:
    """Tell whether a reset was refused as the disk is attached to an instance that runs."""
    return error.api_code == RUNNING


def is_being_detached(error: ApiFault) -> bool:
    """Tell whether a detach was refused because it is under way."""
    return error.api_code == BEING_DETACHED


_ALL: Mapping[str, Row] = {
    **rows(
        PermissionRefused,
        "the credentials may not do {action}, which bringing files back needs",
        "the role needs the policy snap-self-restore, which allows ecs:{action} on {resources}: "
        "`{policy}` prints it filled in, with the steps to attach it",
        codes=DENIED,
    ),
    **rows(
        ResourceGone,
        "the cloud does not know a disk, instance or snapshot that {action} named",
        "look at `snap-self list`: it may have been deleted meanwhile",
        codes=(
            *("InvalidDiskId.NotFound", "Disk.NotFound", "InvalidInstanceId.NotFound"),
            *("InvalidSnapshotId.NotFound", "InvalidSnapshot.NotFound"),
        ),
    ),
    **rows(
        DiskConflict,
        "another operation on the instance or one of its disks is under way",
        "repeat the command in a minute",
        codes=(
            *("OperationConflict*", "Operation.Conflict", "InvalidOperation.Conflict"),
            "DisksDetachingOnEcsExceeded",
        ),
    ),
    **rows(
        DiskNotSettled,
        "{disk} is in a state in which {action} cannot be done",
        "repeat the command in a minute; the console shows the disk's state",
        codes=(
            *("IncorrectDiskStatus*", BEING_DETACHED, "DiskStillAttached"),
            *("DiskCreatingSnapshot", "DISK_HAS_CREATING_SNAPSHOT"),
        ),
    ),
    **rows(
        InstanceNotReady,
        "the instance is neither running nor stopped, and the cloud changes no disks of it "
        "meanwhile",
        "wait until the console shows it as Running, then repeat the command",
        codes=("IncorrectInstanceStatus*",),
    ),
    **rows(
        NoHotPlug,
        "an instance of this type takes no disk while it runs",
        FROM_OUTSIDE,
        codes=("InvalidOperation.InstanceTypeNotSupport",),
    ),
    **rows(
        PreconditionRefused,
        "{disk} is of a kind that cannot be attached or detached by itself",
        FROM_OUTSIDE,
        codes=("DiskNotPortable", "DiskTypeViolation"),
    ),
}
_CREATE: Mapping[str, Row] = {
    **rows(
        DiskCategoryRefused,
        "the cloud makes no disk of this category and size here{said}",
        f"other categories have been tried; {FROM_OUTSIDE}",
        codes=(
            *("InvalidDiskCategory*", "InvalidDataDiskCategory*", "Zone.NotOnSale"),
            *("InvalidDiskSize*", "InvalidPerformanceLevel*", "OperationDenied.NoStock"),
            *("QuotaExceeded.PostpaidDataDiskCapacity", "InvalidRegion.NotSupport"),
            "InvalidOperation.CreateFromSnapshotUnsupported",
        ),
    ),
    **rows(
        QuotaReached,
        "the account may have no more disks",
        "delete disks that are not needed, or ask for more in the Quota Center of the console",
        codes=("QuotaExceed.PostPaidDisk", "QuotaExceed.PortableCloudDisk", "QuotaExceed*"),
    ),
    **rows(
        BalanceTooLow,
        "the account has too little balance for a disk, or payments are overdue",
        "settle the account's bills; the balance must not be below 100 yuan. Then repeat the "
        "command",
        codes=("InvalidAccountStatus*",),
    ),
    **rows(
        KeyUnusable,
        "the KMS key that encrypts the snapshot is gone, disabled or may not be used by ECS",
        "look at the key in KMS: a deletion that is only scheduled can be cancelled",
        codes=("InvalidParameter.KMSKeyId*", "InvalidKMSKeyId*"),
    ),
    **rows(
        PreconditionRefused,
        "the cloud makes no data disk of a system disk's snapshot here",
        "roll the system disk back instead: `snap-self show` prints the steps",
        codes=("InvalidSnapshotId.NotDataDiskSnapshot",),
    ),
    **rows(
        PreconditionRefused,
        "the cloud makes no disk of this snapshot yet",
        "wait until it is available (`snap-self show`), then repeat the command",
        codes=("InvalidSnapshotId.NotReady", "InvalidSnapshot.NotReady"),
    ),
    **rows(
        PreconditionRefused,
        "the cloud does not allow a disk to be made of this snapshot{said}",
        "Alibaba Cloud support can look up the request id",
        codes=("OperationDenied", "OperationDenied.SnapshotNotAllowed"),
    ),
    **rows(
        TokenReused,
        "the client token of this disk was used with other parameters",
        "repeat the command: it looks for what was made then, and deletes it",
        codes=("IdempotentParameterMismatch",),
    ),
}
_ATTACH: Mapping[str, Row] = {
    **rows(
        NoDiskSlot,
        "as many disks are attached to the instance as its type takes",
        f"detach one that is not needed; {FROM_OUTSIDE}",
        codes=("InstanceDiskLimitExceeded", "InvalidOperation.DiskQueueNumberNotEnough"),
    ),
    **rows(
        NoHotPlug,
        "an instance of this type does not take the disk{said}",
        FROM_OUTSIDE,
        codes=("InvalidInstanceType.Nvme*",),
    ),
    **rows(
        DiskCategoryRefused,
        "an instance of this type takes no disk of this category",
        f"other categories have been tried; {FROM_OUTSIDE}",
        codes=("InvalidInstanceType.NotSupportDiskCategory",),
    ),
    **rows(
        CloudRefused,
        "{disk} is attached to another instance",
        "nothing is done to it; look at the disk in the console",
        codes=(IN_USE,),
    ),
    **rows(
        PreconditionRefused,
        "{disk} is in another zone than the instance",
        FROM_OUTSIDE,
        codes=("ResourcesNotInSameZone", "InvalidInstance.ZoneConflict"),
    ),
}
_DELETE: Mapping[str, Row] = rows(
    PreconditionRefused,
    "{disk} is protected from being deleted",
    "end the protection in the console, then delete the disk there",
    codes=("InvalidDiskStatus.DeleteProtection",),
)
_RESET: Mapping[str, Row] = {
    **rows(
        PermissionRefused,
        "the credentials may not do {action}, which bringing disks back while the machine runs "
        "needs",
        "the role needs the policy snap-self-online, which allows {right} on {resources}: "
        "`{policy}` prints it filled in, with the steps to attach it",
        codes=DENIED,
    ),
    **rows(
        SnapshotOfOtherDisk,
        "the snapshot is not of {disk}, or is encrypted and the disk is not",
        "look at both in the ECS console",
        codes=("InvalidParameter.Mismatch",),
    ),
    **rows(
        SnapshotNotUsable,
        "the snapshot for {disk} cannot be used yet",
        "wait until `snap-self show` says that it is available",
        codes=("InvalidSnapshotId.NotReady", "InvalidSnapshot.NotReady"),
    ),
    **rows(
        SnapshotNotUsable,
        "another snapshot of {disk} is still being uploaded, and no disk is reset meanwhile",
        "wait until `snap-self list` says that it is accomplished",
        codes=("IncorrectDiskStatus.HasUnfinishedSnapshot",),
    ),
    **rows(
        DiskNotSettled,
        "{disk} is being reset",
        "repeat the command in a minute",
        codes=(BEING_RESET,),
    ),
    **rows(
        InstanceNotReady,
        "{disk} is attached to an instance that runs, and only a stopped one's are reset",
        FROM_OUTSIDE,
        codes=("IncorrectInstanceStatus*",),
    ),
}
DISK_ACTIONS: Mapping[str, Mapping[str, Row]] = {
    "CreateDisk": {**_ALL, **_CREATE},
    "AttachDisk": {**_ALL, **_ATTACH},
    "DetachDisk": _ALL,
    "DeleteDisk": {**_ALL, **_DELETE},
    "ResetDisk": {**_ALL, **_RESET},
}

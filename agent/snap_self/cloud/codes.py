"""The API's codes and what each means to the user: one table, and what one operation has apart.

Only the code counts: the cloud sends one code with several HTTP statuses, and its messages change.
Source: ECS API reference, common error codes and the error codes of the operations used here;
those of CreateSnapshot (page of January 2025) and CreateSnapshotGroup (January 2026) differ.
"""

from __future__ import annotations

from collections.abc import Mapping

from snap_self.cloud.code_rows import Row, rows
from snap_self.cloud.retry import DENIED, UNKNOWN_KEY, fits
from snap_self.errors import (
    ApiFault,
    CloudRefused,
    CloudThrottled,
    CredentialsRefused,
    DiskNotReady,
    InstanceNotReady,
    PermissionRefused,
    PreconditionRefused,
    QuotaReached,
    SnapSelfError,
)
from snap_self.model.snapshots import MemberDeletion

NO_SNAPSHOT = "InvalidSnapshotId.NotFound"
# Somebody keeps the snapshot for longer.
KEPT_LONGER = "InvalidOperation.DecreaseRetentionDaysUnsupported"
# A disk was made from the snapshot.
USED_BY_DISK = "SnapshotCreatedDisk"
# Codes that mean "not as a group, here", while single snapshots may still be made.
# Source: ECS API reference, CreateSnapshotGroup, error codes.
GROUP_NOT_HERE = frozenset(
    {
        "InvalidRegion.NotSupport",
        "UserNotInTheWhiteList",
        "NumberExceed.TooManyDisks",
        "CapacityExceed.TooManyDisks",
        "DiskCategory.OperationNotSupported",
        "InvalidDisk.DiskCategoryInconsistent",
        "InvalidDiskIds.NotInSameZone",
    }
)


def is_not_as_group(error: SnapSelfError) -> bool:
    """Tell whether the disks cannot be a group here, while single snapshots may still be made."""
    return isinstance(error, CloudRefused) and error.api_code in GROUP_NOT_HERE


def is_kept_longer(error: ApiFault) -> bool:
    """Tell whether the snapshot's retention is longer already than the one asked for."""
    return error.api_code == KEPT_LONGER


def is_used_by_disk(member: MemberDeletion) -> bool:
    """Tell whether a member of a group was kept because a disk was made from it."""
    return member.api_code == USED_BY_DISK


def is_no_snapshot(error: ApiFault) -> bool:
    """Tell whether there is no such snapshot, or none any more."""
    return error.api_code == NO_SNAPSHOT


def is_no_group(error: ApiFault) -> bool:
    """Tell whether there is no such group, or none any more; that code is not documented."""
    return error.api_code.startswith("InvalidSnapshotGroup") and "NotFound" in error.api_code


def find(code: str, action: str = "") -> Row | None:
    """Return what a code means, None for one that the table does not have.

    Args:
        action: the operation that it came from, some of which mean something else by a code.
    """
    for table in (_own(action), TABLE):
        if code in table:
            return table[code]
        fitting = [key for key in table if key.endswith("*") and fits(key, code)]
        if fitting:
            return table[max(fitting, key=len)]
    return None


def _own(action: str) -> Mapping[str, Row]:
    if action not in DISK_CALLS:
        return BY_ACTION.get(action, {})
    from snap_self.cloud.disk_codes import DISK_ACTIONS

    return DISK_ACTIONS[action]


# Their table is loaded only for them: the main job makes none of these calls.
DISK_CALLS = ("CreateDisk", "AttachDisk", "DetachDisk", "DeleteDisk", "ResetDisk")
# A code ending in ``*`` stands for all that begin so; the longest that fits counts.
TABLE: Mapping[str, Row] = {
    # Who asks.
    **rows(
        PermissionRefused,
        "the credentials may not do {action}",
        "the RAM policy of the role or user must allow {right} on {resources}; "
        "`{policy}` prints the whole policy, `snap-self doctor` shows whose keys are used",
        codes=DENIED,
    ),
    **rows(
        PermissionRefused,
        "a control policy of the account's resource directory forbids {action}",
        "only the administrator of the resource directory can allow it; no statement in a RAM "
        "policy does",
        codes=("OperationDenied.NoPermission",),
    ),
    **rows(
        PermissionRefused,
        "the credentials may not use the storage location of snapshots of {disk}",
        "ask whoever administers that storage location (CloudBox), or leave the disk out with "
        "{exclude}",
        codes=("InvalidParameter.UnauthorizedStorageLocationArn",),
    ),
    **rows(
        CredentialsRefused,
        "the access key is not known to the cloud or has been disabled",
        'run "snap-self doctor" to see where the key comes from, then give a valid one there',
        codes=UNKNOWN_KEY,
    ),
    **rows(
        CredentialsRefused,
        "the access key's secret is wrong",
        'run "snap-self doctor" to see where the key comes from, then mend the secret there',
        codes=("SignatureDoesNotMatch", "IncompleteSignature", "InvalidAccessKeySecret"),
    ),
    **rows(
        CredentialsRefused,
        "the security token has expired, and renewing it did not help",
        'run "snap-self doctor" to see where the token comes from; a token from the environment '
        "or a file is renewed by whoever put it there, an instance role's renews itself",
        codes=("InvalidSecurityToken.Expired",),
    ),
    **rows(
        CredentialsRefused,
        "the security token is missing or does not belong to the access key",
        'run "snap-self doctor" to see where both come from; set key, secret and token together',
        codes=("InvalidSecurityToken*", "MissingSecurityToken"),
    ),
    **rows(
        CredentialsRefused,
        "the request's time is not accepted: this machine's clock is more than 15 minutes wrong",
        "set the clock (chronyc tracking, timedatectl), then repeat the command",
        codes=("InvalidTimeStamp.*", "IllegalTimestamp"),
    ),
    # The account.
    **rows(
        PreconditionRefused,
        "the account's snapshot service is not activated",
        "activate it once in the ECS console (Snapshots), which costs nothing by itself",
        codes=("InvalidAccountStatus.SnapshotServiceUnavailable",),
    ),
    **rows(
        PreconditionRefused,
        "the account has too little balance or payments are overdue",
        "settle the account's bills; the balance must not be below 100 yuan. Then repeat the "
        "command",
        codes=("InvalidAccountStatus.NotEnoughBalance", "InvalidAccountStatus*"),
    ),
    **rows(
        PreconditionRefused,
        "{disk} has expired, as payments are overdue",
        "settle the account's bills, then repeat the command",
        codes=("DiskInArrears",),
    ),
    **rows(
        PreconditionRefused,
        "the account's risk control stopped {action}",
        "sign in to the console with the account's owner and follow the notice there",
        codes=("Forbidden.RiskControl", "OperationDenied.RiskIssue"),
    ),
    # The disk.
    **rows(
        DiskNotReady,
        "another snapshot of {disk} is being made",
        "wait until it is done (`snap-self list`, or an automatic snapshot policy in the console); "
        "if it is snap-self's own and new enough, --reuse 30m is content with it",
        codes=(
            *("IncorrectDiskStatus.CreatingSnapshot", "DISK_HAS_CREATING_SNAPSHOT"),
            *("QuotaExceed.ConcurrentSnapshotQuota", "IncorrectDiskStatus.HasUnfinishedSnapshot"),
            *("IncorrectDiskStatus.TooManyCreatingSnapshots", "DiskCreatingSnapshot"),
            "InvalidOperation.RelatedSnapshotNotFinished",
        ),
    ),
    **rows(
        DiskNotReady,
        "encrypted snapshots of {disk} are still being copied to another region",
        "wait until they are copied, then repeat the command",
        codes=("InvalidOperation.UnfinishedEncryptedSnapshotCopy",),
    ),
    **rows(
        DiskNotReady,
        "the cloud failed to make the snapshot of {disk}{said}",
        "wait a minute, then repeat the command; if it stays so, Alibaba Cloud support can look "
        "up the request id",
        codes=("CreateSnapshot.Failed",),
    ),
    **rows(
        DiskNotReady,
        "{disk} has never been attached or used, so there is nothing to snapshot",
        "leave it out with {exclude}",
        codes=("IncorrectDiskStatus.NeverAttached", "IncorrectDiskStatus.NeverUsed"),
    ),
    **rows(
        DiskNotReady,
        "the state of {disk} is invalid",
        "restart the instance, then repeat the command",
        codes=("IncorrectDiskStatus.Invalid",),
    ),
    **rows(
        DiskNotReady,
        "{disk} is being migrated",
        "wait until that has ended, then repeat the command",
        codes=("IncorrectDiskStatus.Transferring",),
    ),
    **rows(
        DiskNotReady,
        "{disk} is in a state in which the cloud makes no snapshot of it",
        "wait until the console shows it as In Use or Available, and see that no payments are "
        "overdue; then repeat the command",
        codes=("IncorrectDiskStatus*", "IncorrectVolumeStatus"),
    ),
    **rows(
        PreconditionRefused,
        "the cloud makes no snapshots of this kind of disk: {disk}",
        "leave the disk out with {exclude}",
        codes=("DiskId.ValueNotSupported", "IncorrectDiskType.NotSupport"),
    ),
    **rows(
        PreconditionRefused,
        "{disk} lies in a CloudBox, of which {action} makes no snapshots",
        "leave the disk out with {exclude}",
        codes=(
            "InvalidOperation.SnapshotStorageLocationUnsupported",
            "CloudBoxNotSupportSnapshotWithInstantAccess",
        ),
    ),
    **rows(
        PreconditionRefused,
        "the KMS key that encrypts {disk} is not enabled",
        "enable the key in KMS",
        codes=("InvalidParameter.KMSKeyId.CMKNotEnabled",),
    ),
    **rows(
        PreconditionRefused,
        "the KMS key that encrypts {disk} lacks the tag that lets ECS use it",
        "add the ECS tag to the key in KMS (acs:ecs:disk-encryption with value true)",
        codes=("InvalidParameter.KMSKeyId.CMKUnauthorized",),
    ),
    **rows(
        PreconditionRefused,
        "ECS is not allowed to use the account's KMS",
        "allow it in the ECS console, where disk encryption asks for it (role "
        "AliyunECSDiskEncryptDefaultRole)",
        codes=("InvalidParameter.KMSKeyId.KMSUnauthorized",),
    ),
    **rows(
        PreconditionRefused,
        "the KMS key that encrypts {disk} does not exist any more, or cannot be used",
        "look at the key in KMS: a deletion that is only scheduled can be cancelled",
        codes=("InvalidParameter.KMSKeyId.*", "InvalidKMSKeyId.NotFound"),
    ),
    **rows(
        PreconditionRefused,
        "a disk is attached to several instances and cannot be in a group: {disk}",
        "leave the disk out with {exclude}",
        codes=("InvalidOperation.MultiAttachDisk", "InvalidDisk.ShareVolume"),
    ),
    # The instance.
    **rows(
        InstanceNotReady,
        "the instance is neither running nor stopped, and the cloud makes no snapshots meanwhile",
        "wait until the console shows it as Running, then repeat the command",
        codes=("IncorrectInstanceStatus*",),
    ),
    **rows(
        InstanceNotReady,
        "hibernation is enabled for the instance, and the cloud makes no snapshots of the disks of "
        "such an instance",
        "waiting does not help; back it up in another way, or use an instance without hibernation",
        codes=("HibernationConfigured*",),
    ),
    **rows(
        InstanceNotReady,
        "the instance is locked",
        "the console's notices say why (security, payment) and how the lock is ended",
        codes=("InstanceLockedForSecurity", "InstanceExpiredOrInArrears"),
    ),
    **rows(
        PreconditionRefused,
        "no disk is attached to the instance any more",
        "look at the instance's disks in the console, then repeat the command",
        codes=("InvalidInstance.NoDisk",),
    ),
    # Limits.
    **rows(
        QuotaReached,
        "{disk} has as many snapshots as are allowed",
        'delete some that are no longer needed ("snap-self list", "snap-self prune")',
        codes=("QuotaExceed.Snapshot",),
    ),
    **rows(
        QuotaReached,
        "the snapshot quota that the account's reseller has set is used up",
        "ask the channel partner that the account was bought from for a higher quota",
        codes=("QuotaExceed.SnapshotQuota",),
    ),
    **rows(
        QuotaReached,
        "a limit of tags is reached",
        "give fewer --tag options, or remove tags in the console",
        codes=("QuotaExceed.Tags", "OperationDenied.QuotaExceed", "NumberExceed.Tags"),
    ),
    **rows(
        QuotaReached,
        "a limit of the account is reached",
        "see the Quota Center in the console",
        codes=("QuotaExceed*", "NumberExceed.ResourceIds"),
    ),
    # The snapshot.
    **rows(
        PreconditionRefused,
        "a disk was made from the snapshot, so it is not deleted",
        "keep it as long as the disk, or delete it in the console with force",
        codes=(USED_BY_DISK,),
    ),
    **rows(
        PreconditionRefused,
        "a custom image uses the snapshot, so it cannot be deleted",
        "delete the image first",
        codes=("SnapshotCreatedImage",),
    ),
    **rows(
        PreconditionRefused,
        "the snapshot is still being made",
        "wait until it is accomplished",
        codes=("InvalidSnapshotId.NotReady", "InvalidSnapshot.NotReady"),
    ),
    **rows(
        PreconditionRefused,
        "the snapshot is shared, locked or managed by another cloud product",
        "end that in the console first",
        codes=(
            *(
                "InvalidOperation.DeleteSharedSnapshotUnsupported",
                "InvalidOperation.SnapshotIsLocked",
            ),
            *("InvalidOperation.ResourceManagedByCloudProduct",),
            *("InvalidOperation.DefaultFreeSnapshotNotSupport",),
        ),
    ),
    # The group: these stay CloudRefused, since single snapshots may still be made.
    **rows(
        CloudRefused,
        "the disks are too many or too large for one snapshot-consistent group",
        "choose fewer disks with --disk, --path or --exclude",
        codes=("NumberExceed.TooManyDisks", "CapacityExceed.TooManyDisks"),
    ),
    **rows(
        CloudRefused,
        "regional disks can be in a group with regional disks only",
        "snapshot the disks one by one with --disk",
        codes=("InvalidDisk.DiskCategoryInconsistent",),
    ),
    **rows(
        CloudRefused,
        "snapshot-consistent groups are not available for these disks here",
        "snapshot the disks one by one with --disk",
        codes=(
            *("InvalidRegion.NotSupport", "UserNotInTheWhiteList", "InvalidDiskIds.NotInSameZone"),
        ),
    ),
    # The call.
    **rows(
        CloudRefused,
        "the cloud does not take the snapshot's name",
        "give another --name: 2 to 128 letters, digits and : _ . -, beginning with a letter",
        codes=("InvalidSnapshotName.Malformed", "InvalidParameter.Name"),
    ),
    **rows(
        CloudRefused,
        "the cloud does not take the snapshot's description",
        "give another --description: 2 to 256 characters, not beginning with http:// or https://",
        codes=("InvalidDescription.Malformed", "InvalidParameter.Description"),
    ),
    **rows(
        CloudRefused,
        "the cloud does not take one of the snapshot's tags{said}",
        "give other --tag options: each key once, none beginning with aliyun or acs:",
        codes=(
            *("Duplicate.TagKey", "TagKey.Duplication", "InvalidTagKey.Malformed"),
            *("InvalidTagValue.Malformed", "InvalidTagCount", "InvalidTag.Mismatch"),
        ),
    ),
    **rows(
        CloudRefused,
        "the cloud does not take the snapshot's retention",
        "give another --keep: 1 to 65536 days, or forever",
        codes=("InvalidRetentionDays.Malformed",),
    ),
    **rows(
        CloudRefused,
        "the snapshot's retention can only be made longer",
        "give a longer --keep",
        codes=(KEPT_LONGER,),
    ),
    **rows(
        CloudRefused,
        "the client token of this run was used with other parameters",
        'look at "snap-self list" for what the first try made, then start a new run',
        codes=("IdempotentParameterMismatch",),
    ),
    **rows(
        CloudRefused,
        "an earlier try of the same call is still at work in the cloud",
        "repeat the command in a minute; it finds what was made and makes nothing twice",
        codes=("IdempotentProcessing", "LastTokenProcessing"),
    ),
    **rows(
        CloudRefused,
        "another operation on the same resource is under way",
        "repeat the command when it is done",
        codes=("OperationConflict*", "Operation.Conflict", "InvalidOperation.Conflict"),
    ),
    **rows(
        CloudRefused,
        "the cloud does not know a disk, instance or snapshot that {action} named",
        "check that it was not released meanwhile and that region and account are the right ones",
        codes=(
            *("InvalidDiskId.NotFound", "InvalidInstanceId.NotFound", NO_SNAPSHOT),
            *("InvalidVolumeId.NotFound", "InvalidRegionId.NotFound", "InvalidRegion.NotFound"),
            *("InvalidResourceId.NotFound", "InvalidSnapshotGroupId.NotFound"),
            "InvalidResourceGroup.NotFound",
        ),
    ),
    **rows(
        CloudRefused,
        "the cloud does not take a parameter of {action}{said}",
        "a newer snap-self may know better; if it is up to date, please report this",
        codes=(
            *("MissingParamter*", "MissingParameter*", "IncompleteParamter*", "InvalidParam.*"),
            *("InvalidParameter*", "InvalidParamter*", "InvalidParamater*"),
            *("InvalidClientToken.Malformed", "InvalidSnapshotCategory.Malformed"),
            *("InvalidCategoryAndInstantAccess.Malformed", "NoAttributeToModify"),
            "InvalidInstantAccessRetentionDays.Malformed",
            "InvalidRegion.NotSupportSnapshotInstantAccessRegion",
        ),
    ),
    **rows(
        CloudThrottled,
        "too many {action} calls are made in this account and region",
        "repeat the command in a minute; the limit is shared with the console and other programs",
        codes=("Throttling", "Throttling.*"),
    ),
    **rows(
        CloudRefused,
        "the cloud kept failing inside while doing {action}",
        "repeat the command later; status.alibabacloud.com shows known disturbances",
        codes=("InternalError", "UnknownError", "ServiceUnavailable*"),
    ),
}
# What an operation's own page says of a code otherwise than the others'.
BY_ACTION: Mapping[str, Mapping[str, Row]] = {
    "CreateSnapshot": rows(
        PreconditionRefused,
        "the cloud makes no snapshots of this category of disk: {disk}",
        "leave the disk out with {exclude}",
        codes=("DiskCategory.OperationNotSupported",),
    ),
    "StartExecution": rows(
        CloudRefused,
        "the account keeps no OOS template snap-self-rollback",
        "create it there from oos/snap-self-rollback.yml in snap-self's documentation, or set "
        "rollback.stored_template to false",
        codes=("EntityNotExists.Template",),
    ),
    "CreateSnapshotGroup": rows(
        CloudRefused,
        "a snapshot-consistent group does not take the category of a disk, or that it is encrypted "
        "in the way it is: {disk}",
        "leave the disk out with {exclude} if it stays so for a single snapshot",
        codes=("DiskCategory.OperationNotSupported",),
    ),
}

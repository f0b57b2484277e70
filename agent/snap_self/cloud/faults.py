"""What a refusal of the API means to the user: one table from its ``Code`` to our errors.

Only the code counts: the cloud sends one code with several HTTP statuses, and its messages change.
Source: ECS API reference, common error codes and the error codes of the operations used here.
"""

from __future__ import annotations

from dataclasses import dataclass

from snap_self.cloud.retry import Trouble
from snap_self.errors import (
    ApiFault,
    CloudAnswerUnclear,
    CloudRefused,
    CloudThrottled,
    CloudUnreachable,
    CredentialsRefused,
    DiskNotReady,
    InstanceNotReady,
    PermissionRefused,
    PreconditionRefused,
    QuotaReached,
    SnapSelfError,
)
from snap_self.ports import RpcFailed

# What a policy must name. Source: ECS API reference, RAM authorisation of each operation.
RESOURCES = {
    "CreateSnapshot": "acs:ecs:REGION:ACCOUNT:disk/DISK and acs:ecs:REGION:ACCOUNT:snapshot/*",
    "CreateSnapshotGroup": "acs:ecs:REGION:ACCOUNT:instance/INSTANCE and of each disk "
    "acs:ecs:REGION:ACCOUNT:disk/DISK",
    "DeleteSnapshot": "acs:ecs:REGION:ACCOUNT:snapshot/*",
    "DeleteSnapshotGroup": "acs:ecs:REGION:ACCOUNT:snapshotgroup/*",
    "ModifySnapshotAttribute": "acs:ecs:REGION:ACCOUNT:snapshot/*",
    "TagResources": "acs:ecs:REGION:ACCOUNT:snapshot/*",
}
CREATES = ("CreateSnapshot", "CreateSnapshotGroup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What a code means.

    Args:
        message: says what is wrong; ``{action}`` and ``{resources}`` are filled in.
        hint: what to do, with the same fields.
    """

    error: type[ApiFault]
    message: str
    hint: str


def _rows(
    error: type[ApiFault], message: str, hint: str, *, codes: tuple[str, ...]
) -> dict[str, Row]:
    return dict.fromkeys(codes, Row(error=error, message=message, hint=hint))


# A code ending in ``*`` stands for all that begin so; the longest that fits counts.
TABLE: dict[str, Row] = {
    # Who asks.
    **_rows(
        PermissionRefused,
        "the credentials may not do {action}",
        'add a statement to the RAM policy of the role or user: "Effect": "Allow", '
        '"Action": "ecs:{action}", on {resources}; "snap-self doctor" shows whose keys are used',
        codes=(
            *("Forbidden.RAM", "Forbidden.Unauthorized", "Forbidden.SubUser", "NoPermission*"),
            *("PermissionDenied.*", "InvalidOperation.Unauthorized", "InvalidAction.Unauthorized"),
        ),
    ),
    **_rows(
        CredentialsRefused,
        "the access key is not known to the cloud or has been disabled",
        'run "snap-self doctor" to see where the key comes from, then give a valid one there',
        codes=("InvalidAccessKeyId.*", "Forbidden.AccessKeyDisabled", "InvalidAccessKeyId"),
    ),
    **_rows(
        CredentialsRefused,
        "the access key's secret is wrong",
        'run "snap-self doctor" to see where the key comes from, then mend the secret there',
        codes=("SignatureDoesNotMatch", "IncompleteSignature", "InvalidAccessKeySecret"),
    ),
    **_rows(
        CredentialsRefused,
        "the security token has expired, and renewing it did not help",
        'run "snap-self doctor" to see where the token comes from; a token from the environment '
        "or a file is renewed by whoever put it there, an instance role's renews itself",
        codes=("InvalidSecurityToken.Expired",),
    ),
    **_rows(
        CredentialsRefused,
        "the security token is missing or does not belong to the access key",
        'run "snap-self doctor" to see where both come from; set key, secret and token together',
        codes=("InvalidSecurityToken*", "MissingSecurityToken"),
    ),
    **_rows(
        CredentialsRefused,
        "the request's time is not accepted: this machine's clock is more than 15 minutes wrong",
        "set the clock (chronyc tracking, timedatectl), then repeat the command",
        codes=("InvalidTimeStamp.*", "IllegalTimestamp"),
    ),
    # The account.
    **_rows(
        PreconditionRefused,
        "the account's snapshot service is not activated",
        "activate it once in the ECS console (Snapshots), which costs nothing by itself",
        codes=("InvalidAccountStatus.SnapshotServiceUnavailable",),
    ),
    **_rows(
        PreconditionRefused,
        "the account has no balance or payments are overdue",
        "settle the account's bills, then repeat the command",
        codes=("InvalidAccountStatus.NotEnoughBalance", "DiskInArrears", "InvalidAccountStatus*"),
    ),
    **_rows(
        PreconditionRefused,
        "the account's risk control stopped {action}",
        "sign in to the console with the account's owner and follow the notice there",
        codes=("Forbidden.RiskControl", "OperationDenied.RiskIssue"),
    ),
    # The disk.
    **_rows(
        DiskNotReady,
        "another snapshot of the disk is being made",
        'wait until it is done ("snap-self list", or an automatic snapshot policy in the console)',
        codes=(
            *("IncorrectDiskStatus.CreatingSnapshot", "DISK_HAS_CREATING_SNAPSHOT"),
            *("QuotaExceed.ConcurrentSnapshotQuota", "IncorrectDiskStatus.HasUnfinishedSnapshot"),
            *("IncorrectDiskStatus.TooManyCreatingSnapshots", "DiskCreatingSnapshot"),
            "InvalidOperation.RelatedSnapshotNotFinished",
        ),
    ),
    **_rows(
        DiskNotReady,
        "the disk has never been attached or used, so there is nothing to snapshot",
        "leave it out with --exclude",
        codes=("IncorrectDiskStatus.NeverAttached", "IncorrectDiskStatus.NeverUsed"),
    ),
    **_rows(
        DiskNotReady,
        "the disk is in a state in which the cloud makes no snapshot of it",
        "wait until the console shows it as In Use or Available, then repeat the command",
        codes=("IncorrectDiskStatus*", "IncorrectVolumeStatus"),
    ),
    **_rows(
        PreconditionRefused,
        "the cloud makes no snapshots of this kind of disk",
        "leave the disk out with --exclude",
        codes=("DiskId.ValueNotSupported", "IncorrectDiskType.NotSupport"),
    ),
    **_rows(
        PreconditionRefused,
        "the key that encrypts the disk cannot be used",
        "enable the key in KMS and allow ECS to use it",
        codes=("InvalidParameter.KMSKeyId.*", "InvalidKMSKeyId.NotFound"),
    ),
    **_rows(
        PreconditionRefused,
        "a disk is attached to several instances and cannot be in a group",
        "leave the disk out with --exclude",
        codes=("InvalidOperation.MultiAttachDisk", "InvalidDisk.ShareVolume"),
    ),
    # The instance.
    **_rows(
        InstanceNotReady,
        "the instance is neither running nor stopped, and the cloud makes no snapshots meanwhile",
        "wait until the console shows it as Running, then repeat the command",
        codes=("IncorrectInstanceStatus*", "HibernationConfigured.*"),
    ),
    **_rows(
        InstanceNotReady,
        "the instance is locked",
        "the console's notices say why (security, payment) and how the lock is ended",
        codes=("InstanceLockedForSecurity", "InstanceExpiredOrInArrears"),
    ),
    # Limits.
    **_rows(
        QuotaReached,
        "the disk has as many snapshots as are allowed",
        'delete some that are no longer needed ("snap-self list", "snap-self prune")',
        codes=("QuotaExceed.Snapshot", "QuotaExceed.SnapshotQuota"),
    ),
    **_rows(
        QuotaReached,
        "a limit of tags is reached",
        "give fewer --tag options, or remove tags in the console",
        codes=("QuotaExceed.Tags", "OperationDenied.QuotaExceed", "NumberExceed.Tags"),
    ),
    **_rows(
        QuotaReached,
        "a limit of the account is reached",
        "see the Quota Center in the console",
        codes=("QuotaExceed*", "NumberExceed.ResourceIds"),
    ),
    # The snapshot.
    **_rows(
        PreconditionRefused,
        "a disk was made from the snapshot, so it is not deleted",
        "keep it as long as the disk, or delete it in the console with force",
        codes=("SnapshotCreatedDisk",),
    ),
    **_rows(
        PreconditionRefused,
        "a custom image uses the snapshot, so it cannot be deleted",
        "delete the image first",
        codes=("SnapshotCreatedImage",),
    ),
    **_rows(
        PreconditionRefused,
        "the snapshot is still being made",
        "wait until it is accomplished",
        codes=("InvalidSnapshotId.NotReady", "InvalidSnapshot.NotReady"),
    ),
    **_rows(
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
    **_rows(
        CloudRefused,
        "{action} is not possible for this category of disk",
        "leave the disk out with --exclude if it stays so for a single snapshot",
        codes=("DiskCategory.OperationNotSupported", "InvalidDisk.DiskCategoryInconsistent"),
    ),
    **_rows(
        CloudRefused,
        "the disks are too many or too large for one snapshot-consistent group",
        "choose fewer disks with --disk, --path or --exclude",
        codes=("NumberExceed.TooManyDisks", "CapacityExceed.TooManyDisks"),
    ),
    **_rows(
        CloudRefused,
        "snapshot-consistent groups are not available for these disks here",
        "snapshot the disks one by one with --disk",
        codes=(
            *("InvalidRegion.NotSupport", "UserNotInTheWhiteList", "InvalidDiskIds.NotInSameZone"),
        ),
    ),
    # The call.
    **_rows(
        CloudRefused,
        "the snapshot's retention can only be made longer",
        "give a longer --keep",
        codes=("InvalidOperation.DecreaseRetentionDaysUnsupported",),
    ),
    **_rows(
        CloudRefused,
        "the client token of this run was used with other parameters",
        'look at "snap-self list" for what the first try made, then start a new run',
        codes=("IdempotentParameterMismatch",),
    ),
    **_rows(
        CloudRefused,
        "an earlier try of the same call is still at work in the cloud",
        "repeat the command in a minute; it finds what was made and makes nothing twice",
        codes=("IdempotentProcessing", "LastTokenProcessing"),
    ),
    **_rows(
        CloudRefused,
        "another operation on the same resource is under way",
        "repeat the command when it is done",
        codes=("OperationConflict*", "Operation.Conflict"),
    ),
    **_rows(
        CloudRefused,
        "the cloud does not know a disk, instance or snapshot that {action} named",
        "check that it was not released meanwhile and that region and account are the right ones",
        codes=(
            *("InvalidDiskId.NotFound", "InvalidInstanceId.NotFound", "InvalidSnapshotId.NotFound"),
            *("InvalidVolumeId.NotFound", "InvalidRegionId.NotFound", "InvalidRegion.NotFound"),
            *("InvalidResourceId.NotFound", "InvalidSnapshotGroupId.NotFound"),
        ),
    ),
    **_rows(
        CloudThrottled,
        "too many {action} calls are made in this account and region",
        "repeat the command in a minute; the limit is shared with the console and other programs",
        codes=("Throttling", "Throttling.*"),
    ),
    **_rows(
        CloudRefused,
        "the cloud kept failing inside while doing {action}",
        "repeat the command later; status.alibabacloud.com shows known disturbances",
        codes=("InternalError", "UnknownError", "ServiceUnavailable*"),
    ),
}
MADE_ONCE = (
    "; the snapshot may have been made all the same: the next snap-self command finds it, "
    "and no second one is made"
)


def explain(
    failure: RpcFailed, *, action: str, trouble: Trouble, maybe_done: bool
) -> SnapSelfError:
    """Return the error that a call ends with.

    Args:
        trouble: what the retry policy made of the last failure.
        maybe_done: one of the tries may have taken effect.
    """
    open_end = MADE_ONCE if maybe_done and action in CREATES else ""
    if failure.code:
        return _refused(failure, action, open_end)
    if trouble is Trouble.FINAL and failure.http_status:
        return CloudAnswerUnclear(
            f"{action}: {failure.message}",
            hint="something between this machine and the cloud answers in its place: check "
            f"gateways and the configured endpoint{open_end}",
        )
    if trouble is Trouble.THROTTLED:
        return _refused(_throttled(failure), action, open_end)
    return CloudUnreachable(
        f"{action} got no answer: {failure.message}",
        hint=f"check the network, DNS and the security group's outbound rules{open_end}"
        if not failure.lasting
        else f"check the configured endpoint and the machine's CA certificates{open_end}",
        maybe_done=maybe_done,
    )


def retry_text(failure: RpcFailed, *, action: str, pause_s: float) -> str:
    """Return a sentence for whoever watches: what failed and when it is tried again."""
    why = failure.code or failure.message
    when = f"in {pause_s:.1f} s" if pause_s else "at once"
    return f"{action}: {why}; trying again {when}"


def find(code: str) -> Row | None:
    """Return what a code means, None for one that the table does not have."""
    if code in TABLE:
        return TABLE[code]
    fitting = [key for key in TABLE if key.endswith("*") and code.startswith(key[:-1])]
    return TABLE[max(fitting, key=len)] if fitting else None


def _refused(failure: RpcFailed, action: str, open_end: str) -> ApiFault:
    row = find(failure.code)
    api_text = f"{failure.code}: {failure.message}" if failure.message else failure.code
    if row is None:
        request = f" (request {failure.request_id})" if failure.request_id else ""
        return CloudRefused(
            f"the cloud refused {action} with {api_text}{request}",
            hint=f"Alibaba Cloud support can look up the request id{open_end}",
            api_code=failure.code,
            request_id=failure.request_id,
        )
    return row.error(
        f"{_filled(row.message, action)} ({failure.code})",
        hint=_filled(row.hint, action) + open_end,
        details=f"{action}: {api_text}; request id {failure.request_id or 'unknown'}",
        api_code=failure.code,
        request_id=failure.request_id,
    )


def _filled(text: str, action: str) -> str:
    return text.replace("{action}", action).replace("{resources}", RESOURCES.get(action, "*"))


def _throttled(failure: RpcFailed) -> RpcFailed:
    return RpcFailed(code="Throttling", http_status=failure.http_status, message=failure.message)

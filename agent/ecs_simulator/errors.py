"""Refusals of the API: code, HTTP status and text, from the operations' error tables.

The table's odd spellings (``MissingParamter``, ``InvalidParamter``) are the API's own.
Source: error code tables of the ECS API 2014-05-26 and its common error codes.
"""

from __future__ import annotations

from collections.abc import Mapping


class ApiError(Exception):
    """A request the API refuses.

    Args:
        code: the API's ``Code``.
        message: its ``Message``; the table's text if empty.
        status: HTTP status; the table's if None.
        extra: more top-level fields of the body.
        headers: more headers of the answer.
    """

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        status: int | None = None,
        extra: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.status = status
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})

    def status_for(self, action: str) -> int:
        """Return the HTTP status of this code when ``action`` gives it."""
        if self.status is not None:
            return self.status
        return status_of(self.code, action)

    def text(self) -> str:
        return self.message or MESSAGES.get(self.code, "The specified request is invalid.")


def status_of(code: str, action: str) -> int:
    """Return the documented HTTP status; some codes differ between operations."""
    own = BY_ACTION.get((action, code))
    if own is not None:
        return own
    if code in STATUS:
        return STATUS[code]
    if action in TAG_ACTIONS and code.startswith("MissingParameter"):
        return 404
    return 404 if code.endswith(".NotFound") else 400


TAG_ACTIONS = frozenset({"TagResources", "UntagResources", "ListTagResources"})

STATUS: dict[str, int] = {
    "InvalidDescription.Malformed": 404,
    "InvalidRegion.NotFound": 400,
    "InvalidParameter.KMSKeyId.NotFound": 400,
    "InvalidKMSKeyId.NotFound": 404,
    "InvalidSnapshot.NotFound": 400,
    "InvalidDisk.InUse": 404,
    "InvalidDisk.AlreadyDetached": 404,
    "InvalidFilterValue": 404,
    "InvalidUsage": 404,
    "InvalidSourceDiskType": 404,
    "InvalidDiskIds.ValueNotSupported": 404,
    "InternalError": 500,
    "InvalidAction.NotFound": 400,
    "User.NoPermission": 401,
    "EntityNotExists.Template": 404,
    "EntityNotExists.Execution": 404,
    "ServiceUnavailable": 503,
} | dict.fromkeys(
    (
        "IdempotentParameterMismatch",
        "IdempotentProcessing",
        "LastTokenProcessing",
        "InvalidClientToken.Malformed",
        "Forbidden.RAM",
        "NoPermission",
        "IncorrectDiskStatus.CreatingSnapshot",
        "IncorrectDiskStatus.TooManyCreatingSnapshots",
        "IncorrectDiskStatus.NeverAttached",
        "IncorrectDiskStatus.HasUnfinishedSnapshot",
        "IncorrectDiskStatus.Initializing",
        "IncorrectDiskStatus",
        "QuotaExceed.Snapshot",
        "QuotaExceed.ConcurrentSnapshotQuota",
        "QuotaExceed.Tags",
        "InstanceLockedForSecurity",
        "InstanceExpiredOrInArrears",
        "DiskInArrears",
        "DiskId.ValueNotSupported",
        "InvalidParameter.KMSKeyId.CMKNotEnabled",
        "InvalidParameter.KMSKeyId.CMKUnauthorized",
        "InvalidParameter.KMSKeyId.KMSUnauthorized",
        "InvalidParameter.AllEmpty",
        "InvalidPayMethod",
        "InvalidAccountStatus.NotEnoughBalance",
        "QuotaExceed.PostPaidDisk",
        "InvalidInstanceType.NotSupportDiskCategory",
        "ChargeTypeViolation",
        "InvalidDevice.InUse",
        "DeleteWithInstance.Conflict",
        "DiskError",
        "InvalidOperation.CanNotAttachMultiAttachDiskAsSystemDisk",
        "InvalidOperation.DeletionProtection",
        "InvalidSnapshotCategory.Malformed",
        "InvalidCategoryAndInstantAccess.Malformed",
        "InvalidInstantAccessRetentionDays.Malformed",
        "InvalidAccountStatus.SnapshotServiceUnavailable",
        "NumberExceed.TooManyDisks",
        "CapacityExceed.TooManyDisks",
        "InvalidOperation.MultiAttachDisk",
        "InvalidDisk.DiskCategoryInconsistent",
        "InvalidInstance.NoDisk",
        "InvalidSnapshotIds.Malformed",
        "InvalidDiskIds.Malformed",
        "InvalidSnapshotGroupId.MustBeOne",
        "InvalidParameter.MultiAttach",
        "SnapshotCreatedDisk",
        "SnapshotCreatedImage",
        "InvalidSnapshotId.NotReady",
        "InvalidSnapshotId.NotDataDiskSnapshot",
        "InvalidDiskSize.TooSmall",
        "InvalidDiskSize.NotSupported",
        "InvalidDiskCategory.NotSupported",
        "InvalidOperation.CreateFromSnapshotUnsupported",
        "InstanceDiskLimitExceeded",
        "ResourcesNotInSameZone",
        "DiskNotPortable",
        "DependencyViolation",
        "DiskTypeViolation",
        "DiskCreatingSnapshot",
        "DiskStillAttached",
        "InvalidParameter.Mismatch",
        "InvalidOperation.DiskResetInProgress",
        "OperationDenied",
        "InvalidOperation.DefaultFreeSnapshotNotSupport",
        "InvalidResourceId.NotSupported",
        "TagKey.Duplication",
        "Throttling",
        "Operation.Conflict",
        "InvalidOperation.Unauthorized",
    ),
    403,
)

BY_ACTION: dict[tuple[str, str], int] = {
    ("CreateSnapshot", "IncorrectInstanceStatus"): 400,
    ("CreateSnapshotGroup", "IncorrectInstanceStatus"): 400,
    ("AttachDisk", "IncorrectInstanceStatus"): 400,
    ("DetachDisk", "IncorrectInstanceStatus"): 403,
    ("CreateDisk", "InvalidParameter.KMSKeyId.NotFound"): 404,
    ("ResetDisk", "IncorrectInstanceStatus"): 403,
    ("ResetDisks", "IncorrectInstanceStatus"): 403,
    ("StopInstance", "IncorrectInstanceStatus"): 403,
    ("StartInstance", "IncorrectInstanceStatus"): 403,
    ("RebootInstance", "IncorrectInstanceStatus"): 403,
    ("DeleteInstance", "IncorrectInstanceStatus"): 403,
    ("ModifyInstanceAttribute", "IncorrectInstanceStatus"): 403,
    ("ReplaceSystemDisk", "IncorrectInstanceStatus"): 403,
    ("CreateDisk", "InvalidDescription.Malformed"): 400,
    ("ModifyInstanceAttribute", "InvalidDescription.Malformed"): 400,
    ("DeleteSnapshot", "IncorrectDiskStatus.CreatingSnapshot"): 400,
    ("ModifySnapshotAttribute", "InvalidSnapshotId.NotReady"): 400,
    ("ModifySnapshotAttribute", "IncorrectDiskStatus.CreatingSnapshot"): 400,
    ("DescribeSnapshotGroups", "InvalidStatus.ValueNotSupported"): 403,
    ("TagResources", "ServiceUnavailable"): 500,
    ("AssumeRole", "NoPermission"): 403,
}

MESSAGES: dict[str, str] = {
    "InvalidAction.NotFound": "Specified api is not found, please check your url and method.",
    "InternalError": "The request processing has failed due to some unknown error.",
    "InvalidAccessKeyId.NotFound": "Specified access key is not found.",
    "InvalidAccessKeyId.Inactive": "Specified access key is disabled.",
    "InvalidSecurityToken.Expired": "Specified SecurityToken is expired.",
    "InvalidSecurityToken.Malformed": "Specified SecurityToken is malformed.",
    "InvalidSecurityToken.MismatchWithAccessKey": (
        "Specified SecurityToken mismatch with the AccessKey."
    ),
    "MissingSecurityToken": "SecurityToken is mandatory for this action.",
    "SignatureNonceUsed": "Specified signature nonce was used already.",
    "InvalidTimeStamp.Expired": "Specified time stamp or date value is expired.",
    "InvalidTimeStamp.Format": "Specified time stamp or date value is not well formatted.",
    "IllegalTimestamp": "The input parameter Timestamp that is mandatory is not supplied.",
    "IncompleteSignature": "The request signature does not conform to Aliyun standards.",
    "Throttling": "Request was denied due to request throttling.",
    "Throttling.User": "Request was denied due to user flow control.",
    "Throttling.Api": "Request was denied due to api flow control.",
    "IdempotentParameterMismatch": (
        "The specified parameter has changed while using an already used clientToken."
    ),
    "IdempotentProcessing": "The previous idempotent request(s) is still processing.",
    "InvalidClientToken.Malformed": "The specified parameter clientToken is not valid.",
    "DryRunOperation": "Request validation has been passed with DryRun flag set.",
    "Forbidden.RAM": "User not authorized to operate on the specified resource.",
    "InvalidDiskId.NotFound": "The specified disk does not exist.",
    "InvalidSnapshotId.NotFound": "The specified snapshot does not exist.",
    "InvalidInstanceId.NotFound": "The specified instance does not exist.",
    "InvalidRegionId.NotFound": "The specified region does not exist.",
    "IncorrectInstanceStatus": (
        "The current status of the resource does not support this operation."
    ),
    "IncorrectDiskStatus": "The current disk status does not support this operation.",
    "IncorrectDiskStatus.CreatingSnapshot": "A previous snapshot creation is in process.",
    "OperationConflict.DisksAttachingParallellyExceed": (
        "The number of disks attaching parallelly exceeds the limit."
    ),
    "DisksDetachingOnEcsExceeded": (
        "The number of disks detaching on the instance exceeds the limit."
    ),
    "QuotaExceed.Snapshot": "The snapshot quota exceeds.",
    "DiskCategory.OperationNotSupported": "The specified disk category does not support this.",
    "SnapshotCreatedDisk": "The snapshot has been used to create disk.",
    "SnapshotCreatedImage": "The snapshot has been used to create image.",
    "InvalidSnapshotName.Malformed": "The specified SnapshotName is wrongly formed.",
    "InvalidDescription.Malformed": "The specified description is wrongly formed.",
    "InvalidSnapshotIds.Malformed": "The amount of specified snapshot Ids exceeds the limit.",
    "NoAttributeToModify": "No attribute to be modified in this request.",
    "InvalidParameter": 'The specified parameter "Action or Version" is not valid.',
    "MissingParamter.InstanceId": "The parameter InstanceId or DiskId is missing.",
}

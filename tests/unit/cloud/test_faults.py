"""What a refusal means to the user."""

from collections.abc import Sequence

import pytest

from fakes.rpc import no_answer, refusal
from snap_self import errors
from snap_self.cloud.codes import BY_ACTION, GROUP_NOT_HERE, TABLE, find
from snap_self.cloud.faults import explain, retry_text
from snap_self.cloud.faults import refusal as refusal_of
from snap_self.cloud.retry import Trouble, classify
from snap_self.errors import SnapSelfError
from snap_self.model.actions import Holder
from snap_self.model.endpoint import NoWay
from snap_self.model.ids import DiskId
from snap_self.ports import RpcFailed

KINDS = [
    ("Forbidden.RAM", errors.PermissionRefused),
    ("NoPermission.Tag", errors.PermissionRefused),
    ("InvalidAction.Unauthorized", errors.PermissionRefused),
    ("InvalidAccessKeyId.NotFound", errors.CredentialsRefused),
    ("InvalidAccessKeyId.Inactive", errors.CredentialsRefused),
    ("Forbidden.AccessKeyDisabled", errors.CredentialsRefused),
    ("SignatureDoesNotMatch", errors.CredentialsRefused),
    ("InvalidSecurityToken.Expired", errors.CredentialsRefused),
    ("InvalidSecurityToken.Malformed", errors.CredentialsRefused),
    ("InvalidTimeStamp.Expired", errors.CredentialsRefused),
    ("InvalidAccountStatus.SnapshotServiceUnavailable", errors.PreconditionRefused),
    ("InvalidAccountStatus.NotEnoughBalance", errors.PreconditionRefused),
    ("IncorrectInstanceStatus", errors.InstanceNotReady),
    ("InstanceLockedForSecurity", errors.InstanceNotReady),
    ("IncorrectDiskStatus", errors.DiskNotReady),
    ("IncorrectDiskStatus.Transferring", errors.DiskNotReady),
    ("IncorrectDiskStatus.CreatingSnapshot", errors.DiskNotReady),
    ("DISK_HAS_CREATING_SNAPSHOT", errors.DiskNotReady),
    ("QuotaExceed.ConcurrentSnapshotQuota", errors.DiskNotReady),
    ("QuotaExceed.Snapshot", errors.QuotaReached),
    ("QuotaExceed.SnapshotQuota", errors.QuotaReached),
    ("QuotaExceed.SomethingNew", errors.QuotaReached),
    ("SnapshotCreatedImage", errors.PreconditionRefused),
    ("IdempotentParameterMismatch", errors.CloudRefused),
    ("Throttling.User", errors.CloudThrottled),
    ("InternalError", errors.CloudRefused),
    ("Brand.New", errors.CloudRefused),
]
DISKS = (DiskId("d-one"), DiskId("d-two"))
# The codes of the two pages, in their order. Source: ECS API reference, CreateSnapshot (January
# 2025) and CreateSnapshotGroup (January 2026), error codes.
BOTH_PAGES = (
    *("InvalidSnapshotName.Malformed", "IncorrectInstanceStatus", "Duplicate.TagKey"),
    *("InvalidTagKey.Malformed", "InvalidTagValue.Malformed", "InvalidRetentionDays.Malformed"),
    *("DiskCategory.OperationNotSupported", "IncorrectDiskStatus.CreatingSnapshot"),
    *("InstanceLockedForSecurity", "IncorrectDiskStatus.NeverAttached", "QuotaExceed.Snapshot"),
    *("IncorrectDiskStatus.NeverUsed", "CreateSnapshot.Failed", "DiskInArrears"),
    *("DiskId.ValueNotSupported", "IncorrectDiskStatus", "InvalidAccountStatus.NotEnoughBalance"),
    *("InvalidAccountStatus.SnapshotServiceUnavailable", "IncorrectVolumeStatus"),
    *("IdempotentParameterMismatch", "IncorrectDiskStatus.Invalid", "IncorrectDiskType.NotSupport"),
    *("IncorrectDiskStatus.Transferring", "InvalidParameter.KMSKeyId.CMKNotEnabled"),
    *("InvalidParameter.KMSKeyId.CMKUnauthorized", "InvalidParameter.KMSKeyId.KMSUnauthorized"),
    *("IdempotentProcessing", "InvalidSnapshotCategory.Malformed"),
    *("InvalidRegion.NotSupportSnapshotInstantAccessRegion", "InvalidDiskId.NotFound"),
    *("InvalidCategoryAndInstantAccess.Malformed", "QuotaExceed.ConcurrentSnapshotQuota"),
    *("InvalidParameter.UnauthorizedStorageLocationArn", "InvalidDescription.Malformed"),
    *("InvalidInstanceId.NotFound", "InvalidVolumeId.NotFound", "InvalidResourceGroup.NotFound"),
    "InternalError",
)
PAGES = {
    "CreateSnapshot": (
        *BOTH_PAGES,
        *("InvalidParameter.KMSKeyId.NotFound", "Throttling", "InvalidAction.Unauthorized"),
        *("DISK_HAS_CREATING_SNAPSHOT", "HibernationConfigured.InstanceOperationForbidden"),
        *("QuotaExceed.SnapshotQuota", "InvalidInstantAccessRetentionDays.Malformed"),
        *("CloudBoxNotSupportSnapshotWithInstantAccess", "InvalidClientToken.Malformed"),
        "InvalidOperation.UnfinishedEncryptedSnapshotCopy",
    ),
    "CreateSnapshotGroup": (
        *BOTH_PAGES,
        *("InvalidDiskIds.NotInSameZone", "MissingParamter.InstanceId", "InvalidParameter.Name"),
        *("InvalidParam.ExcludeDiskIdsAndDiskIds.Conflict", "InvalidParameter.Description"),
        *("InvalidOperation.Unauthorized", "IncorrectDiskStatus.TooManyCreatingSnapshots"),
        *("InvalidRegion.NotSupport", "UserNotInTheWhiteList", "InvalidInstance.NoDisk"),
        *("NumberExceed.TooManyDisks", "CapacityExceed.TooManyDisks"),
        *("InvalidOperation.MultiAttachDisk", "InvalidDisk.DiskCategoryInconsistent"),
        *("InvalidDisk.ShareVolume", "InvalidOperation.SnapshotStorageLocationUnsupported"),
        *("InvalidRegionId.NotFound", "InvalidKMSKeyId.NotFound"),
    ),
}
ON_A_PAGE = [(action, code) for action, codes in PAGES.items() for code in codes]
# What the pages say of codes that were taken for something else: in words, and with which status.
MEANINGS = [
    ("CreateSnapshot", "IncorrectDiskStatus.Invalid", 7, ["restart the instance"]),
    ("CreateSnapshotGroup", "IncorrectDiskStatus.Invalid", 7, ["restart the instance"]),
    ("CreateSnapshot", "IncorrectDiskStatus.Transferring", 7, ["migrated"]),
    ("CreateSnapshot", "IncorrectDiskStatus", 7, ["In Use or Available", "overdue"]),
    ("CreateSnapshot", "HibernationConfigured.InstanceOperationForbidden", 7,
     ["hibernation", "waiting does not help"]),
    ("CreateSnapshot", "QuotaExceed.SnapshotQuota", 7, ["reseller", "channel partner"]),
    ("CreateSnapshot", "QuotaExceed.Snapshot", 7, ["prune"]),
    ("CreateSnapshot", "DiskCategory.OperationNotSupported", 7, ["category", "--exclude"]),
    ("CreateSnapshotGroup", "DiskCategory.OperationNotSupported", 9, ["category", "encrypted"]),
    ("CreateSnapshot", "InvalidOperation.UnfinishedEncryptedSnapshotCopy", 7, ["copied", "wait"]),
    ("CreateSnapshot", "CreateSnapshot.Failed", 7, ["wait a minute", "repeat"]),
    ("CreateSnapshotGroup", "CreateSnapshot.Failed", 7, ["wait a minute", "repeat"]),
    ("CreateSnapshotGroup", "InvalidInstance.NoDisk", 7, ["no disk is attached"]),
    ("CreateSnapshotGroup", "InvalidOperation.SnapshotStorageLocationUnsupported", 7,
     ["CloudBox", "--exclude"]),
    ("CreateSnapshot", "CloudBoxNotSupportSnapshotWithInstantAccess", 7, ["CloudBox"]),
    ("CreateSnapshot", "InvalidParameter.UnauthorizedStorageLocationArn", 5, ["storage location"]),
    ("CreateSnapshot", "Duplicate.TagKey", 9, ["--tag"]),
    ("CreateSnapshot", "InvalidSnapshotName.Malformed", 9, ["--name"]),
    ("CreateSnapshotGroup", "InvalidParameter.Name", 9, ["--name"]),
    ("CreateSnapshot", "InvalidDescription.Malformed", 9, ["--description"]),
    ("CreateSnapshot", "InvalidRetentionDays.Malformed", 9, ["--keep"]),
    ("CreateSnapshot", "InvalidParameter.KMSKeyId.CMKNotEnabled", 7, ["enable the key"]),
    ("CreateSnapshot", "InvalidParameter.KMSKeyId.CMKUnauthorized", 7, ["tag"]),
    ("CreateSnapshot", "InvalidParameter.KMSKeyId.KMSUnauthorized", 7, ["AliyunECSDiskEncrypt"]),
    ("CreateSnapshot", "InvalidAccountStatus.NotEnoughBalance", 7, ["100 yuan"]),
    ("CreateSnapshot", "DiskInArrears", 7, ["overdue"]),
    ("DescribeDisks", "OperationDenied.NoPermission", 5, ["control policy", "no statement"]),
    ("DescribeDisks", "Forbidden", 5, ["RAM policy"]),
    ("CreateSnapshot", "InvalidAction.Unauthorized", 5, ["RAM policy"]),
    ("CreateSnapshotGroup", "InvalidOperation.Unauthorized", 5, ["RAM policy"]),
    ("ModifySnapshotAttribute", "InvalidOperation.DecreaseRetentionDaysUnsupported", 9, ["longer"]),
]  # fmt: skip


def explained(
    failure: RpcFailed,
    action: str = "CreateSnapshot",
    *,
    maybe_done: bool = False,
    about: Sequence[DiskId] = (),
) -> SnapSelfError:
    trouble = classify(failure)
    return explain(failure, action=action, trouble=trouble, maybe_done=maybe_done, about=about)


@pytest.mark.parametrize(("action", "code"), ON_A_PAGE)
def test_explain_when_a_code_stands_on_the_operation_s_page_then_the_table_has_it(
    action: str, code: str
) -> None:
    assert find(code, action) is not None
    assert "support" not in explained(refusal(code), action).hint or code == "CreateSnapshot.Failed"


@pytest.mark.parametrize(
    ("action", "code", "status", "words"), MEANINGS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_explain_when_a_code_comes_then_says_what_the_page_says(
    action: str, code: str, status: int, words: list[str]
) -> None:
    error = explained(refusal(code), action)
    assert error.exit_status == status
    for word in words:
        assert word in f"{error.message} {error.hint}"


def test_explain_when_only_the_message_says_that_the_token_expired_then_says_so_too() -> None:
    text = 'The specified parameter "SecurityToken.Expired" is not valid.'
    error = explained(refusal("InvalidParameter", 400, text))
    assert isinstance(error, errors.CredentialsRefused)
    assert "expired" in error.message


@pytest.mark.parametrize(
    "code", ["QuotaExceed.ConcurrentSnapshotQuota", "Forbidden.RAM", "Brand.New"]
)
@pytest.mark.parametrize(
    ("about", "said", "shown", "hidden"),
    [
        (DISKS[:1], "No.", ["d-one"], ["d-two"]),
        (DISKS, "No.", ["d-one, d-two"], []),
        (DISKS, "The disk d-two has too many.", ["d-two"], ["d-one"]),
    ],
)
def test_explain_when_a_call_is_about_disks_then_names_them(
    code: str, about: Sequence[DiskId], said: str, shown: list[str], hidden: list[str]
) -> None:
    message = explained(refusal(code, message=said), about=about).message
    for word in shown:
        assert word in message
    for word in hidden:
        assert word not in message


@pytest.mark.parametrize(
    ("code", "text", "about", "message"),
    [
        ("Brand.New", "", (), "the cloud refused CreateSnapshot (Brand.New; request id REQ-1)"),
        (
            "Brand.New",
            "No.",
            DISKS[:1],
            "the cloud refused CreateSnapshot for disk d-one: No. (Brand.New; request id REQ-1)",
        ),
        (
            "QuotaExceed.ConcurrentSnapshotQuota",
            "No.",
            DISKS[:1],
            "another snapshot of disk d-one is being made (QuotaExceed.ConcurrentSnapshotQuota)",
        ),
        (
            "Forbidden.RAM",
            "No.",
            DISKS,
            "the credentials may not do CreateSnapshot for disks d-one, d-two (Forbidden.RAM)",
        ),
    ],
)
def test_explain_when_the_cloud_refuses_then_each_thing_is_said_once(
    code: str, text: str, about: Sequence[DiskId], message: str
) -> None:
    assert explained(refusal(code, message=text), about=about).message == message


def test_explain_when_the_code_is_unknown_and_no_request_id_came_then_shows_none() -> None:
    failure = RpcFailed(code="Brand.New", http_status=400, message="No.")
    message = "the cloud refused CreateSnapshot: No. (Brand.New)"
    assert explained(failure).message == message


def test_explain_when_permission_lacks_then_names_action_resources_and_policy() -> None:
    error = explained(refusal("Forbidden.RAM"), "DescribeDisks")
    assert isinstance(error, errors.PermissionRefused)
    assert error.action == "ecs:DescribeDisks"
    assert "must allow ecs:DescribeDisks on *; `snap-self policy` prints" in error.hint


def test_explain_when_the_instance_is_known_then_no_placeholder_is_named() -> None:
    error = explain(
        refusal("Forbidden.RAM"),
        action="CreateSnapshotGroup",
        trouble=Trouble.FINAL,
        maybe_done=False,
        about=DISKS,
        holder=Holder(region="cn-x", account="42", instance_id="i-1", disks=("d-other",)),
    )
    wanted = ("instance/i-1", "disk/d-one", "disk/d-two", "snapshotgroup/*")
    assert " and ".join(f"acs:ecs:cn-x:42:{each}" for each in wanted) in error.hint


def test_explain_when_own_snapshots_alone_are_meant_then_the_condition_is_told() -> None:
    error = explain(
        refusal("Forbidden.RAM"),
        action="DeleteSnapshot",
        trouble=Trouble.FINAL,
        maybe_done=False,
        holder=Holder(region="cn-x", account="42", instance_id="i-1"),
    )
    assert "snapshot/*, where it is tagged snap-self-owner=i-1; " in error.hint
    assert "`snap-self policy --prune`" in error.hint


def test_explain_when_one_disk_is_meant_then_the_hint_leaves_out_that_one() -> None:
    error = explained(refusal("IncorrectDiskType.NotSupport"), about=DISKS[1:])
    assert "leave the disk out with --exclude d-two" in error.hint


def test_explain_when_several_disks_may_be_meant_then_the_hint_names_the_option() -> None:
    hint = explained(refusal("IncorrectDiskType.NotSupport"), about=DISKS).hint
    assert hint.endswith("leave the disk out with --exclude")


def test_explain_when_no_answer_came_about_disks_then_names_them() -> None:
    assert (
        "CreateSnapshot of disk d-one got no answer"
        in explained(no_answer(), about=DISKS[:1]).message
    )


@pytest.mark.parametrize("code", ["Forbidden.RAM", "CreateSnapshot.Failed", "Brand.New"])
def test_explain_when_the_cloud_refuses_then_its_own_words_are_kept(code: str) -> None:
    error = explained(refusal(code, message="In the cloud's words."))
    assert isinstance(error, errors.ApiFault)
    assert error.api_message == "In the cloud's words."
    assert error.said == f"{code}: In the cloud's words.; request id REQ-1"
    assert error.told.count("In the cloud's words.") == 1
    assert "REQ-1" in error.told


def test_refusal_inside_a_good_answer_when_explained_then_is_as_any_other() -> None:
    error = refusal_of(
        "SnapshotCreatedImage", "An image.", action="DeleteSnapshotGroup", request_id="REQ-2"
    )
    assert isinstance(error, errors.PreconditionRefused)
    assert error.said == "SnapshotCreatedImage: An image.; request id REQ-2"
    assert error.hint == explained(refusal("SnapshotCreatedImage"), "DeleteSnapshotGroup").hint


def test_refusal_inside_a_good_answer_when_its_message_tells_of_the_token_then_says_so() -> None:
    said = 'The specified parameter "SecurityToken.Expired" is not valid.'
    error = refusal_of("InvalidParameter", said, action="DeleteSnapshotGroup")
    assert isinstance(error, errors.CredentialsRefused)


def test_refusal_inside_a_good_answer_when_it_has_no_code_or_id_then_shows_none() -> None:
    error = refusal_of("", "An image.", action="DeleteSnapshotGroup", hint="Wait.")
    assert error.message == "the cloud refused DeleteSnapshotGroup: An image. (no code)"
    assert (error.hint, error.request_id) == ("Wait.", "")


@pytest.mark.parametrize(("code", "kind"), KINDS)
def test_explain_when_a_code_comes_then_is_of_its_kind(
    code: str, kind: type[SnapSelfError]
) -> None:
    error = explained(refusal(code))
    assert type(error) is kind
    assert isinstance(error, errors.ApiFault)
    assert (error.api_code, error.request_id) == (code, "REQ-1")


@pytest.mark.parametrize("code", sorted(GROUP_NOT_HERE))
def test_explain_when_only_the_group_is_impossible_then_stays_cloud_refused(code: str) -> None:
    assert type(explained(refusal(code), "CreateSnapshotGroup")) is errors.CloudRefused


def test_explain_when_permission_lacks_then_names_action_and_resources() -> None:
    hint = explained(refusal("Forbidden.RAM")).hint
    assert "must allow ecs:CreateSnapshot on " in hint
    assert "disk/DISK" in hint
    assert "snapshot/*" in hint


def test_explain_when_the_clock_is_wrong_then_hints_at_the_clock() -> None:
    assert "clock" in explained(refusal("InvalidTimeStamp.Expired", 400)).hint


def test_explain_when_another_snapshot_is_made_then_says_so() -> None:
    error = explained(refusal("IncorrectDiskStatus.CreatingSnapshot"))
    assert "another snapshot" in error.message


def test_explain_when_the_code_is_unknown_then_shows_code_text_and_request() -> None:
    message = explained(refusal("Brand.New", message="Some text.")).message
    assert all(part in message for part in ("CreateSnapshot", "Brand.New", "Some text.", "REQ-1"))


def test_explain_when_no_answer_came_then_is_unreachable_with_the_reason() -> None:
    error = explained(no_answer(), maybe_done=True)
    assert isinstance(error, errors.CloudUnreachable)
    assert error.message == "CreateSnapshot got no answer: ecs.example: no answer in time"
    assert error.maybe_done


@pytest.mark.parametrize("failure", [no_answer(), refusal("InternalError", 500)])
def test_explain_when_a_creation_may_have_happened_then_says_so(failure: RpcFailed) -> None:
    assert "may have been made" in explained(failure, maybe_done=True).hint


@pytest.mark.parametrize("code", ["QuotaExceed.PostPaidDisk", "Forbidden.RAM", "Brand.New"])
@pytest.mark.parametrize(
    ("action", "lost", "maybe_done"),
    [
        ("CreateDisk", True, True),
        ("CreateDisk", False, False),
        # The token would have named what an earlier try had made.
        ("CreateSnapshot", True, False),
    ],
)
def test_explain_when_a_disk_is_refused_after_a_lost_try_then_it_may_be_there(
    code: str, action: str, *, lost: bool, maybe_done: bool
) -> None:
    error = explained(refusal(code), action, maybe_done=lost)
    assert isinstance(error, errors.ApiFault)
    assert error.maybe_done is maybe_done


def test_explain_when_a_stranger_answers_a_creation_then_it_may_have_happened() -> None:
    error = explained(no_answer(status=403, way=NoWay.STRANGER), "CreateDisk", maybe_done=True)
    assert isinstance(error, errors.CloudAnswerUnclear)
    assert error.maybe_done


def test_explain_when_a_creation_was_never_sent_then_does_not_say_it_may_have_been() -> None:
    assert "may have been made" not in explained(no_answer(maybe_done=False)).hint


def test_explain_when_a_describe_got_no_answer_then_speaks_of_no_snapshot_made() -> None:
    hint = explained(no_answer(), "DescribeDisks", maybe_done=True).hint
    assert "may have been made" not in hint


@pytest.mark.parametrize(
    ("way", "mend"),
    [
        (NoWay.CERTIFICATE_UNKNOWN, "CA certificates"),
        (NoWay.CERTIFICATE_EARLY, "clock"),
        (NoWay.CERTIFICATE_EXPIRED, "clock"),
        (NoWay.CERTIFICATE_NAME, "DNS"),
        (NoWay.NAME, "DNS"),
        (NoWay.CONNECTION, "443"),
    ],
)
def test_explain_when_something_is_in_the_way_then_hints_at_its_mend(way: NoWay, mend: str) -> None:
    error = explained(no_answer(lasting=True, maybe_done=False, way=way))
    assert isinstance(error, errors.CloudUnreachable)
    assert mend in error.hint


def test_explain_when_another_user_listens_then_says_how_to_see_who() -> None:
    failure = no_answer(lasting=True, maybe_done=False)
    failure.way = NoWay.OTHER_USER
    assert explained(failure).hint.startswith("`ss -ltnp` shows what listens there")


def test_explain_when_a_portal_answers_then_is_answer_unclear() -> None:
    error = explained(no_answer(status=302, way=NoWay.STRANGER))
    assert type(error) is errors.CloudAnswerUnclear
    assert error.message == f"CreateSnapshot: {no_answer().message}"
    assert "check gateways" in error.hint


def test_explain_when_429_came_without_a_code_then_is_throttled() -> None:
    error = explained(no_answer(status=429))
    assert type(error) is errors.CloudThrottled
    assert error.api_code == "Throttling"


def test_explain_when_the_last_failure_can_be_retried_then_still_ends_in_an_error() -> None:
    error = explain(
        no_answer(), action="CreateSnapshot", trouble=Trouble.NO_ANSWER, maybe_done=True
    )
    assert error.exit_status is errors.ExitStatus.UNREACHABLE


def test_retry_text_when_told_then_says_what_failed_and_when_it_is_tried_again() -> None:
    text = retry_text(refusal("Throttling"), action="DescribeDisks", pause_s=1.25)
    assert text == "DescribeDisks: Throttling; trying again in 1.2 s"
    text = retry_text(refusal("Throttling"), action="DescribeDisks", pause_s=43.24, throttled=True)
    assert text == (
        "DescribeDisks: Throttling; the account's calls of this kind are used up until the "
        "limit's next window; trying again in 43.2 s"
    )
    text = retry_text(no_answer(), action="DescribeDisks", pause_s=0.0)
    assert text == "DescribeDisks: ecs.example: no answer in time; trying again at once"


def test_find_when_two_patterns_fit_then_the_longest_counts() -> None:
    assert find("QuotaExceed.Snapshot") is TABLE["QuotaExceed.Snapshot"]
    assert find("InvalidSecurityToken.Odd") is TABLE["InvalidSecurityToken*"]


@pytest.mark.parametrize("code", TABLE)
@pytest.mark.parametrize("about", [(), DISKS], ids=["about nothing", "about disks"])
@pytest.mark.parametrize("action", ["DescribeDisks", *BY_ACTION])
def test_table_when_filled_in_then_every_row_says_what_and_what_to_do(
    code: str, about: Sequence[DiskId], action: str
) -> None:
    error = explained(refusal(code), action, about=about)
    assert error.message
    assert error.hint
    assert "{" not in error.message + error.hint

"""What a refusal means to the user."""

import pytest

from fakes.rpc import no_answer, refusal
from snap_self import errors
from snap_self.cloud.faults import TABLE, explain, find
from snap_self.cloud.retry import Trouble, classify
from snap_self.errors import SnapSelfError
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
# A plan falls back to single snapshots on these, which it tells by class and code.
GROUP_ONLY = [
    "InvalidRegion.NotSupport",
    "UserNotInTheWhiteList",
    "NumberExceed.TooManyDisks",
    "CapacityExceed.TooManyDisks",
    "DiskCategory.OperationNotSupported",
    "InvalidDisk.DiskCategoryInconsistent",
    "InvalidDiskIds.NotInSameZone",
]


def explained(
    failure: RpcFailed, action: str = "CreateSnapshot", *, maybe_done: bool = False
) -> SnapSelfError:
    return explain(failure, action=action, trouble=classify(failure), maybe_done=maybe_done)


@pytest.mark.parametrize(("code", "kind"), KINDS)
def test_explain_when_a_code_comes_then_is_of_its_kind(
    code: str, kind: type[SnapSelfError]
) -> None:
    error = explained(refusal(code))
    assert type(error) is kind
    assert isinstance(error, errors.ApiFault)
    assert (error.api_code, error.request_id) == (code, "REQ-1")


@pytest.mark.parametrize("code", GROUP_ONLY)
def test_explain_when_only_the_group_is_impossible_then_stays_cloud_refused(code: str) -> None:
    assert type(explained(refusal(code), "CreateSnapshotGroup")) is errors.CloudRefused


def test_explain_when_permission_lacks_then_names_action_and_resources() -> None:
    hint = explained(refusal("Forbidden.RAM")).hint
    assert '"ecs:CreateSnapshot"' in hint
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
    assert "no answer in time" in error.message
    assert error.maybe_done


@pytest.mark.parametrize("failure", [no_answer(), refusal("InternalError", 500)])
def test_explain_when_a_creation_may_have_happened_then_says_so(failure: RpcFailed) -> None:
    assert "may have been made" in explained(failure, maybe_done=True).hint


def test_explain_when_a_creation_was_never_sent_then_does_not_say_it_may_have_been() -> None:
    assert "may have been made" not in explained(no_answer(maybe_done=False)).hint


def test_explain_when_a_describe_got_no_answer_then_speaks_of_no_snapshot_made() -> None:
    hint = explained(no_answer(), "DescribeDisks", maybe_done=True).hint
    assert "may have been made" not in hint


def test_explain_when_a_certificate_is_not_trusted_then_hints_at_certificates() -> None:
    error = explained(no_answer(lasting=True, maybe_done=False))
    assert isinstance(error, errors.CloudUnreachable)
    assert "CA certificates" in error.hint


def test_explain_when_a_portal_answers_then_is_answer_unclear() -> None:
    assert type(explained(no_answer(status=302))) is errors.CloudAnswerUnclear


def test_explain_when_429_came_without_a_code_then_is_throttled() -> None:
    assert type(explained(no_answer(status=429))) is errors.CloudThrottled


def test_explain_when_the_last_failure_can_be_retried_then_still_ends_in_an_error() -> None:
    error = explain(
        no_answer(), action="CreateSnapshot", trouble=Trouble.NO_ANSWER, maybe_done=True
    )
    assert error.exit_status is errors.ExitStatus.UNREACHABLE


def test_find_when_two_patterns_fit_then_the_longest_counts() -> None:
    assert find("QuotaExceed.Snapshot") is TABLE["QuotaExceed.Snapshot"]
    assert find("InvalidSecurityToken.Odd") is TABLE["InvalidSecurityToken*"]


@pytest.mark.parametrize("code", TABLE)
def test_table_when_filled_in_then_every_row_says_what_and_what_to_do(code: str) -> None:
    error = explained(refusal(code))
    assert error.message
    assert error.hint
    assert "{" not in error.message + error.hint

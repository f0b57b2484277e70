"""Which failures are tried again, and when."""

import pytest

from fakes.rpc import no_answer, refusal
from snap_self.cloud.retry import ATTEMPT_S, PACES, Trouble, attempt_s, classify, wait_s

CODES = [
    ("Throttling", Trouble.THROTTLED),
    ("Throttling.User", Trouble.THROTTLED),
    ("Throttling.Api", Trouble.THROTTLED),
    ("IdempotentProcessing", Trouble.BUSY),
    ("LastTokenProcessing", Trouble.BUSY),
    ("OperationConflict", Trouble.BUSY),
    ("Operation.Conflict", Trouble.BUSY),
    ("SignatureNonceUsed", Trouble.NONCE_USED),
    ("InvalidSecurityToken.Expired", Trouble.KEYS_STALE),
    ("InvalidSecurityToken.MismatchWithAccessKey", Trouble.KEYS_STALE),
    ("InternalError", Trouble.SERVER_FAULT),
    ("ServiceUnavailable", Trouble.SERVER_FAULT),
    ("IdempotentParameterMismatch", Trouble.FINAL),
    ("IncorrectDiskStatus.CreatingSnapshot", Trouble.FINAL),
    ("Forbidden.RAM", Trouble.KEYS_DOUBTED),
    ("Forbidden", Trouble.KEYS_DOUBTED),
    ("NoPermission.Tag", Trouble.KEYS_DOUBTED),
    ("OperationDenied.NoPermission", Trouble.KEYS_DOUBTED),
    ("InvalidAccessKeyId.NotFound", Trouble.KEYS_DOUBTED),
    ("Forbidden.RiskControl", Trouble.FINAL),
    ("InvalidParameter", Trouble.FINAL),
    ("ThrottlingIsNotThis", Trouble.FINAL),
]


@pytest.mark.parametrize(("code", "trouble"), CODES)
@pytest.mark.parametrize("status", [400, 403, 429])
def test_classify_when_a_code_comes_then_the_status_does_not_count(
    code: str, trouble: Trouble, status: int
) -> None:
    assert classify(refusal(code, status)) is trouble


def test_classify_when_only_the_message_says_that_the_token_expired_then_keys_are_stale() -> None:
    text = 'The specified parameter "SecurityToken.Expired" is not valid.'
    assert classify(refusal("InvalidParameter", 400, text)) is Trouble.KEYS_STALE


def test_classify_when_an_unknown_code_comes_with_500_then_it_is_a_server_fault() -> None:
    assert classify(refusal("Brand.New", 500)) is Trouble.SERVER_FAULT


@pytest.mark.parametrize("status", [0, 200, 500, 502, 503, 504])
def test_classify_when_no_readable_answer_came_then_it_is_no_answer(status: int) -> None:
    assert classify(no_answer(status=status)) is Trouble.NO_ANSWER


def test_classify_when_429_comes_without_a_code_then_it_is_throttled() -> None:
    assert classify(no_answer(status=429)) is Trouble.THROTTLED


@pytest.mark.parametrize("status", [302, 403, 407, 404])
def test_classify_when_a_portal_answers_then_it_is_final(status: int) -> None:
    assert classify(no_answer(status=status)) is Trouble.FINAL


def test_classify_when_the_fault_lasts_then_it_is_final() -> None:
    assert classify(no_answer(lasting=True)) is Trouble.FINAL


def test_wait_when_throttled_then_the_window_is_waited_out_and_a_place_is_taken() -> None:
    assert wait_s(Trouble.THROTTLED, 1, 0.5, turn_s=35.0, left_s=600.0) == 59.0
    assert wait_s(Trouble.THROTTLED, 2, 0.5, turn_s=35.0, left_s=600.0) == 83.0
    assert wait_s(Trouble.THROTTLED, 1, 0.5, turn_s=35.0, left_s=45.0) == 40.0
    assert wait_s(Trouble.THROTTLED, 1, 0.5, turn_s=35.0, left_s=34.0) is None


def test_wait_when_met_often_then_no_wait_passes_its_cap() -> None:
    assert wait_s(Trouble.BUSY, 10_000, 1.0) == PACES[Trouble.BUSY].most_s


def test_wait_when_chance_differs_then_it_spreads_over_half_the_wait() -> None:
    assert wait_s(Trouble.BUSY, 2, 0.0) == 0.5
    assert wait_s(Trouble.BUSY, 2, 1.0) == 1.0


def test_wait_when_it_ends_after_the_deadline_then_there_is_none() -> None:
    assert wait_s(Trouble.BUSY, 2, 1.0, left_s=1.0) == 1.0
    assert wait_s(Trouble.BUSY, 2, 1.0, left_s=0.99) is None


@pytest.mark.parametrize(
    ("trouble", "retries"),
    [
        (Trouble.FINAL, 0),
        (Trouble.KEYS_STALE, 1),
        (Trouble.NONCE_USED, 3),
        (Trouble.NO_ANSWER, 6),
        (Trouble.SERVER_FAULT, 6),
    ],
)
def test_wait_when_met_too_often_then_gives_up(trouble: Trouble, retries: int) -> None:
    waits = [wait_s(trouble, times, 0.5) for times in range(1, retries + 2)]
    assert [wait is None for wait in waits] == [False] * retries + [True]


@pytest.mark.parametrize("left_s", [0.2, 1.0, 3.0, 10.0, 90.0, 3600.0])
def test_attempt_when_time_is_left_then_stays_within_it(left_s: float) -> None:
    assert 0 < attempt_s(left_s) <= min(left_s, ATTEMPT_S)


def test_attempt_when_ten_seconds_are_left_then_a_hung_call_can_be_repeated() -> None:
    assert attempt_s(10.0) == 5.0

"""Which failed call is sent again, and when; pure, the loop with its clock is the client's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from math import inf

from snap_self.cloud.window import place_s
from snap_self.errors import (
    ApiFault,
    CloudAnswerUnclear,
    CloudThrottled,
    CloudUnreachable,
    SnapSelfError,
)
from snap_self.ports import RpcFailed

# An attempt gets at most so long. It gets less of a short time left, so that a hung call can be
# repeated; the cloud gives the first result again for the same client token.
ATTEMPT_S = 15.0
SHORT_ATTEMPT_S = 2.0


class Trouble(Enum):
    """The kinds of failure that are treated differently."""

    THROTTLED = "throttled"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    SERVER_FAULT = "server-fault"
    NONCE_USED = "nonce-used"
    KEYS_STALE = "keys-stale"
    # Other keys may be accepted, if their source gives others by now.
    KEYS_DOUBTED = "keys-doubted"
    FINAL = "final"


# An earlier try with the same token is still at work; the same token gets its result later.
SAME_CALL = ("IdempotentProcessing", "LastTokenProcessing")

# Refused for want of a permission; an ending ``*`` stands for all that begin so.
DENIED = (
    *("Forbidden", "Forbidden.RAM", "Forbidden.Unauthorized", "Forbidden.SubUser"),
    *("Forbidden.Action", "NoPermission*", "PermissionDenied.*", "OperationDenied.NoPermission"),
    *("InvalidOperation.Unauthorized", "InvalidAction.Unauthorized"),
    "User.NoPermission",  # of OOS
)
UNKNOWN_KEY = ("InvalidAccessKeyId", "InvalidAccessKeyId.*", "Forbidden.AccessKeyDisabled")

# Source: ECS API reference, common error codes; ECS developer guide, idempotence.
CODES: Mapping[str, Trouble] = {
    "InternalError": Trouble.SERVER_FAULT,
    "UnknownError": Trouble.SERVER_FAULT,
    "ServiceUnavailable": Trouble.SERVER_FAULT,
    "ServiceUnavailable.RegionMaintaining": Trouble.SERVER_FAULT,
    "OperationConflict": Trouble.BUSY,
    "Operation.Conflict": Trouble.BUSY,
    # One disk after the other is attached to an instance, or detached from it.
    "OperationConflict.DisksAttachingParallellyExceed": Trouble.BUSY,
    "InvalidOperation.Conflict": Trouble.BUSY,
    "DisksDetachingOnEcsExceeded": Trouble.BUSY,
    **dict.fromkeys(SAME_CALL, Trouble.BUSY),
    "SignatureNonceUsed": Trouble.NONCE_USED,
    "InvalidSecurityToken.Expired": Trouble.KEYS_STALE,
    "InvalidSecurityToken.Malformed": Trouble.KEYS_STALE,
    "InvalidSecurityToken.MismatchWithAccessKey": Trouble.KEYS_STALE,
    "MissingSecurityToken": Trouble.KEYS_STALE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a kind of trouble is waited out.

    Args:
        first_s: wait before the second try; doubled each time.
        most_s: no wait is longer.
        retries: how often at most; None until the deadline.
    """

    first_s: float
    most_s: float
    retries: int | None


# A throttled call is none of them: its next try depends on the limit's window.
PACES: Mapping[Trouble, Pace] = {
    Trouble.BUSY: Pace(first_s=0.5, most_s=5.0, retries=None),
    Trouble.NO_ANSWER: Pace(first_s=0.2, most_s=5.0, retries=6),
    Trouble.SERVER_FAULT: Pace(first_s=0.5, most_s=8.0, retries=6),
    Trouble.NONCE_USED: Pace(first_s=0.0, most_s=0.0, retries=3),
    Trouble.KEYS_STALE: Pace(first_s=0.0, most_s=0.0, retries=1),
    Trouble.KEYS_DOUBTED: Pace(first_s=0.0, most_s=0.0, retries=1),
    Trouble.FINAL: Pace(first_s=0.0, most_s=0.0, retries=0),
}


def classify(failure: RpcFailed) -> Trouble:
    """Return what kind of trouble a failed call is in.

    The status decides only where there is no code: the cloud sends the same code with different
    statuses.
    """
    if failure.lasting:
        return Trouble.FINAL
    if failure.code:
        return _classify_code(failure)
    if failure.http_status == 429:
        return Trouble.THROTTLED
    # A redirect or refusal without a code comes from a portal or gateway that stays as it is.
    if 300 <= failure.http_status < 500:
        return Trouble.FINAL
    return Trouble.NO_ANSWER


def may_pass(error: SnapSelfError) -> bool:
    """Tell whether what a call ended with may be over when it is sent again later."""
    if isinstance(error, CloudThrottled | CloudUnreachable | CloudAnswerUnclear):
        return True
    return isinstance(error, ApiFault) and error.api_code in CODES


def _classify_code(failure: RpcFailed) -> Trouble:
    if failure.code in CODES:
        return CODES[failure.code]
    if is_expired_token(failure):
        return Trouble.KEYS_STALE
    if any(fits(pattern, failure.code) for pattern in (*DENIED, *UNKNOWN_KEY)):
        return Trouble.KEYS_DOUBTED
    if failure.code == "Throttling" or failure.code.startswith("Throttling."):
        return Trouble.THROTTLED
    return Trouble.SERVER_FAULT if failure.http_status >= 500 else Trouble.FINAL


def is_expired_token(failure: RpcFailed) -> bool:
    """Tell whether the token has expired, in the one form that only the message shows.

    Source: kubevela/terraform-controller, issue 52: code ``InvalidParameter``, message
    'The specified parameter "SecurityToken.Expired" is not valid.'
    """
    return failure.code == "InvalidParameter" and "SecurityToken.Expired" in failure.message


def fits(pattern: str, code: str) -> bool:
    """Tell whether a code is the one named, or begins so where the pattern ends in ``*``."""
    return code.startswith(pattern[:-1]) if pattern.endswith("*") else code == pattern


def passes_soon(trouble: Trouble, failure: RpcFailed) -> bool:
    """Tell whether filesystems may stay frozen while this trouble is waited out.

    A throttled minute or another operation on the disk lasts longer than any freeze may; an earlier
    try of the same call does not. Whether a role was replaced is not worth asking then.
    """
    if trouble is Trouble.BUSY:
        return failure.code in SAME_CALL
    return trouble not in (Trouble.THROTTLED, Trouble.KEYS_DOUBTED)


def wait_s(
    trouble: Trouble, times: int, chance: float, *, turn_s: float = 0.0, left_s: float = inf
) -> float | None:
    """Return how long to wait before the next try, None for no further try.

    Args:
        times: how often this kind of trouble was met in this call, this time included; of a
            throttled call, how many windows in a row refused it.
        chance: 0 to 1, spreads callers that were refused together over half to all of the wait, or
            over the limit's next windows.
        turn_s: of a throttled call, what is left of the limit's window.
        left_s: the next try must begin within this time.
    """
    if trouble is Trouble.THROTTLED:
        return place_s(turn_s=turn_s, times=times, chance=chance, left_s=left_s)
    pace = PACES[trouble]
    if pace.retries is not None and times > pace.retries:
        return None
    # The exponent is bounded: a call repeated for long must not compute huge powers.
    whole_s = min(pace.most_s, pace.first_s * 2.0 ** min(times - 1, 16))
    wait = whole_s * (0.5 + 0.5 * chance)
    return wait if wait <= left_s else None


def attempt_s(left_s: float) -> float:
    """Return how long one attempt may take of the time left."""
    return min(ATTEMPT_S, max(left_s / 2, min(left_s, SHORT_ATTEMPT_S)))

"""ECS calls without a wire: answers given beforehand, or by a function, and all calls noted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from snap_self.model.endpoint import NetFault, NoWay
from snap_self.model.snapshots import Credentials
from snap_self.ports import RpcFailed
from snap_self.system.net.sdk import NoAnswer, RawAnswer

KEYS = Credentials(
    access_key_id="LTAI5tUnitTestKey0001",
    access_key_secret="unitTestSecret/+=0001",
    security_token="CAISunit/test+token==",
    source="test",
    expires=None,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """One call as it was made."""

    action: str
    params: Mapping[str, str]
    timeout_s: float
    credentials: Credentials


Outcome = Mapping[str, Any] | RpcFailed
Answering = Callable[[str, Mapping[str, str]], Outcome]


class FakeRpc:
    """The memory twin of ``SdkRpc``.

    Args:
        outcomes: for the first call, the second and so on; the last stands for all later ones.
        answering: gives the outcomes instead.
    """

    def __init__(self, *outcomes: Outcome, answering: Answering | None = None) -> None:
        self._outcomes = list(outcomes)
        self._answering = answering
        self.calls: list[Called] = []

    def call(
        self, action: str, params: Mapping[str, str], *, timeout_s: float, credentials: Credentials
    ) -> Mapping[str, Any]:
        """Note the call and return or raise what was given for it."""
        called = Called(
            action=action, params=dict(params), timeout_s=timeout_s, credentials=credentials
        )
        self.calls.append(called)
        outcome = self._next(action, params)
        if isinstance(outcome, RpcFailed):
            raise outcome
        return outcome

    def _next(self, action: str, params: Mapping[str, str]) -> Outcome:
        if self._answering is not None:
            return self._answering(action, params)
        return self._outcomes.pop(0) if len(self._outcomes) > 1 else self._outcomes[0]


class FakeSender:
    """Gives one raw answer, or none."""

    def __init__(self, outcome: RawAnswer | NetFault) -> None:
        self._outcome = outcome

    def send(
        self, action: str, params: Mapping[str, str], *, timeout_s: float, credentials: Credentials
    ) -> RawAnswer:
        """Return or raise it."""
        if isinstance(self._outcome, NetFault):
            raise NoAnswer(self._outcome)
        return self._outcome

    def close(self) -> None:
        """Do nothing."""


def refusal(
    code: str,
    status: int = 403,
    message: str = "The text does not count.",
    *,
    limited_s: float | None = None,
) -> RpcFailed:
    """Return a refusal by the API."""
    return RpcFailed(
        code=code,
        http_status=status,
        message=message,
        request_id="REQ-1",
        limited_s=limited_s,
    )


def no_answer(
    *,
    maybe_done: bool = True,
    lasting: bool = False,
    status: int = 0,
    way: NoWay = NoWay.SILENCE,
) -> RpcFailed:
    """Return a call without an answer of the API."""
    return RpcFailed(
        code="",
        http_status=status,
        message="ecs.example: no answer in time",
        maybe_done=maybe_done,
        lasting=lasting,
        host="ecs.example",
        way=way,
    )

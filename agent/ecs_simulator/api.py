"""The RPC API: from an HTTP request to an answer, whatever goes wrong on the way."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ecs_simulator.actions.base import ECS_VERSION, Call, Operation
from ecs_simulator.actions.registry import OPERATIONS
from ecs_simulator.authenticate import ApiRequest, Authenticator
from ecs_simulator.cloud import Cloud
from ecs_simulator.errors import ApiError
from ecs_simulator.faults import CallLog, CallRecord, Fault, FaultQueue, Latencies, Throttles
from ecs_simulator.idempotency import IdempotencyStore, TokenKey
from ecs_simulator.keys import Principal
from ecs_simulator.params import Params
from ecs_simulator.ram import ALLOW, EXPLICIT_DENY, Resource, context_of, decide
from ecs_simulator.render import JSON_TYPE, render
from ecs_simulator.rules import check_client_token
from ecs_simulator.snapshotting import sweep
from ecs_simulator.state import request_id

_UNLOGGED = frozenset({"Signature", "SecurityToken", "OIDCToken", "AccessKeyId", "Policy"})
_HTML_502 = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    b"<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>Tengine</center>\r\n"
    b"</body>\r\n</html>\r\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What goes back.

    Args:
        send: how many of the body's bytes are sent before the connection is closed; None for a
            whole answer, -1 for no answer at all.
    """

    status: int
    body: bytes = field(repr=False)
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)
    send: int | None = None


class Api:
    """Answers requests of ECS and STS."""

    def __init__(self, cloud: Cloud, *, stopping: threading.Event) -> None:
        config = cloud.config
        self._cloud = cloud
        self._stopping = stopping
        self._tokens = IdempotencyStore()
        self.authenticator = Authenticator(
            keys=cloud.keys,
            clock=cloud.clock,
            window_s=config.clock_window_s,
            sts_expiry=config.sts_expiry,
        )
        self.faults = FaultQueue()
        self.throttles = Throttles(cloud.clock)
        self.latencies = Latencies(config.profile, config.latencies_s)
        self.calls = CallLog()

    def answer(self, request: ApiRequest) -> Reply:
        """Answer one request and note it in the log of calls."""
        started = self._cloud.clock.now()
        headers = request.headers
        action = request.params.get("Action") or headers.get("x-acs-action", "")
        work = _Work(
            action=action,
            request=request,
            fault=self.faults.take(action),
            as_json=_wants_json(request),
        )
        reply = self._reply(work)
        self.calls.add(
            CallRecord(
                time=started,
                ended=self._cloud.clock.now(),
                action=action,
                params={k: v for k, v in request.params.items() if k not in _UNLOGGED},
                status=0 if reply.send == -1 else reply.status,
                code=work.code,
                request_id=work.request_id,
                principal=work.principal.name if work.principal else "",
                fault=work.fault.kind if work.fault else "",
            )
        )
        return reply

    def _reply(self, work: _Work) -> Reply:
        early = self._strike(work, "before")
        if early is not None:
            return early
        try:
            status, body = 200, self._perform(work)
        except ApiError as error:
            status, body = self._refusal(work, error)
        late = self._strike(work, "after")
        if late is not None and late.send is None:
            return late
        content, content_type = render(body, action=work.action, as_json=work.as_json)
        reply = Reply(
            status=status,
            body=content,
            content_type=content_type,
            headers={"x-acs-request-id": work.request_id},
        )
        if late is None:
            return reply
        if late.send == -1:
            return late
        return Reply(status=status, body=content, content_type=content_type, send=len(content) // 2)

    def _perform(self, work: _Work) -> dict[str, Any]:
        operation = _operation(work)
        params = Params(work.action, work.request.params)
        if not operation.anonymous:
            work.principal = self.authenticator.identify(work.request)
        self.throttles.check(work.action, params.text("RegionId", self._cloud.config.region_id))
        token = params.text("ClientToken") if operation.idempotent else ""
        if not token:
            return self._run(work, operation, params)
        check_client_token(token)
        key = (self._cloud.config.account_id, work.action, token)
        earlier = self._tokens.begin(key, params.fingerprint())
        if earlier is not None:
            return {"RequestId": work.request_id, **earlier}
        answer: dict[str, Any] | None = None
        try:
            body = self._run(work, operation, params)
            answer = {name: value for name, value in body.items() if name != "RequestId"}
        finally:
            self._finish(work, key, answer)
        return body

    def _finish(self, work: _Work, key: TokenKey, answer: dict[str, Any] | None) -> None:
        fault = work.fault
        if fault is not None and fault.when == "during" and fault.kind != "hang":
            self._cloud.agenda.after(fault.seconds, lambda: self._tokens.finish(key, answer))
        else:
            self._tokens.finish(key, answer)

    def _run(self, work: _Work, operation: Operation, params: Params) -> dict[str, Any]:
        # Half of the time passes before the effect, half after it.
        latency_s = self.latencies.of(work.action)
        sweep(self._cloud)
        self._wait(latency_s / 2)
        blind = self._refused(work, operation, params)
        call = Call(action=work.action, params=params, principal=work.principal, blind=blind)
        body = {"RequestId": work.request_id, **operation.run(self._cloud, call)}
        fault = work.fault
        if fault is not None and fault.when == "during" and fault.kind == "hang":
            self._wait(fault.seconds)
        self._wait(latency_s / 2)
        return body

    def _refused(self, work: _Work, operation: Operation, params: Params) -> bool:
        """Tell whether a listing is to find nothing.

        Raises:
            ApiError: the caller's policies do not allow a change.
        """
        principal = work.principal
        if principal is None or operation.version != ECS_VERSION:
            return False
        with self._cloud.state.lock:
            resources = operation.resources(self._cloud, params)
        verdict = self._verdict(principal, work.action, resources, params)
        if verdict == ALLOW:
            return False
        if operation.reads:
            return True
        raise ApiError(
            "Forbidden.RAM", extra={"AccessDeniedDetail": _denial(principal, work.action, verdict)}
        )

    def _verdict(
        self, principal: Principal, action: str, resources: Sequence[Resource], params: Params
    ) -> str:
        tags = [(r.get("Key", ""), r.get("Value", "")) for r in params.records("Tag")]
        for resource in resources:
            arn = "*" if resource.kind == "*" else self._cloud.arn(resource.kind, resource.name)
            context = context_of(resource, tags)
            layers = [principal.policies]
            if principal.session_policy is not None:
                layers.append((principal.session_policy,))
            for policies in layers:
                verdict = decide(policies, action=f"ecs:{action}", arn=arn, context=context)
                if verdict != ALLOW:
                    return verdict
        return ALLOW

    def _refusal(self, work: _Work, error: ApiError) -> tuple[int, dict[str, Any]]:
        work.code = error.code
        host = work.request.headers.get("host", "")
        product = "Ecs" if work.request.params.get("Version", ECS_VERSION) == ECS_VERSION else "Sts"
        where = f"q={error.code}&product={product}&requestId={work.request_id}"
        body = {
            "RequestId": work.request_id,
            "HostId": host,
            "Code": error.code,
            "Message": error.text(),
            "Recommend": f"https://api.aliyun.com/troubleshoot?{where}",
            **error.extra,
        }
        return error.status_for(work.action), body

    def _strike(self, work: _Work, when: str) -> Reply | None:
        """Return what a fault makes of the answer at this time, None when it does nothing."""
        fault = work.fault
        if fault is None or when != ("before" if fault.when == "before" else "after"):
            return None
        if fault.kind == "hang":
            if fault.when != "during":
                self._wait(fault.seconds)
            return None
        if fault.kind == "error":
            status, body = self._refusal(work, ApiError(fault.code, status=fault.status))
            content, kind = render(body, action=work.action, as_json=work.as_json)
            return Reply(status=status, body=content, content_type=kind)
        return FAULT_REPLIES[fault.kind]

    def strike_metadata(self, fault: Fault) -> Reply | None:
        """Return what a fault makes of a metadata answer, None for a late but good one."""
        if fault.kind == "hang":
            self._wait(fault.seconds)
            return None
        if fault.kind == "error":
            return Reply(status=fault.status, body=b"")
        return FAULT_REPLIES[fault.kind]

    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            self._stopping.wait(seconds)


FAULT_REPLIES: dict[str, Reply] = {
    "lost_reply": Reply(status=0, body=b"", send=-1),
    "reset": Reply(status=0, body=b"", send=-1),
    "html_502": Reply(status=502, body=_HTML_502, content_type="text/html"),
    "empty_body": Reply(status=200, body=b""),
    "not_json": Reply(status=200, body=b"OK <not json>"),
    "truncated": Reply(status=200, body=b"", send=0),
}


@dataclass(slots=True, kw_only=True)
class _Work:
    """One request while it is being answered."""

    action: str
    request: ApiRequest
    fault: Fault | None
    as_json: bool
    request_id: str = field(default_factory=request_id)
    principal: Principal | None = None
    code: str = ""


def _operation(work: _Work) -> Operation:
    request = work.request
    version = request.params.get("Version") or request.headers.get("x-acs-version", "")
    operation = OPERATIONS.get(work.action)
    if operation is None or operation.version != version:
        raise ApiError("InvalidParameter")
    return operation


def _wants_json(request: ApiRequest) -> bool:
    chosen = request.params.get("Format", "")
    if chosen:
        return chosen.upper() == "JSON"
    return "authorization" in request.headers and "xml" not in request.headers.get("accept", "")


def _denial(principal: Principal, action: str, verdict: str) -> dict[str, str]:
    return {
        "AuthAction": f"ecs:{action}",
        "AuthPrincipalType": principal.kind,
        "AuthPrincipalDisplayName": principal.name,
        "AuthPrincipalOwnerId": principal.account_id,
        "NoPermissionType": verdict,
        "PolicyType": "AccountLevelIdentityBasedPolicy" if verdict == EXPLICIT_DENY else "",
        "EncodedDiagnosticMessage": "",
    }

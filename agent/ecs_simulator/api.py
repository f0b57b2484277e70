"""The RPC API: turns every HTTP request into an answer, also if something goes wrong."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ecs_simulator.actions.base import (
    ECS_VERSION,
    OOS_VERSION,
    PRODUCTS,
    STS_VERSION,
    Call,
    Operation,
)
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
    """Answers requests of ECS, OOS and STS."""

    def __init__(self, cloud: Cloud, *, stopping: threading.Event) -> None:
        config = cloud.config
        self._cloud = cloud
        self._stopping = stopping
        self.tokens = IdempotencyStore(cloud.clock, memory_s=config.token_memory_s)
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
        cloud.oos.calls = self

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
        self._note(work, started, 0 if reply.send == -1 else reply.status)
        return reply

    def call_for(self, caller: Principal, action: str, params: Mapping[str, str]) -> dict[str, Any]:
        """Return the answer of an ECS operation, named in any case, that another product calls.

        Nothing waits, since the caller is the agenda: a fault that breaks a connection, or hangs,
        shows itself as a service that is not available.

        Raises:
            ApiError: it is refused.
        """
        started = self._cloud.clock.now()
        action = next((name for name in OPERATIONS if name.lower() == action.lower()), action)
        given = {"Action": action, "Version": ECS_VERSION, **params}
        request = ApiRequest(method="POST", path="/", query={}, params=given, headers={})
        fault = self.faults.take(action)
        work = _Work(
            action=action,
            request=request,
            fault=fault,
            as_json=True,
            principal=caller,
            hurried=True,
        )
        status = 200
        try:
            if fault is not None and fault.when == "before":
                raise _felt(fault)
            body = self._perform(work)
            if fault is not None:
                raise _felt(fault)
        except ApiError as error:
            work.code, status = error.code, error.status_for(action)
            raise
        finally:
            self._note(work, started, status)
        return body

    def _note(self, work: _Work, started: float, status: int) -> None:
        self.calls.add(
            CallRecord(
                time=started,
                ended=self._cloud.clock.now(),
                action=work.action,
                params={k: v for k, v in work.request.params.items() if k not in _UNLOGGED},
                status=status,
                code=work.code,
                request_id=work.request_id,
                principal=work.principal.name if work.principal else "",
                fault=work.fault.kind if work.fault else "",
            )
        )

    def _reply(self, work: _Work) -> Reply:
        early = self._strike(work, "before")
        if early is not None:
            return early
        headers = {"x-acs-request-id": work.request_id}
        try:
            status, body = 200, self._perform(work)
        except ApiError as error:
            status, body = self._refusal(work, error)
            headers |= error.headers
        late = self._strike(work, "after")
        if late is not None and late.send is None:
            return late
        content, content_type = render(body, action=work.action, as_json=work.as_json)
        reply = Reply(
            status=status,
            body=content,
            content_type=content_type,
            headers=headers,
        )
        if late is None:
            return reply
        if late.send == -1:
            return late
        return Reply(status=status, body=content, content_type=content_type, send=len(content) // 2)

    def _perform(self, work: _Work) -> dict[str, Any]:
        operation = _operation(work)
        params = Params(work.action, work.request.params)
        if not operation.anonymous and work.principal is None:
            work.principal = self.authenticator.identify(work.request)
        self.throttles.check(work.action, params.text("RegionId", self._cloud.config.region_id))
        honoured = operation.idempotent and not operation.ignores_token(params)
        token = params.text("ClientToken") if honoured else ""
        if not token:
            return self._run(work, operation, params)
        check_client_token(token)
        key = (self._cloud.config.account_id, work.action, token)
        earlier = self.tokens.begin(key, params.fingerprint())
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
            self._cloud.agenda.after(fault.seconds, lambda: self.tokens.finish(key, answer))
        else:
            self.tokens.finish(key, answer)

    def _run(self, work: _Work, operation: Operation, params: Params) -> dict[str, Any]:
        # Half of the time passes before the effect, half after it.
        latency_s = 0.0 if work.hurried else self.latencies.of(work.action)
        sweep(self._cloud)
        self._wait(latency_s / 2)
        blind = self._refused(work, operation, params)
        call = Call(action=work.action, params=params, principal=work.principal, blind=blind)
        body = {"RequestId": work.request_id, **operation.run(self._cloud, call)}
        fault = work.fault
        hangs = fault is not None and fault.when == "during" and fault.kind == "hang"
        if fault is not None and hangs and not work.hurried:
            self._wait(fault.seconds)
        self._wait(latency_s / 2)
        return body

    def _refused(self, work: _Work, operation: Operation, params: Params) -> bool:
        """Return whether a listing must find nothing.

        Raises:
            ApiError: the caller's policies do not allow a change.
        """
        principal = work.principal
        if principal is None or operation.version == STS_VERSION:
            return False
        with self._cloud.state.lock:
            resources = operation.resources(self._cloud, params)
        tags = operation.request_tags(params)
        verdict = self._verdict(principal, operation, resources, tags)
        if verdict == ALLOW:
            return False
        if operation.reads:
            return True
        action = f"{PRODUCTS[operation.version]}:{work.action}"
        detail = {"AccessDeniedDetail": _denial(principal, action, verdict)}
        if operation.version == OOS_VERSION:
            text = f"User has no permission to do the action: ({action})"
            raise ApiError("User.NoPermission", text, extra=detail)
        raise ApiError("Forbidden.RAM", extra=detail)

    def _verdict(
        self,
        principal: Principal,
        operation: Operation,
        resources: Sequence[Resource],
        tags: Sequence[tuple[str, str]],
    ) -> str:
        product = PRODUCTS[operation.version]
        action = f"{product}:{operation.name}"
        for resource in resources:
            named = self._cloud.arn(resource.kind, resource.name, product=product)
            arn = "*" if resource.kind == "*" else named
            context = context_of(resource, tags, product=product)
            layers = [principal.policies]
            if principal.session_policy is not None:
                layers.append((principal.session_policy,))
            for policies in layers:
                verdict = decide(policies, action=action, arn=arn, context=context)
                if verdict != ALLOW:
                    return verdict
        return ALLOW

    def _refusal(self, work: _Work, error: ApiError) -> tuple[int, dict[str, Any]]:
        work.code = error.code
        host = work.request.headers.get("host", "")
        version = work.request.params.get("Version", ECS_VERSION)
        product = PRODUCTS.get(version, "sts").capitalize()
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
        """Return the answer that a fault causes at this time; None if there is no fault."""
        fault = work.fault
        if fault is None or when != ("before" if fault.when == "before" else "after"):
            return None
        if fault.kind == "hang":
            if fault.when != "during":
                self._wait(fault.seconds)
            return None
        if fault.kind == "error":
            status, body = self._refusal(
                work, ApiError(fault.code, fault.message, status=fault.status)
            )
            content, kind = render(body, action=work.action, as_json=work.as_json)
            return Reply(status=status, body=content, content_type=kind, headers=fault.headers)
        return FAULT_REPLIES[fault.kind]

    def strike_metadata(self, fault: Fault) -> Reply | None:
        """Return the metadata answer that a fault causes; None for a late but good one."""
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
    """One request while it is being answered; a ``hurried`` one takes no time."""

    action: str
    request: ApiRequest
    fault: Fault | None
    as_json: bool
    request_id: str = field(default_factory=request_id)
    principal: Principal | None = None
    code: str = ""
    hurried: bool = False


def _felt(fault: Fault) -> ApiError:
    """Return how a fault looks to a product of the cloud that made the call."""
    if fault.kind == "error":
        return ApiError(fault.code, fault.message, status=fault.status)
    return ApiError("ServiceUnavailable")


def _operation(work: _Work) -> Operation:
    request = work.request
    version = request.params.get("Version") or request.headers.get("x-acs-version", "")
    operation = OPERATIONS.get(work.action)
    if operation is None or operation.version != version:
        raise ApiError("InvalidAction.NotFound" if version == OOS_VERSION else "InvalidParameter")
    return operation


def _wants_json(request: ApiRequest) -> bool:
    chosen = request.params.get("Format", "")
    if chosen:
        return chosen.upper() == "JSON"
    return "authorization" in request.headers and "xml" not in request.headers.get("accept", "")


def _denial(principal: Principal, action: str, verdict: str) -> dict[str, str]:
    return {
        "AuthAction": action,
        "AuthPrincipalType": principal.kind,
        "AuthPrincipalDisplayName": principal.name,
        "AuthPrincipalOwnerId": principal.account_id,
        "NoPermissionType": verdict,
        "PolicyType": "AccountLevelIdentityBasedPolicy" if verdict == EXPLICIT_DENY else "",
        "EncodedDiagnosticMessage": "",
    }

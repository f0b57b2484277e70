"""Asks the Security Token Service for a role's temporary keys.

The calls are signed here with a few lines of the standard library: importing the SDK's core takes
about 160 ms, and most runs, with keys from the instance role, have no use for it.

Source: RAM, "AssumeRole" and "AssumeRoleWithOIDC", version 2015-04-01.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from snap_self.cloud.credentials.fields import Fields, parse_object, role_credentials
from snap_self.cloud.credentials.files import not_used
from snap_self.cloud.credentials.signature import encode_form, sign
from snap_self.cloud.credentials.sources import Surroundings, broken
from snap_self.errors import (
    CloudUnreachable,
    ConfigError,
    CredentialsError,
    CredentialsRefused,
    CredentialsUnusable,
    PermissionRefused,
    SnapSelfError,
)
from snap_self.instance.addresses import split_url
from snap_self.model.addresses import is_loopback
from snap_self.model.ids import REGION_ID
from snap_self.model.snapshots import Credentials
from snap_self.model.trust import Distrusted
from snap_self.ports import HttpFailed, HttpRequest, HttpResponse

DEFAULT_HOST = "sts.aliyuncs.com"
REGION = "ALIBABA_CLOUD_STS_REGION"
VPC = "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED"
SESSION_NAME = "ALIBABA_CLOUD_ROLE_SESSION_NAME"
DEFAULT_SESSION_NAME = "snap-self"
DEFAULT_DURATION_S = 3600
DURATIONS_S = range(900, 43200 + 1)
DELAYS_S = (0.5, 1.0)
TIMEOUT_S = 5.0
TOTAL_S = 15.0

_SESSION_NAME = re.compile(r"[A-Za-z0-9.@_-]{2,64}")
_REQUEST_ID = re.compile(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}")
_REFUSED = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidSecurityToken", "IncompleteSign")
_DENIED = ("NoPermission", "AuthenticationFail.NoPermission", "Forbidden", "ImplicitDeny")
_BUSY = ("Throttling", "ServiceUnavailable", "InternalError")


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleRequest:
    """Which role to assume, for how long, and where to ask.

    Args:
        policy: narrows the role's rights; empty for all of them.
        region: the STS host's region; empty for the variable's, else the central host.
        vpc: ask the host inside the VPC; None for the variable's value.
    """

    role_arn: str
    session_name: str = ""
    duration_s: int = DEFAULT_DURATION_S
    policy: str = field(default="", repr=False)
    external_id: str = field(default="", repr=False)
    region: str = ""
    vpc: bool | None = None


def assume_role(around: Surroundings, base: Credentials, role: RoleRequest) -> Credentials:
    """Return a role's keys, requested with other keys.

    Raises:
        CredentialsRefused, PermissionRefused, CredentialsUnusable, CloudUnreachable, ConfigError:
            see `_fault`.
    """
    private = _role_fields(around, role, ExternalId=role.external_id)
    if base.security_token:
        private["SecurityToken"] = base.security_token
    common = {
        "AccessKeyId": base.access_key_id,
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
    }
    return _ask(around, role, _Call("AssumeRole", common, private, base.access_key_secret))


def assume_role_with_oidc(
    around: Surroundings, role: RoleRequest, *, provider_arn: str, token_file: str
) -> Credentials:
    """Return a role's keys, requested with an identity provider's token.

    Raises:
        As `assume_role`.
    """
    token = _oidc_token(around, token_file)
    private = _role_fields(around, role, OIDCProviderArn=provider_arn, OIDCToken=token)
    return _ask(around, role, _Call("AssumeRoleWithOIDC", {}, private, ""))


def sts_url(around: Surroundings, role: RoleRequest) -> str:
    """Return the base URL of the service.

    Raises:
        ConfigError: the override is neither an https URL, a bare host nor http on loopback.
        CredentialsUnusable: the region is not one.
    """
    if around.sts_endpoint:
        return _override(around.sts_endpoint)
    region = role.region or around.variable(REGION)
    if not region:
        return f"https://{DEFAULT_HOST}"
    if not REGION_ID.fullmatch(region):
        raise broken("the STS region is not a region id", hint="Such as cn-hangzhou.")
    vpc = around.switched_on(VPC) if role.vpc is None else role.vpc
    return f"https://{'sts-vpc' if vpc else 'sts'}.{region}.aliyuncs.com"


@dataclass(frozen=True, slots=True)
class _Call:
    """A call; private parameters go in the body, since URLs end up in logs."""

    action: str
    common: Mapping[str, str] = field(repr=False)
    private: Mapping[str, str] = field(repr=False)
    secret: str = field(repr=False)

    def request(self, around: Surroundings, base_url: str) -> HttpRequest:
        """Return one attempt's request; nonce and time are new in each."""
        query = {
            "Action": self.action,
            "Version": "2015-04-01",
            "Format": "JSON",
            "Timestamp": f"{around.clock.now():%Y-%m-%dT%H:%M:%SZ}",
            "SignatureNonce": around.nonce(),
            **self.common,
        }
        if self.secret:
            query["Signature"] = sign("POST", {**query, **self.private}, self.secret)
        return HttpRequest(
            method="POST",
            url=f"{base_url}/?{encode_form(query)}",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            body=encode_form(self.private).encode(),
            timeout_s=TIMEOUT_S,
            total_s=TOTAL_S,
        )


def _role_fields(around: Surroundings, role: RoleRequest, **more: str) -> dict[str, str]:
    session = role.session_name or around.variable(SESSION_NAME) or DEFAULT_SESSION_NAME
    if not _SESSION_NAME.fullmatch(session):
        raise broken("the role session name must be 2 to 64 letters, digits or any of . @ _ -")
    if role.duration_s not in DURATIONS_S:
        raise broken("the role session's duration must be 900 to 43200 seconds")
    fields = {
        "RoleArn": role.role_arn,
        "RoleSessionName": session,
        "DurationSeconds": str(role.duration_s),
        "Policy": role.policy,
        **more,
    }
    return {name: value for name, value in fields.items() if value}


def _oidc_token(around: Surroundings, path: str) -> str:
    try:
        token = around.read(path).text.strip()
    except Distrusted as error:
        raise not_used(path, error) from None
    except OSError as error:
        raise broken(f"the OIDC token file {path} cannot be read: {error.strerror}") from None
    return Fields(f"the OIDC token file {path}", {"token": token}).key_text("token")


def _ask(around: Surroundings, role: RoleRequest, call: _Call) -> Credentials:
    base_url = sts_url(around, role)
    for delay_s in (*DELAYS_S, None):
        try:
            response = around.transport.send(call.request(around, base_url))
        except HttpFailed as failed:
            fault: SnapSelfError = _unreachable(str(failed), hint=failed.hint)
            if failed.lasting:
                raise fault from None
        else:
            if response.status == 200:
                where = f"the answer to {call.action}"
                answer = parse_object(response.body, where)
                return role_credentials(answer.below("Credentials"), f"role {_role(role)}")
            fault = _fault(call.action, response)
        if delay_s is None or not isinstance(fault, CloudUnreachable):
            raise fault
        around.clock.sleep(delay_s)
    raise AssertionError  # the last round returns or raises


def _role(role: RoleRequest) -> str:
    """Return the role's own name for messages, if the ARN has one."""
    name = role.role_arn.rpartition("role/")[2]
    return name if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name) else "as configured"


def _fault(action: str, response: HttpResponse) -> SnapSelfError:
    """Return the error for a refusal; it shows only the refusal's code and request id."""
    code, request_id = _code_and_id(response)
    request = f", request {request_id}" if request_id else ""
    told = f"STS refused {action}: {code} (status {response.status}{request})"
    if response.status >= 500 or response.status == 429 or code.startswith(_BUSY):
        return _unreachable(f"{code} (status {response.status}{request})")
    kind, hint = _meaning(code)
    return kind(told, hint=hint, api_code=code, request_id=request_id)


def _meaning(code: str) -> tuple[type[CredentialsError], str]:
    if code.startswith("InvalidTimeStamp"):
        return CredentialsRefused, "Set this machine's clock."
    if code.startswith(_REFUSED):
        return CredentialsRefused, "Check that the access key exists and is enabled."
    if code.startswith(_DENIED):
        hint = "Allow the key's owner sts:AssumeRole, and let the role trust it."
        return PermissionRefused, hint
    return CredentialsUnusable, "Check the role's ARN and its trust policy."


def _code_and_id(response: HttpResponse) -> tuple[str, str]:
    try:
        fields = parse_object(response.body, "")
    except CredentialsUnusable:
        return "no readable code", ""
    request_id = fields.values.get("RequestId")
    good = isinstance(request_id, str) and _REQUEST_ID.fullmatch(request_id)
    return fields.api_code(), str(request_id) if good else ""


def _unreachable(why: str, *, hint: str = "") -> CloudUnreachable:
    return CloudUnreachable(
        f"the Security Token Service gives no answer: {why}",
        hint=hint
        or f"Without a way to the internet, set {REGION} and {VPC}=true to ask inside the VPC.",
    )


def _override(text: str) -> str:
    parts = split_url(text if "://" in text else f"https://{text}")
    bare = parts is not None and parts.path in ("", "/") and not (parts.query or parts.fragment)
    if (
        parts is None
        or not bare
        or (parts.scheme == "http" and not is_loopback(parts.hostname or ""))
    ):
        raise ConfigError(
            "the STS endpoint is not one the agent may ask",
            hint="Use a host name or an https URL without a path; http only for a loopback address "
            "such as 127.0.0.1 (not localhost, which is a name).",
        )
    return f"{parts.scheme}://{parts.netloc}"

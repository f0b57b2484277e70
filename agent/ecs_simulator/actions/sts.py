"""The security token service: AssumeRole, AssumeRoleWithOIDC and GetCallerIdentity.

Source: STS API 2015-04-01.
"""

from __future__ import annotations

import json
import re

from ecs_simulator.actions.base import STS_VERSION, Call, Json, Operation
from ecs_simulator.clock import iso_second
from ecs_simulator.cloud import Cloud
from ecs_simulator.config import PolicyDocument, RoleConfig
from ecs_simulator.errors import ApiError
from ecs_simulator.keys import Key, Principal
from ecs_simulator.params import Params
from ecs_simulator.ram import ALLOW, decide

_ROLE_ARN = re.compile(r"acs:ram::(\d+):role/([A-Za-z0-9.\-]{1,64})")
_SESSION = re.compile(r"[A-Za-z0-9.@\-_]{2,64}")


def assume_role(cloud: Cloud, call: Call) -> Json:
    """Give short-lived keys of a role to a user or another role."""
    params, caller = call.params, call.principal
    assert caller is not None
    role = _role(cloud, params)
    arn = f"acs:ram::{cloud.config.account_id}:role/{role.name}"
    allowed = decide(caller.policies, action="sts:AssumeRole", arn=arn, context={}) == ALLOW
    own_name = caller.name.partition(":")[0]
    if not allowed or not {"*", own_name} & set(role.trusted):
        raise ApiError(
            "NoPermission",
            "You are not authorized to do this action. You should be authorized by RAM.",
            status=403,
        )
    if role.external_id and params.text("ExternalId") != role.external_id:
        raise ApiError("NoPermission", "The ExternalId does not fit.", status=403)
    # Keys that came from a role can only be used for an hour's session.
    longest_s = 3600 if caller.kind == "AssumedRoleUser" else 43200
    return _session(cloud, params, role, longest_s=longest_s)


def assume_role_with_oidc(cloud: Cloud, call: Call) -> Json:
    """Give short-lived keys of a role for an identity provider's token."""
    params = call.params
    token = params.required("OIDCToken")
    cloud.keys.remember_secret(token)
    provider_arn = params.required("OIDCProviderArn")
    provider = provider_arn.rpartition("/")[2]
    if provider not in cloud.config.oidc_tokens.values():
        raise ApiError("EntityNotExist.OIDCProvider", "The provider does not exist.", status=404)
    if cloud.config.oidc_tokens.get(token) != provider:
        raise ApiError("AuthenticationFail.OIDCToken.Invalid", "This JWT token is illegal.")
    role = _role(cloud, params)
    if not {"*", f"oidc:{provider}"} & set(role.trusted):
        raise ApiError("AuthenticationFail.NoPermission", "The role does not trust it.", status=403)
    info = {
        "Issuer": "https://oidc.example.test",
        "Subject": "simulated",
        "ClientIds": "sts.aliyuncs.com",
        "VerificationInfo": "Success",
    }
    return {"OIDCTokenInfo": info, **_session(cloud, params, role, longest_s=43200)}


def _role(cloud: Cloud, params: Params) -> RoleConfig:
    matched = _ROLE_ARN.fullmatch(params.required("RoleArn"))
    if matched is None:
        raise ApiError("InvalidParameter.RoleArn", "The parameter RoleArn is wrongly formed.")
    for role in cloud.config.roles:
        if matched.groups() == (cloud.config.account_id, role.name):
            return role
    raise ApiError("EntityNotExist.Role", "The specified Role not exists.", status=404)


def _session(cloud: Cloud, params: Params, role: RoleConfig, *, longest_s: int) -> Json:
    session = params.required("RoleSessionName")
    if not _SESSION.fullmatch(session):
        raise ApiError("InvalidParameter.RoleSessionName", "RoleSessionName is wrongly formed.")
    lifetime_s = params.integer("DurationSeconds", "InvalidParameter.DurationSeconds")
    lifetime_s = 3600 if lifetime_s is None else lifetime_s
    if not 900 <= lifetime_s <= longest_s:
        raise ApiError("InvalidParameter.DurationSeconds", "DurationSeconds is out of range.")
    key = cloud.keys.mint(
        role=role.name,
        session=session,
        lifetime_s=lifetime_s,
        session_policy=_session_policy(params),
    )
    return {"AssumedRoleUser": _user(key.principal), "Credentials": _credentials(key)}


def _session_policy(params: Params) -> PolicyDocument | None:
    text = params.text("Policy")
    if not text:
        return None
    try:
        policy = json.loads(text)
    except ValueError:
        policy = None
    if not isinstance(policy, dict) or "Statement" not in policy:
        raise ApiError("InvalidParameter.PolicyGrammar", "The parameter Policy has not passed.")
    return policy


def _user(principal: Principal) -> Json:
    session = principal.name.partition(":")[2]
    return {"Arn": principal.arn, "AssumedRoleId": f"{principal.role_id}:{session}"}


def _credentials(key: Key) -> Json:
    return {
        "AccessKeyId": key.access_key_id,
        "AccessKeySecret": key.secret,
        "SecurityToken": key.token,
        "Expiration": iso_second(key.expires_at),
    }


def get_caller_identity(cloud: Cloud, call: Call) -> Json:  # noqa: ARG001
    """Tell the caller who it is."""
    caller = call.principal
    assert caller is not None
    assumed = caller.kind == "AssumedRoleUser"
    session = caller.name.partition(":")[2]
    principal_id = f"{caller.role_id}:{session}" if assumed else caller.name
    return {
        "IdentityType": "AssumedRoleUser" if assumed else "RAMUser",
        "AccountId": caller.account_id,
        "PrincipalId": principal_id,
        "UserId": "" if assumed else caller.name,
        "RoleId": caller.role_id,
        "Arn": caller.arn,
    }


OPERATIONS = (
    Operation(name="AssumeRole", run=assume_role, version=STS_VERSION),
    Operation(
        name="AssumeRoleWithOIDC", run=assume_role_with_oidc, version=STS_VERSION, anonymous=True
    ),
    Operation(name="GetCallerIdentity", run=get_caller_identity, version=STS_VERSION),
)

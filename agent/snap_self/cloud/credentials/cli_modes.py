"""The modes of a profile in ``~/.aliyun/config.json``: one small function each, and their table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from snap_self.cloud.credentials import external, instance_role, key_uri
from snap_self.cloud.credentials.fields import Fields
from snap_self.cloud.credentials.sources import (
    ROLE_STALE_MARGIN_S,
    STALE_MARGIN_S,
    Surroundings,
    broken,
)
from snap_self.cloud.credentials.sts import (
    DEFAULT_DURATION_S,
    RoleRequest,
    assume_role,
    assume_role_with_oidc,
)
from snap_self.model.snapshots import Credentials

NO_PROGRAMS = "ALIBABA_CLOUD_DISABLE_EXTERNAL_PROCESS"
MAX_CHAIN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A profile, with the other profiles that it may name as its source.

    Args:
        via: names of the profiles that led here, to detect a ring.
    """

    name: str
    fields: Fields
    others: Mapping[str, Fields]
    via: tuple[str, ...] = ()

    @property
    def mode(self) -> str:
        """Return the mode in lower case: the CLI ignores case."""
        return self.fields.text("mode").lower()

    def source_profile(self) -> Profile:
        """Return the profile that this one's keys come from.

        Raises:
            CredentialsUnusable: there is none, or it leads back here.
        """
        name = self.fields.required("source_profile")
        via = (*self.via, self.name)
        if name in via or len(via) > MAX_CHAIN:
            raise broken(f"{self.fields.where}: source_profile leads back to itself")
        if name not in self.others:
            raise broken(f"{self.fields.where}: source_profile names no profile of the file")
        return Profile(name=name, fields=self.others[name], others=self.others, via=via)


Load = Callable[[Surroundings, Profile], Credentials]


def load(around: Surroundings, profile: Profile) -> Credentials:
    """Return a profile's keys.

    Raises:
        CredentialsUnusable: the profile is incomplete, or of a mode that is not supported.
        SnapSelfError: as the mode's own source.
    """
    mode = MODES.get(profile.mode)
    if mode is None:
        raise _unsupported(profile)
    credentials = mode(around, profile)
    return replace(credentials, source=f"config.json {shown_profile(profile.name)}")


def stale_margin_s(profile: Profile) -> float:
    """Return how long before their expiry the profile's keys are renewed."""
    return ROLE_STALE_MARGIN_S if profile.mode == "ecsramrole" else STALE_MARGIN_S


def is_blank(profile: Profile) -> bool:
    """Return whether nobody has filled the profile in yet: no mode, or key mode without a key."""
    fields = profile.fields
    keys = ("access_key_id", "access_key_secret", "sts_token")
    return profile.mode in ("", "ak", "ststoken") and not any(fields.text(key) for key in keys)


def shown_mode(profile: Profile) -> str:
    """Return the mode's name if it is known; any other text could be a misplaced key."""
    known = {name.lower(): name for name in (*NAMES, *REFUSED)}
    return known.get(profile.mode, "unknown")


def shown_profile(name: str) -> str:
    """Return a profile's name for messages, truncated."""
    return f"profile {name if len(name) <= 40 else name[:39] + '…'}"


def _ak(around: Surroundings, profile: Profile) -> Credentials:  # noqa: ARG001
    return _keys(profile.fields, token="")


def _sts_token(around: Surroundings, profile: Profile) -> Credentials:  # noqa: ARG001
    return _keys(profile.fields, token=profile.fields.key_text("sts_token"))


def _ecs_ram_role(around: Surroundings, profile: Profile) -> Credentials:
    return instance_role.load(around, profile.fields.text("ram_role_name"))


def _ram_role_arn(around: Surroundings, profile: Profile) -> Credentials:
    fields = profile.fields
    token = fields.key_text("sts_token") if fields.text("sts_token") else ""
    return assume_role(around, _keys(fields, token=token), _role(fields))


def _ram_role_arn_with_role_name(around: Surroundings, profile: Profile) -> Credentials:
    return assume_role(around, _ecs_ram_role(around, profile), _role(profile.fields))


def _chainable(around: Surroundings, profile: Profile) -> Credentials:
    base = load(around, profile.source_profile())
    return assume_role(around, base, _role(profile.fields))


def _oidc(around: Surroundings, profile: Profile) -> Credentials:
    fields = profile.fields
    return assume_role_with_oidc(
        around,
        _role(fields),
        provider_arn=fields.required("oidc_provider_arn"),
        token_file=fields.required("oidc_token_file"),
    )


def _external(around: Surroundings, profile: Profile) -> Credentials:
    _refuse_if_switched_off(around, profile)
    return external.load(around, profile.fields.required("process_command"), profile.fields.where)


def _credentials_uri(around: Surroundings, profile: Profile) -> Credentials:
    _refuse_if_switched_off(around, profile)
    uri = profile.fields.required("credentials_uri")
    return key_uri.load(around, uri, f"{profile.fields.where}: credentials_uri")


NAMES: Mapping[str, Load] = {
    "AK": _ak,
    "StsToken": _sts_token,
    "RamRoleArn": _ram_role_arn,
    "EcsRamRole": _ecs_ram_role,
    "RamRoleArnWithRoleName": _ram_role_arn_with_role_name,
    "ChainableRamRoleArn": _chainable,
    "OIDC": _oidc,
    "External": _external,
    "CredentialsURI": _credentials_uri,
}
MODES: Mapping[str, Load] = {name.lower(): load for name, load in NAMES.items()}
# The CLI knows these, but they need a person at a browser or a key format that the cloud has
# retired, or their keys cannot sign ECS calls.
REFUSED = ("CloudSSO", "OAuth", "BearerToken", "Anonymous", "RsaKeyPair")


def _keys(fields: Fields, *, token: str) -> Credentials:
    return Credentials(
        access_key_id=fields.key_text("access_key_id"),
        access_key_secret=fields.key_text("access_key_secret"),
        security_token=token,
        source=fields.where,
        expires=None,
    )


def _role(fields: Fields) -> RoleRequest:
    return RoleRequest(
        role_arn=fields.required("ram_role_arn"),
        session_name=fields.text("ram_session_name") or fields.text("role_session_name"),
        duration_s=fields.whole("expired_seconds") or DEFAULT_DURATION_S,
        policy=fields.block("policy"),
        external_id=fields.text("external_id"),
        region=fields.text("sts_region"),
        vpc=fields.flag("enable_vpc"),
    )


def _refuse_if_switched_off(around: Surroundings, profile: Profile) -> None:
    if around.switched_on(NO_PROGRAMS):
        raise broken(f"{profile.fields.where}: {NO_PROGRAMS} forbids mode {shown_mode(profile)}")


def _unsupported(profile: Profile) -> Exception:
    hint = f"The agent supports the modes {', '.join(NAMES)}."
    return broken(f"{profile.fields.where}: mode {shown_mode(profile)} is not supported", hint=hint)

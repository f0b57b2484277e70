"""The SDKs' own file: ``~/.alibabacloud/credentials.ini`` (Python), ``credentials`` (Go)."""

from __future__ import annotations

import configparser
from collections.abc import Callable, Mapping

from snap_self.cloud.credentials import instance_role
from snap_self.cloud.credentials.cli_modes import shown_profile
from snap_self.cloud.credentials.fields import Fields
from snap_self.cloud.credentials.files import Found, find, warnings_about
from snap_self.cloud.credentials.sources import (
    ROLE_STALE_MARGIN_S,
    STALE_MARGIN_S,
    Offer,
    Skipped,
    Surroundings,
    broken,
)
from snap_self.cloud.credentials.sts import RoleRequest, assume_role, assume_role_with_oidc
from snap_self.model.snapshots import Credentials

FILE = "ALIBABA_CLOUD_CREDENTIALS_FILE"
BELOW_HOME = (".alibabacloud/credentials.ini", ".alibabacloud/credentials")


def look(around: Surroundings) -> Offer | Skipped:
    """Offer the section of the chosen profile, or ``default``.

    Raises:
        CredentialsUnusable: the file cannot be read or understood, or its type is not supported.
    """
    found = find(around, FILE, BELOW_HOME)
    if isinstance(found, Skipped):
        return found
    section = _section(around, found)
    if section is None:
        return Skipped(why="the profile is not in it")
    kind = section.text("type")
    if kind not in TYPES:
        hint = f"The agent supports the types {', '.join(TYPES)}."
        shown = kind if kind in REFUSED else "unknown"
        raise broken(f"{section.where}: type {shown} is not supported", hint=hint)
    return Offer(
        load=lambda: _load(around),
        how=f"{shown_profile(_name(around))}, type {kind}",
        stale_margin_s=ROLE_STALE_MARGIN_S if kind == "ecs_ram_role" else STALE_MARGIN_S,
        warnings=warnings_about(found),
    )


def _load(around: Surroundings) -> Credentials:
    found = find(around, FILE, BELOW_HOME)
    section = None if isinstance(found, Skipped) else _section(around, found)
    load = TYPES.get(section.text("type")) if section else None
    if section is None or load is None:
        raise broken("the SDK credentials file no longer has the profile that was in use")
    return load(around, section)


def _name(around: Surroundings) -> str:
    return around.chosen_profile() or "default"


def _section(around: Surroundings, found: Found) -> Fields | None:
    # Without interpolation: for the SDK a percent sign in a value is an error, for us a character.
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(found.text)
    except configparser.Error:
        # The parser's own error quotes the line.
        raise broken(f"{found.path} is not an ini file that can be understood") from None
    name = _name(around)
    if not parser.has_section(name):
        return None
    values = {key: value.partition("#")[0].strip() for key, value in parser.items(name)}
    return Fields(f"{found.path}: {shown_profile(name)}", values)


def _access_key(around: Surroundings, section: Fields) -> Credentials:  # noqa: ARG001
    return Credentials(
        access_key_id=section.key_text("access_key_id"),
        access_key_secret=section.key_text("access_key_secret"),
        security_token="",
        source=section.where,
        expires=None,
    )


def _ram_role_arn(around: Surroundings, section: Fields) -> Credentials:
    return assume_role(around, _access_key(around, section), _role(section))


def _oidc_role_arn(around: Surroundings, section: Fields) -> Credentials:
    return assume_role_with_oidc(
        around,
        _role(section),
        provider_arn=section.required("oidc_provider_arn"),
        token_file=section.required("oidc_token_file_path"),
    )


def _ecs_ram_role(around: Surroundings, section: Fields) -> Credentials:
    return instance_role.load(around, section.text("role_name"))


def _role(section: Fields) -> RoleRequest:
    return RoleRequest(
        role_arn=section.required("role_arn"),
        session_name=section.text("role_session_name"),
        policy=section.block("policy"),
    )


TYPES: Mapping[str, Callable[[Surroundings, Fields], Credentials]] = {
    "access_key": _access_key,
    "ram_role_arn": _ram_role_arn,
    "oidc_role_arn": _oidc_role_arn,
    "ecs_ram_role": _ecs_ram_role,
}
REFUSED = ("rsa_key_pair", "sts", "bearer", "credentials_uri")

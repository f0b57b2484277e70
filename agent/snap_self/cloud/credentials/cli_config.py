"""The aliyun command line's configuration file, ``~/.aliyun/config.json``."""

from __future__ import annotations

from collections.abc import Mapping

from snap_self.cloud.credentials import cli_modes
from snap_self.cloud.credentials.cli_modes import Profile, shown_profile
from snap_self.cloud.credentials.fields import Fields, as_fields, parse_object
from snap_self.cloud.credentials.files import Found, find, warnings_about
from snap_self.cloud.credentials.sources import Offer, Skipped, Surroundings, broken
from snap_self.model.snapshots import Credentials

# Only the Go SDK reads this variable, but anybody who sets it means this file.
FILE = "ALIBABA_CLOUD_CONFIG_FILE"
SDK_SWITCH = "ALIBABA_CLOUD_CLI_PROFILE_DISABLED"
CLI_SWITCH = "ALIBABA_CLOUD_IGNORE_PROFILE"


def look(around: Surroundings) -> Offer | Skipped:
    """Offer the chosen profile.

    Raises:
        CredentialsUnusable: the file cannot be read or understood, or has no usable profile.
    """
    for switch in (SDK_SWITCH, CLI_SWITCH):
        if around.switched_on(switch):
            return Skipped(why=f"switched off by {switch}")
    found = find(around, FILE, (".aliyun/config.json",))
    if isinstance(found, Skipped):
        return found
    profile = _chosen(around, found)
    if profile is None:
        return Skipped(why="the named profile is not in it")
    if cli_modes.is_blank(profile) and not around.chosen_profile():
        return Skipped(why=f"{shown_profile(profile.name)} has not been filled in")
    return Offer(
        load=lambda: _load(around),
        how=f"{shown_profile(profile.name)}, mode {cli_modes.shown_mode(profile)}",
        stale_margin_s=cli_modes.stale_margin_s(profile),
        warnings=warnings_about(found),
    )


def _load(around: Surroundings) -> Credentials:
    """Read the file again each time, so that renewed keys in it are seen."""
    found = find(around, FILE, (".aliyun/config.json",))
    profile = None if isinstance(found, Skipped) else _chosen(around, found)
    if profile is None:
        raise broken("~/.aliyun/config.json no longer has the profile that was in use")
    return cli_modes.load(around, profile)


def _chosen(around: Surroundings, found: Found) -> Profile | None:
    """Return the profile to use; None if a profile was named that is not in the file."""
    config = parse_object(found.text, found.path)
    profiles = _profiles(config)
    named = around.chosen_profile()
    name = named or config.text("current") or "default"
    if name in profiles:
        return Profile(name=name, fields=profiles[name], others=profiles)
    if named:
        return None
    if profiles:
        hint = "Choose one: `aliyun configure switch --profile NAME`."
        raise broken(f"{found.path}: current names no profile of the file", hint=hint)
    return Profile(name=name, fields=Fields(found.path, {}), others={})


def _profiles(config: Fields) -> Mapping[str, Fields]:
    listed = config.values.get("profiles")
    if listed is None:
        return {}
    if not isinstance(listed, list):
        raise broken(f"{config.where}: profiles is not a list")
    profiles: dict[str, Fields] = {}
    for index, value in enumerate(listed):
        fields = as_fields(value, f"{config.where}: profiles[{index}]")
        name = fields.text("name")
        profiles.setdefault(name, Fields(f"{config.where}: {shown_profile(name)}", fields.values))
    return profiles

"""Which disks are encrypted, and with which key.

Source: CreateDisk of the ECS API reference (Encrypted, KMSKeyId, error codes). A plain disk where
the account encrypts by default is refused as one of an encrypted snapshot is (undocumented).
"""

from __future__ import annotations

from ecs_simulator.cloud import Cloud
from ecs_simulator.errors import ApiError
from ecs_simulator.params import Params
from ecs_simulator.records import Snapshot

# The account's key that the cloud itself manages.
SERVICE_KEY = "0e7c1a52-5f0b-4c57-9a3e-simulated000"
KEY_STATES = {
    "enabled": "",
    "disabled": "InvalidParameter.KMSKeyId.CMKNotEnabled",
    "untagged": "InvalidParameter.KMSKeyId.CMKUnauthorized",
    "unauthorized": "InvalidParameter.KMSKeyId.KMSUnauthorized",
    "deleted": "InvalidParameter.KMSKeyId.NotFound",
}


def choose(
    cloud: Cloud, params: Params, source: Snapshot | None, *, own_key: bool = True
) -> tuple[bool, str]:
    """Return whether a new disk is encrypted, and its key.

    Args:
        own_key: the request may name a key.

    Raises:
        ApiError: this disk must be encrypted, or the key cannot be used.
    """
    by_default = cloud.account.default_encryption
    asked = params.flag("Encrypted") if params.given("Encrypted") else None
    named = params.text("KMSKeyId") if own_key else ""
    must = source is not None and source.encrypted
    if asked is False and (must or by_default):
        raise ApiError("InvalidParameter.Encrypted", "This disk must be encrypted.")
    if named and not (asked or must or by_default):
        text = "The specified parameter Encrypted must be true when kmsKeyId is not empty."
        raise ApiError("InvalidParameter.EncryptedIllegal", text)
    if not (asked or must or by_default):
        return False, ""
    key = named or _default_key(cloud, source)
    _check(cloud, key, named=bool(named))
    return True, key


def _default_key(cloud: Cloud, source: Snapshot | None) -> str:
    if source is not None and source.encrypted:
        return source.kms_key_id or SERVICE_KEY
    return (
        cloud.account.default_kms_key_id if cloud.account.default_encryption else ""
    ) or SERVICE_KEY


def _check(cloud: Cloud, key: str, *, named: bool) -> None:
    known = {SERVICE_KEY, cloud.account.default_kms_key_id}
    known |= {disk.kms_key_id for disk in cloud.state.disks.values()}
    state = cloud.account.kms_keys.get(key, "enabled" if key in known or not named else "deleted")
    if KEY_STATES[state]:
        raise ApiError(KEY_STATES[state])

"""Keys in environment variables."""

from __future__ import annotations

from snap_self.cloud.credentials.fields import Fields
from snap_self.cloud.credentials.sources import Offer, Skipped, Surroundings, broken
from snap_self.model.snapshots import Credentials

KEY_ID = "ALIBABA_CLOUD_ACCESS_KEY_ID"
KEY_SECRET = "ALIBABA_CLOUD_ACCESS_KEY_SECRET"  # noqa: S105  (a variable's name)
TOKEN = "ALIBABA_CLOUD_SECURITY_TOKEN"  # noqa: S105  (a variable's name)
# Only the aliyun command line reads these; the SDK chain does not. The last name is so common that
# its key may belong to another cloud. So the agent mentions them and does not use them.
OLD_KEY_IDS = ("ALIBABACLOUD_ACCESS_KEY_ID", "ALICLOUD_ACCESS_KEY_ID", "ACCESS_KEY_ID")


def look(around: Surroundings) -> Offer | Skipped:
    """Offer the keys if they are set.

    Raises:
        CredentialsUnusable: only half of a key is set.
    """
    key_id, secret = around.variable(KEY_ID), around.variable(KEY_SECRET)
    if not key_id and not secret:
        old = [name for name in OLD_KEY_IDS if around.variable(name)]
        return Skipped(why=f"not set ({old[0]} is not read)" if old else "not set")
    if not key_id or not secret:
        there, lacking = (KEY_ID, KEY_SECRET) if key_id else (KEY_SECRET, KEY_ID)
        raise broken(f"{there} is set but {lacking} is not", hint="Set both or neither.")
    kind = "temporary keys" if around.variable(TOKEN) else "keys"
    return Offer(load=lambda: _load(around), how=kind)


def _load(around: Surroundings) -> Credentials:
    fields = Fields(
        "the environment", {name: around.variable(name) for name in (KEY_ID, KEY_SECRET, TOKEN)}
    )
    return Credentials(
        access_key_id=fields.key_text(KEY_ID),
        access_key_secret=fields.key_text(KEY_SECRET),
        security_token=fields.key_text(TOKEN) if fields.text(TOKEN) else "",
        source="environment",
        expires=None,
    )

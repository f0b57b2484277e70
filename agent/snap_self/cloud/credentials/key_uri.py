"""Keys from a URL that answers like the metadata service for a role."""

from __future__ import annotations

from snap_self.cloud.credentials.fields import successful_role_credentials
from snap_self.cloud.credentials.sources import Offer, Skipped, Surroundings, broken
from snap_self.errors import CloudUnreachable
from snap_self.instance.addresses import METADATA_HOST, split_url
from snap_self.model.addresses import is_loopback
from snap_self.model.snapshots import Credentials
from snap_self.ports import HttpFailed, HttpRequest

VARIABLE = "ALIBABA_CLOUD_CREDENTIALS_URI"
TIMEOUT_S = 5.0
TOTAL_S = 10.0


def look(around: Surroundings) -> Offer | Skipped:
    """Offer the URL's keys if the variable is set."""
    uri = around.variable(VARIABLE)
    if not uri:
        return Skipped(why="not set")
    return Offer(load=lambda: load(around, uri, VARIABLE), how=f"keys from {shown(uri)}")


def load(around: Surroundings, uri: str, where: str) -> Credentials:
    """Return the keys in the URL's answer.

    Plain http is allowed only to this machine's loopback addresses and the metadata service's
    address. Keys from anywhere else, also from a link-local address, travel over https only.
    Alibaba Cloud's own clients have the same rule.

    Source: ecctl documentation, "Credentials URI", on transport requirements.

    Args:
        where: where the URL is named, for messages.

    Raises:
        CredentialsUnusable: the URL may not be asked, or the answer is malformed.
        CloudUnreachable: there is no answer.
    """
    parts = split_url(uri)
    if parts is None or (parts.scheme == "http" and not _is_plain_allowed(parts.hostname or "")):
        hint = (
            "An https URL; http only for a loopback address such as 127.0.0.1 (not localhost, "
            "which is a name) and for 100.100.100.200."
        )
        raise broken(f"{where} is not a URL the agent may ask", hint=hint)
    request = HttpRequest(method="GET", url=uri, timeout_s=TIMEOUT_S, total_s=TOTAL_S)
    try:
        response = around.transport.send(request)
    except HttpFailed as failed:
        raise CloudUnreachable(
            f"no answer from the URL in {where}: {shown(uri)}: {_why(failed)}", hint=failed.hint
        ) from None
    if response.status != 200:
        raise broken(f"{shown(uri)} (from {where}) answered with status {response.status}")
    return successful_role_credentials(response.body, f"the answer of {shown(uri)}", where)


def shown(uri: str) -> str:
    """Return scheme, host and port: path and query of such a URL can be secret."""
    parts = split_url(uri)
    return f"{parts.scheme}://{parts.netloc}" if parts else "a malformed URL"


def _is_plain_allowed(host: str) -> bool:
    return host == METADATA_HOST or is_loopback(host)


def _why(failed: HttpFailed) -> str:
    """Return the adapter's reason without the address in front of it."""
    return str(failed).rpartition(": ")[2]

"""Keys from a URL that answers as the metadata service does for a role."""

from __future__ import annotations

from snap_self.cloud.credentials.fields import successful_role_credentials
from snap_self.cloud.credentials.sources import Offer, Skipped, Surroundings, broken
from snap_self.errors import CloudUnreachable
from snap_self.instance.addresses import is_local, split_url
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
    """Return the keys that the URL answers.

    Plain http is for agents on this machine or its hypervisor (loopback, link-local, the metadata
    address); keys from anywhere else travel over https only.

    Args:
        where: what names the URL, for messages.

    Raises:
        CredentialsUnusable: the URL may not be asked, or the answer is malformed.
        CloudUnreachable: there is no answer.
    """
    parts = split_url(uri)
    if parts is None or (parts.scheme == "http" and not is_local(parts.hostname or "")):
        hint = "An https URL; http only for loopback, link-local and 100.100.100.200."
        raise broken(f"{where} is not a URL the agent may ask", hint=hint)
    request = HttpRequest(method="GET", url=uri, timeout_s=TIMEOUT_S, total_s=TOTAL_S)
    try:
        response = around.transport.send(request)
    except HttpFailed as failed:
        raise CloudUnreachable(
            f"no answer from the URL in {where}: {shown(uri)}: {_why(failed)}"
        ) from None
    if response.status != 200:
        raise broken(f"{shown(uri)} (from {where}) answered with status {response.status}")
    return successful_role_credentials(response.body, f"the answer of {shown(uri)}", where)


def shown(uri: str) -> str:
    """Return scheme, host and port: path and query of such URLs can be secret."""
    parts = split_url(uri)
    return f"{parts.scheme}://{parts.netloc}" if parts else "a malformed URL"


def _why(failed: HttpFailed) -> str:
    """Return the adapter's reason without the address in front of it."""
    return str(failed).rpartition(": ")[2]

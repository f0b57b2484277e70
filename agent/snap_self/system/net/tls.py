"""The TLS settings of all our clients."""

from __future__ import annotations

import ssl


def client_context() -> ssl.SSLContext:
    """Return a context that accepts only a server whose certificate has exactly the name asked for.

    The name must be one of the certificate's alternative names; a common name alone does not count
    (RFC 9525, section 2). Unlike with ``ssl.create_default_context``, no environment variable makes
    it write session keys to a file. Certificate authorities are not loaded yet.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.hostname_checks_common_name = False
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context

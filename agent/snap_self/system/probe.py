"""The adapter that tries hosts of the ECS API side by side."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Sequence

from snap_self.model.endpoint import Endpoint
from snap_self.system.sdk import system_ca_bundle


class TlsProbe:
    """Implement ``ports.HostProbe`` with bare connections: no proxy is asked, nothing is sent.

    Args:
        ca_bundle: file of CA certificates; empty for the system's.
    """

    def __init__(self, *, ca_bundle: str = "") -> None:
        self._ca_bundle = ca_bundle

    def first(self, hosts: Sequence[Endpoint], *, window_s: float) -> Endpoint | None:
        """Return the earliest in the list that takes a connection within the window."""
        tls = ssl.create_default_context(cafile=self._ca_bundle or system_ca_bundle() or None)
        verdicts: dict[Endpoint, bool] = {}
        news = threading.Condition()

        def work(host: Endpoint) -> None:
            reached = _reach(host, tls, window_s)
            with news:
                verdicts[host] = reached
                news.notify()

        # Daemons, because a name lookup cannot be stopped and must not delay the exit.
        for host in hosts:
            threading.Thread(target=work, args=(host,), name="probe", daemon=True).start()
        end = time.monotonic() + window_s
        with news:
            news.wait_for(lambda: _settled(hosts, verdicts), end - time.monotonic())
            return next((host for host in hosts if verdicts.get(host)), None)


def _settled(hosts: Sequence[Endpoint], verdicts: dict[Endpoint, bool]) -> bool:
    """Tell whether no later news could change the choice."""
    for host in hosts:
        if host not in verdicts:
            return False
        if verdicts[host]:
            return True
    return True


def _reach(host: Endpoint, tls: ssl.SSLContext, timeout_s: float) -> bool:
    try:
        with socket.create_connection((host.host, host.port), timeout=timeout_s) as plain:
            if host.secure:
                with tls.wrap_socket(plain, server_hostname=host.host):
                    pass
    except (OSError, ValueError):
        return False
    return True

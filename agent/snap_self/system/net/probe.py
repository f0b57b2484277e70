"""The adapter that tries hosts of the ECS API in parallel."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence

from snap_self.model.endpoint import Endpoint, NetFault, NoWay
from snap_self.ports import Probed
from snap_self.system.net.netfault import describe
from snap_self.system.net.sdk import system_ca_bundle
from snap_self.system.net.tls import client_context
from snap_self.threads.thread import Thread


class TlsProbe:
    """Implement ``ports.HostProbe`` with bare connections: it uses no proxy and sends nothing.

    Args:
        ca_bundle: file of CA certificates; empty for the system's.
    """

    def __init__(self, *, ca_bundle: str = "") -> None:
        self._ca_bundle = ca_bundle

    def first(self, hosts: Sequence[Endpoint], *, window_s: float) -> Probed:
        """Return the first host in the list that accepts a connection within the window."""
        tls = client_context()
        if bundle := self._ca_bundle or system_ca_bundle():
            tls.load_verify_locations(bundle)
        else:
            tls.load_default_certs()
        verdicts: dict[Endpoint, NetFault | None] = {}
        news = threading.Condition()

        def work(host: Endpoint) -> None:
            verdict = _reach(host, tls, window_s)
            with news:
                verdicts[host] = verdict
                news.notify()

        # Daemons, because a name lookup cannot be stopped and must not delay the exit.
        for host in hosts:
            Thread(target=work, args=(host,), name="probe", daemon=True).start()
        end = time.monotonic() + window_s
        with news:
            news.wait_for(lambda: _settled(hosts, verdicts), end - time.monotonic())
            return _probed(hosts, verdicts, window_s)


def _probed(
    hosts: Sequence[Endpoint], verdicts: Mapping[Endpoint, NetFault | None], window_s: float
) -> Probed:
    late = NetFault(reason=f"no connection in {window_s:g} s", unsent=True, way=NoWay.CONNECTION)
    faults: dict[Endpoint, NetFault] = {}
    for host in hosts:
        fault = verdicts.get(host, late)
        if fault is None:
            return Probed(found=host, faults=faults)
        faults[host] = fault
    return Probed(found=None, faults=faults)


def _settled(hosts: Sequence[Endpoint], verdicts: Mapping[Endpoint, NetFault | None]) -> bool:
    """Return whether no later result could change the choice."""
    for host in hosts:
        if host not in verdicts:
            return False
        if verdicts[host] is None:
            return True
    return True


def _reach(host: Endpoint, tls: ssl.SSLContext, timeout_s: float) -> NetFault | None:
    """Return why a host accepts no connection; None if it does."""
    try:
        with socket.create_connection((host.host, host.port), timeout=timeout_s) as plain:
            if host.secure:
                with tls.wrap_socket(plain, server_hostname=host.host):
                    pass
    except (OSError, ValueError) as error:
        return describe(error)
    return None

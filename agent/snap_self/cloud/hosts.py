"""The region's hosts behind one ``Rpc``: calls go to one of them for as long as it answers.

A host that was remembered from an earlier command is asked at once, without a probe. What was
remembered may be wrong by now: a public address is released, a private endpoint comes into being.
So when a host gives no answer the others are tried in the same command, and what does not answer
is not remembered.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from snap_self.model.endpoint import Endpoint, NetFault, NoWay
from snap_self.model.snapshots import Credentials
from snap_self.ports import HostProbe, Rpc, RpcFailed

# The first answer of a host that nobody has heard of in this process is not waited for longer
# while there are others to be tried.
UNPROVED_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Detour:
    """What was found when a host gave no answer.

    Args:
        found: calls go to another host from now on.
        faults: why the others that were tried do not do.
    """

    found: bool = False
    faults: Mapping[Endpoint, NetFault] = field(default_factory=dict)


NO_DETOUR = Detour()


class Hosts:
    """Implement ``ports.Rpc`` over several hosts; safe to use from several threads.

    Args:
        hosts: all there are, the best first.
        first: the one to begin with.
        proved: it has just taken a connection; False for one that is only remembered.
        make: gives the calls to one host.
        remember: keeps a host's name for the next command; an empty one makes it look anew.
        quiet: tells that nothing may be written now.
    """

    def __init__(
        self,
        hosts: Sequence[Endpoint],
        first: Endpoint,
        *,
        proved: bool,
        probe: HostProbe,
        make: Callable[[Endpoint], Rpc],
        remember: Callable[[str], None],
        quiet: Callable[[], bool] = lambda: False,
    ) -> None:
        self._hosts = tuple(hosts)
        self._current = first
        self._proved = proved
        self._probe = probe
        self._make = make
        self._remember = remember
        self._quiet = quiet
        self._lock = threading.Lock()
        self._rpcs: dict[Endpoint, Rpc] = {}
        self._doubted: set[Endpoint] = set()
        self._noted = "" if proved else first.host

    def call(
        self, action: str, params: Mapping[str, str], *, timeout_s: float, credentials: Credentials
    ) -> Mapping[str, Any]:
        """Return the answer of the host that calls go to now.

        Raises:
            RpcFailed: it gave no good one.
        """
        with self._lock:
            host = self._current
            if host not in self._rpcs:
                self._rpcs[host] = self._make(host)
            rpc = self._rpcs[host]
            hasty = not self._proved and not self._doubted and len(self._hosts) > 1
        limit_s = min(timeout_s, UNPROVED_S) if hasty else timeout_s
        try:
            answer = rpc.call(action, params, timeout_s=limit_s, credentials=credentials)
        except RpcFailed as failure:
            if failure.code:
                self._answered(host)
            raise
        self._answered(host)
        return answer

    def elsewhere(self, failure: RpcFailed, window_s: float) -> Detour:
        """Have calls go to another host if there is one that takes connections.

        A host that answered before is asked once more before it is left: one broken connection
        means nothing, and the host inside the VPC is the better one.

        Args:
            failure: of a call to which the API gave no answer.
        """
        if failure.way in (None, NoWay.OWN) or len(self._hosts) == 1:
            return NO_DETOUR
        with self._lock:
            if failure.host != self._current.host:
                return Detour(found=True)  # another thread has been here
            once_more = self._proved and not failure.lasting and self._current not in self._doubted
            others = [host for host in self._hosts if host not in self._doubted]
            if not once_more:
                others = [host for host in others if host != self._current]
            self._doubted.add(self._current)
            return self._moved(others, window_s)

    def _moved(self, others: Sequence[Endpoint], window_s: float) -> Detour:
        if not others:
            self._doubted = {self._current}
            self._note("")
            return NO_DETOUR
        probed = self._probe.first(others, window_s=window_s)
        if probed.found is None:
            self._note("")
        elif probed.found != self._current:
            self._current, self._proved = probed.found, True
            self._note(probed.found.host)
            return Detour(found=True, faults=probed.faults)
        return Detour(faults=probed.faults)

    def _answered(self, host: Endpoint) -> None:
        with self._lock:
            if host == self._current:
                self._proved = True
                self._doubted.clear()
                self._note(host.host)

    def _note(self, name: str) -> None:
        if name != self._noted and not self._quiet():
            self._noted = name
            self._remember(name)

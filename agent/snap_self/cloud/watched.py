"""Calls that are counted, and that tell when the cloud refuses one as one too many."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from snap_self.cloud.retry import Trouble, classify
from snap_self.model.snapshots import Credentials
from snap_self.ports import Rpc, RpcFailed


class Watched:
    """Implement ``ports.Rpc`` over another one.

    Args:
        called: is told of each call's action before it is made; must not block.
        throttled: is told of each such refusal; must not block.
    """

    def __init__(
        self, rpc: Rpc, *, called: Callable[[str], None], throttled: Callable[[str], None]
    ) -> None:
        self._rpc = rpc
        self._called = called
        self._throttled = throttled

    def call(
        self, action: str, params: Mapping[str, str], *, timeout_s: float, credentials: Credentials
    ) -> Mapping[str, Any]:
        """Return the answer. Raises as the other one does."""
        self._called(action)
        try:
            return self._rpc.call(action, params, timeout_s=timeout_s, credentials=credentials)
        except RpcFailed as failure:
            if classify(failure) is Trouble.THROTTLED:
                self._throttled(action)
            raise

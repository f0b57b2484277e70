"""Unlock MongoDB when the agent is gone: a process of its own, run by ``UnlockerStarter``.

It reads its orders as one line, connects, says READY, and reads on. ``DISMISSED`` ends it; the end
of the pipe, or the time limit of the hold, makes it unlock once, if it was ``ARMED``: before that
a lock can only be somebody else's.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from snap_self.model.identity import ExpectedPeer
from snap_self.quiesce.applications.base import library
from snap_self.quiesce.applications.mongodb import SOCKET_NAME, connect
from snap_self.system.applications.server_sockets import LocalServerSockets
from snap_self.threads.thread import Thread

ARMED = "ARMED\n"
DISMISSED = "DISMISSED\n"


def main(orders_in: TextIO, answers: TextIO) -> int:
    """Serve one agent; return the exit status."""
    orders = json.loads(orders_in.readline())
    with _host(orders) as host:
        return _watch(orders, connect(orders, host), orders_in, answers)


@contextmanager
def _host(orders: Mapping[str, Any]) -> Iterator[str]:
    """Yield where the server is, proved anew: what is pinned is pinned in one process.

    Raises:
        PermissionError: somebody else listens there.
    """
    if orders["host"]:
        yield orders["host"]
        return
    pinned = LocalServerSockets(orders["folder"]).pin(orders["path"], root=orders["root"])
    try:
        link, peer = pinned.connect(orders["timeout_ms"] / 1000)
        link.close()
        if why := ExpectedPeer(**orders["peer"]).stranger(peer):
            raise PermissionError(why)
        yield pinned.under(SOCKET_NAME)
    finally:
        pinned.close()


def _watch(orders: Mapping[str, Any], client: Any, orders_in: TextIO, answers: TextIO) -> int:
    """Be ready, and unlock if nobody says otherwise; return the exit status."""
    client.admin.command("ping")
    answers.write("READY\n")
    answers.flush()
    # A thread that waits for the agent, so that this one can wait for whichever comes first.
    heard: list[str] = []
    ended = threading.Event()
    Thread(target=_listen, args=(orders_in, heard, ended), daemon=True).start()
    ended.wait(float(orders["hold_s"]))
    if ARMED not in heard or DISMISSED in heard:
        return 0
    return _unlock(client)


def _listen(orders_in: TextIO, heard: list[str], ended: threading.Event) -> None:
    heard.append(orders_in.readline())
    while heard[-1] == ARMED:
        heard.append(orders_in.readline())
    ended.set()


def _unlock(client: Any) -> int:
    try:
        client.admin.command("fsyncUnlock")
    except library("pymongo", "pymongo").errors.PyMongoError:
        return 1
    return 0

"""Unlock MongoDB when the agent is gone: a process of its own, run by ``UnlockerStarter``.

It reads its orders as one line, connects, says READY, and reads on. ``DISMISSED`` ends it; the end
of the pipe, or the time limit of the hold, makes it unlock once, if it was ``ARMED``: before that
a lock can only be somebody else's.
"""

from __future__ import annotations

import json
import threading
from typing import Any, TextIO

from snap_self.quiesce.applications.base import library
from snap_self.quiesce.applications.mongodb import connect

ARMED = "ARMED\n"
DISMISSED = "DISMISSED\n"


def main(orders_in: TextIO, answers: TextIO) -> int:
    """Serve one agent; return the exit status."""
    orders = json.loads(orders_in.readline())
    client = connect(orders)
    client.admin.command("ping")
    answers.write("READY\n")
    answers.flush()
    # A thread that waits for the agent, so that this one can wait for whichever comes first.
    heard: list[str] = []
    ended = threading.Event()
    threading.Thread(target=_listen, args=(orders_in, heard, ended), daemon=True).start()
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

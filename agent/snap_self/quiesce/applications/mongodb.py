"""MongoDB: ``fsyncLock`` and ``fsyncUnlock`` in balance; a process unlocks for a dead agent.

The lock is the server's, not the connection's: it would outlive a killed agent. So a process of
its own is ready to unlock before the lock is taken, and does when the agent's pipe closes.

Source: MongoDB manual, "fsync", "fsyncUnlock": locks are counted, each needs one unlock.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from snap_self.errors import QuiesceFailed
from snap_self.ports import Unlocker
from snap_self.quiesce.applications.base import (
    Limit,
    Server,
    Tools,
    library,
    password_of,
    told,
)

UNLOCKER = "snap_self.quiesce.applications.mongodb_unlocker"
STATE_LIMIT_MS = 1000
NOT_LOCKED = 20
"""IllegalOperation in MongoDB's table of error codes."""


class MongoDbDriver:
    """Flush and lock the server; commands go over one connection."""

    def __init__(self, server: Server, tools: Tools) -> None:
        self._server = server
        self._tools = tools
        self._client: Any = None
        self._unlocker: Unlocker | None = None
        self._locked = False

    def errors(self) -> tuple[type[Exception], ...]:
        """Return what the library raises."""
        return (library("pymongo", "pymongo").errors.PyMongoError, OSError)

    def open(self, limit: Limit) -> None:
        """Connect; have the unlocker ready."""
        orders = self._orders(limit)
        self._client = connect(orders)
        self._client.admin.command("ping")
        try:
            self._unlocker = self._tools.unlockers.start(
                UNLOCKER, orders=json.dumps(orders), timeout_s=limit.left()
            )
        except OSError as error:
            raise QuiesceFailed(
                f"nobody would unlock it if the agent died: {error}",
                hint="nothing is locked; run it again",
            ) from error

    def hold(self, limit: Limit) -> None:
        """Write everything out and stop writes."""
        milliseconds = max(1, int(limit.left() * 1000))
        command = {"fsync": 1, "lock": True, **self._acquisition_limit(milliseconds)}
        if self._unlocker is not None:
            self._unlocker.arm()
        self._locked = True  # a lost answer may stand for a lock
        try:
            self._client.admin.command(command)
        except library("pymongo", "pymongo").errors.OperationFailure:
            self._locked = False  # it said no; an unlock would end somebody else's lock
            raise

    def state(self) -> str:
        """Ask whether it is locked; reading is what a locked server still does."""
        answer = self._client.admin.command("currentOp", maxTimeMS=STATE_LIMIT_MS)
        return "" if answer.get("fsyncLock") else "it is no longer locked"

    def release(self) -> str:
        """Unlock once; tell if somebody else's lock is left."""
        try:
            answer = self._client.admin.command("fsyncUnlock")
        except self.errors() as error:
            if getattr(error, "code", None) == NOT_LOCKED:
                self._locked = False  # an unlock would end somebody else's lock
            elif why := self._unlock_apart():
                return f"it may still be locked (db.fsyncUnlock() ends that): {told(error)}; {why}"
            raise
        self._locked = False
        left = int(answer.get("lockCount", 0))
        return f"{left} locks of others are left" if left else ""

    def _unlock_apart(self) -> str:
        """Have the unlocker do it; return an empty text or what went wrong."""
        unlocker, self._unlocker = self._unlocker, None
        self._locked = False
        return unlocker.act() if unlocker is not None else "there is nobody left to unlock it"

    def close(self) -> None:
        """Drop the connection; the unlocker acts on a lock that may be left, and goes otherwise."""
        client, self._client = self._client, None
        unlocker, self._unlocker = self._unlocker, None
        if unlocker is not None:
            unlocker.act() if self._locked else unlocker.dismiss()
        self._locked = False
        if client is not None:
            client.close()

    def _acquisition_limit(self, milliseconds: int) -> dict[str, int]:
        """Return the server's own limit for taking the lock, which it has from 7.1 on."""
        build = self._client.admin.command("buildInfo")
        version = tuple(int(part) for part in str(build["version"]).split(".")[:2])
        return {"fsyncLockAcquisitionTimeoutMillis": milliseconds} if version >= (7, 1) else {}

    def _orders(self, limit: Limit) -> dict[str, Any]:
        settings, process = self._server.settings, self._server.process
        listed = [self._server.seen_from_here(path) for path in process.sockets[:1]]
        listed += [f"127.0.0.1:{port}" for port in process.ports[:1]]
        if not settings.socket and not listed:
            # At the usual port another server may answer: this one's may be in a container.
            raise QuiesceFailed(
                "it listens neither on a local socket nor on loopback",
                hint="name its socket: applications.mongodb.socket",
            )
        return {
            "host": settings.socket or listed[0],
            "user": settings.user,
            "password": password_of(settings, self._tools.read_text),
            "timeout_ms": max(1, int(limit.left() * 1000)),
            "hold_s": self._tools.hold_s,
        }


def connect(orders: dict[str, Any]) -> Any:
    """Return a client of one connection that tries nothing twice."""
    pymongo = library("pymongo", "pymongo")
    login = {"username": orders["user"], "password": orders["password"]} if orders["user"] else {}
    return pymongo.MongoClient(
        f"mongodb://{quote(orders['host'], safe=':')}/",
        directConnection=True,
        serverSelectionTimeoutMS=orders["timeout_ms"],
        socketTimeoutMS=orders["timeout_ms"],
        connectTimeoutMS=orders["timeout_ms"],
        maxPoolSize=1,
        retryReads=False,
        retryWrites=False,
        **login,
    )

"""MongoDB: ``fsyncLock`` and ``fsyncUnlock`` in balance; a process unlocks for a dead agent.

The lock is the server's, not the connection's: it would outlive a killed agent. So a process of
its own is ready to unlock before the lock is taken, and does when the agent's pipe closes.

Source: MongoDB manual, "fsync", "fsyncUnlock": locks are counted, each needs one unlock.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from snap_self.errors import QuiesceFailed
from snap_self.ports import PinnedSocket, Unlocker
from snap_self.quiesce.applications.access import Access
from snap_self.quiesce.applications.base import (
    Limit,
    Server,
    Tools,
    library,
    password_for,
    told,
)

UNLOCKER = "snap_self.quiesce.applications.mongodb_unlocker"
SOCKET_NAME = "mongodb.sock"
"""PyMongo takes a path for a local socket by its ending."""
STATE_LIMIT_MS = 1000
NOT_LOCKED = 20
"""IllegalOperation in MongoDB's table of error codes."""


class MongoDbDriver:
    """Flush and lock the server; commands go over one connection."""

    def __init__(self, server: Server, tools: Tools) -> None:
        self._server = server
        self._tools = tools
        self._client: Any = None
        self._pinned: PinnedSocket | None = None
        self._unlocker: Unlocker | None = None
        self._locked = False

    def open(self, limit: Limit) -> None:
        """Connect; have the unlocker ready."""
        access = Access(self._server, self._tools)
        orders = self._orders(access, limit)
        self._client = connect(orders, orders["host"] or self._pinned_host())
        self._client.admin.command("ping")
        if orders["host"]:
            access.loopback(self._server.process.ports[0], limit).close()
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
        except (library("pymongo", "pymongo").errors.PyMongoError, OSError) as error:
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
        try:
            if client is not None:
                client.close()
        finally:
            pinned, self._pinned = self._pinned, None
            if pinned is not None:
                pinned.close()

    def _acquisition_limit(self, milliseconds: int) -> dict[str, int]:
        """Return the server's own limit for taking the lock, which it has from 7.1 on."""
        build = self._client.admin.command("buildInfo")
        version = tuple(int(part) for part in str(build["version"]).split(".")[:2])
        return {"fsyncLockAcquisitionTimeoutMillis": milliseconds} if version >= (7, 1) else {}

    def _orders(self, access: Access, limit: Limit) -> dict[str, Any]:
        """Return what the unlocker needs to reach and prove the server by itself.

        ``host`` stays empty where a local socket leads to it: each process pins that itself.
        """
        settings, process = self._server.settings, self._server.process
        orders = {
            "host": "",
            "user": settings.user,
            "password": password_for(self._server, self._tools),
            "timeout_ms": max(1, int(limit.left() * 1000)),
            "hold_s": self._tools.hold_s,
        }
        if access.paths:
            path = access.reach(access.paths, lambda path: self._pin(path, access, limit))
            return orders | {
                "path": path,
                "root": "" if settings.socket else self._server.root,
                "peer": asdict(access.expected),
                "folder": self._tools.sockets.folder,
            }
        if not process.ports:
            # At the usual port another server may answer: this one's may be in a container.
            raise QuiesceFailed(
                "it listens neither on a local socket nor on loopback",
                hint="name its socket: applications.mongodb.socket",
            )
        if settings.user:
            # PyMongo connects by itself, so that nobody could look who answers before it logs in.
            raise QuiesceFailed(
                "it listens on no local socket, and over a port no password is sent",
                hint="let it listen on one: net.unixDomainSocket of mongod.conf",
            )
        access.loopback(process.ports[0], limit).close()
        return orders | {"host": f"127.0.0.1:{process.ports[0]}"}

    def _pin(self, path: str, access: Access, limit: Limit) -> str:
        pinned = access.pin(path, limit)
        with ExitStack() as unless_proved:
            unless_proved.callback(pinned.close)
            access.prove(pinned, path, limit)
            unless_proved.pop_all()
        self._pinned = pinned
        return path

    def _pinned_host(self) -> str:
        assert self._pinned is not None
        return self._pinned.under(SOCKET_NAME)


def connect(orders: Mapping[str, Any], host: str) -> Any:
    """Return a client of one connection that tries nothing twice.

    It logs in with SCRAM, which shows nobody the password: PyMongo uses nothing else unless told.
    """
    pymongo = library("pymongo", "pymongo")
    login = {"username": orders["user"], "password": orders["password"]} if orders["user"] else {}
    return pymongo.MongoClient(
        f"mongodb://{quote(host, safe=':')}/",
        directConnection=True,
        serverSelectionTimeoutMS=orders["timeout_ms"],
        socketTimeoutMS=orders["timeout_ms"],
        connectTimeoutMS=orders["timeout_ms"],
        maxPoolSize=1,
        retryReads=False,
        retryWrites=False,
        **login,
    )

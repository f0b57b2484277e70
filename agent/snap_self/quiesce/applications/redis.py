"""Redis: its dump made anew, or its append-only file written out; writes paused until the cut.

With an append-only file Redis starts from that, otherwise from the dump: what was written after
the dump began is not in it. The pause is not tied to the connection but ends by itself; before
Redis 6.2 there is none for writes alone, so nothing is paused there.

Source: Redis documentation of BGSAVE, LASTSAVE, CLIENT PAUSE and the INFO section persistence.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any

from snap_self.errors import QuiesceFailed, UsageError
from snap_self.quiesce.applications.access import Access
from snap_self.quiesce.applications.base import Limit, Server, Tools, library, password_for

POLL_S = 0.05
RELEASE_LIMIT_S = 5.0
PAUSE_FOR_WRITES = (6, 2)


class RedisDriver:
    """Have the dataset on disk, then hold writes back."""

    def __init__(self, server: Server, tools: Tools) -> None:
        self._server = server
        self._tools = tools
        self._client: Any = None
        self._pause: Limit | None = None

    def open(self, limit: Limit) -> None:
        """Connect once, over the local socket or loopback."""
        password = password_for(self._server, self._tools)
        access = Access(self._server, self._tools)
        if access.paths:
            access.reach(access.paths, lambda path: self._log_in(path, access, password, limit))
        elif self._server.process.ports:
            self._log_in(self._server.process.ports[0], access, password, limit)
        else:
            raise QuiesceFailed(
                "it listens neither on a local socket nor on loopback",
                hint="name its socket: applications.redis.socket",
            )

    def _log_in(self, where: str | int, access: Access, password: str, limit: Limit) -> None:
        """Log in over a path or port; each connection, also a later one, is proved first."""
        redis = library("redis", "redis")

        def connected(_: object) -> Any:
            # A connection that was dropped is made anew to end the pause, when that limit is over.
            until = self._release_limit() if self._pause else limit
            if isinstance(where, int):
                return access.loopback(where, until)
            return access.link(where, until)

        proved = type("Proved", (redis.UnixDomainSocketConnection,), {"_connect": connected})
        pool = redis.ConnectionPool(
            connection_class=proved,
            path=str(where),
            username=self._server.settings.user or None,
            password=password or None,
            socket_timeout=limit.left(),
            retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0),
        )
        try:
            self._client = redis.Redis(connection_pool=pool, single_connection_client=True)
            self._client.ping()
        except redis.AuthenticationError as error:
            if password:
                raise
            raise QuiesceFailed(
                "it asks for a password, and none is configured",
                hint="name the file it is in: applications.redis = { password_file = … }",
            ) from error

    def hold(self, limit: Limit) -> None:
        """Make the dump first, since writes need not wait for that."""
        facts = self._client.info("server")
        if facts.get("redis_mode") == "sentinel":
            return  # it keeps nothing but a configuration, which it writes whole
        appends = self._persistence()["aof_enabled"]
        if not appends and not self._is_cache():
            self._dump(limit)
        if _has_pause(facts):
            self._pause = Limit(
                self._tools.clock, self._tools.clock.monotonic() + self._tools.hold_s
            )
            self._client.execute_command("CLIENT", "PAUSE", self._tools.hold_s * 1000, "WRITE")
        if appends:
            self._wait_for_appends(limit)

    def state(self) -> str:
        """Look at the clock and the connection alone."""
        if self._pause and self._tools.clock.monotonic() >= self._pause.at:
            return "the pause of its writes ran out"
        return self._tools.link(self._client.connection._sock.fileno())

    def release(self) -> str:
        """Let writes go on."""
        if self._pause is None:
            return ""
        ran_out = self._tools.clock.monotonic() >= self._pause.at
        self._unpause()
        return "the pause of its writes ran out" if ran_out else ""

    def close(self) -> None:
        """Drop the connection; a pause would outlive it, so it is ended before."""
        client, self._client = self._client, None
        if client is None:
            return
        try:
            if self._pause is not None:
                client.execute_command("CLIENT", "UNPAUSE")
        except (library("redis", "redis").RedisError, OSError, QuiesceFailed):
            self._pause = None  # it ends by itself
        finally:
            client.close()

    def _release_limit(self) -> Limit:
        return Limit(self._tools.clock, self._tools.clock.monotonic() + RELEASE_LIMIT_S)

    def _unpause(self) -> None:
        self._client.execute_command("CLIENT", "UNPAUSE")
        self._pause = None

    def _is_cache(self) -> bool:
        """Tell whether it is never to dump and never did: a dump of ours would be loaded later.

        Without the right to ask (``CONFIG GET``) it does not count as one.
        """
        try:
            points = self._client.config_get("save")["save"]
            name = self._client.config_get("dbfilename")["dbfilename"]
        except library("redis", "redis").ResponseError:
            return False
        try:
            path = posixpath.join(self._server.data_dir, name)
            self._tools.locate(self._server.process.pid, path)
        except UsageError:
            return not points
        return False

    def _persistence(self) -> dict[str, Any]:
        found: dict[str, Any] = self._client.info("persistence")
        return found

    def _dump(self, limit: Limit) -> None:
        """Wait for a dump that was begun after this call.

        LASTSAVE counts whole seconds, and a dump that is only scheduled (behind a rewrite of the
        append-only file) is not seen as under way: one of the same second must not pass for it.
        """
        before = self._persistence()
        while before["rdb_bgsave_in_progress"] or before["rdb_last_save_time"] == self._seconds():
            limit.pause(POLL_S)
            before = self._persistence()
        was_seen = before["rdb_last_bgsave_status"] == "ok"
        self._client.execute_command("BGSAVE", "SCHEDULE")
        while True:
            facts = self._persistence()
            if facts["rdb_bgsave_in_progress"]:
                was_seen = True
            elif facts["rdb_last_save_time"] != before["rdb_last_save_time"]:
                return
            elif was_seen and facts["rdb_last_bgsave_status"] != "ok":
                raise QuiesceFailed("its dump failed", hint=_DUMP_FAILED)
            limit.pause(POLL_S)

    def _seconds(self) -> int:
        return int(self._client.time()[0])

    def _wait_for_appends(self, limit: Limit) -> None:
        """Wait until all that clients were told is written, and no rewrite or sync is under way."""
        while True:
            facts = self._persistence()
            if facts["aof_last_write_status"] != "ok":
                raise QuiesceFailed("it cannot write its append-only file", hint="see its log")
            busy = facts["aof_rewrite_in_progress"] or facts["aof_pending_bio_fsync"]
            if not busy and not facts["aof_buffer_length"]:
                return
            limit.pause(POLL_S)


def _has_pause(facts: Mapping[str, Any]) -> bool:
    version = str(facts["redis_version"]).split(".")
    return tuple(int(part) for part in version[:2]) >= PAUSE_FOR_WRITES


_DUMP_FAILED = (
    "its log says why; is the disk full? Until a dump succeeds it refuses its clients' writes, "
    "unless stop-writes-on-bgsave-error is off: mend it and run BGSAVE"
)

"""The follower: watch uploads to their end, and have a reboot refused meanwhile.

One follower serves every run there is. It asks rarely, since API limits are shared by the whole
account, and ends by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from snap_self.cloud.client import EcsClient
from snap_self.errors import CloudThrottled, CloudUnreachable, EnvironmentFault, SnapSelfError
from snap_self.model.ids import RunId
from snap_self.model.progress import Event, EventKind
from snap_self.model.run import FollowerRecord, RunRecord, Upload
from snap_self.ports import Inhibitor, RunLock
from snap_self.usecases.pending import look
from snap_self.usecases.tools import Tools
from snap_self.usecases.uploads import made_ids

FIRST_PAUSE_S = 2.0
PAUSE_GROWTH = 1.3
MOST_PAUSE_S = 60.0
# Nobody can tell then whether the upload goes on, and a reboot may be what mends the network.
UNSEEN_S = 900.0
SHOWN_RUNS = 3
LIMIT_REACHED = "the limit follow.limit was reached"
ALIVE = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """What a follower works with.

    Args:
        lock: kept by the one follower there is.
        limit_s: no run is watched longer.
    """

    inhibitor: Inhibitor
    lock: RunLock
    limit_s: float


def follow(tools: Tools, watching: Watching) -> str:
    """Watch every upload that goes on until none does or its limit is reached.

    Returns:
        What became of it, in words.
    """
    told = "nothing is being uploaded"
    # A run that came while the last one was being left is not to be forgotten.
    while _followed(tools, watching.limit_s):
        with watching.lock.attempt(purpose="follow uploads") as held:
            if not held:
                return "another follower watches already"
            told = _Follower(tools, watching).watch() or "all uploads have ended"
    return told


def _followed(tools: Tools, limit_s: float) -> tuple[RunRecord, ...]:
    """Return the runs that are to be watched now."""
    now = tools.clock.now()
    return tuple(r for r in tools.store.uploading() if not _is_left(r, limit_s, now))


def _is_left(record: RunRecord, limit_s: float, now: datetime) -> bool:
    """Tell whether a run is not to be watched any more, though its upload may go on."""
    follower = record.upload.follower if record.upload else None
    if follower is None:
        return now - record.started >= timedelta(seconds=limit_s)
    return bool(follower.ended) or now >= follower.until


@dataclass(slots=True)
class _Follower:
    """Watches until there is nothing to watch."""

    tools: Tools
    watching: Watching
    _held: str = ""
    _why: str = ""
    _client: EcsClient | None = None
    _seen: float = 0.0
    _mine: set[RunId] = field(default_factory=set)

    def watch(self) -> str:
        """Watch; return why it was given up, or nothing if there is no upload any more."""
        pause_s = FIRST_PAUSE_S
        self._seen = self.tools.clock.monotonic()
        try:
            while records := _followed(self.tools, self.watching.limit_s):
                self._hold(records)
                self._sign(records)
                if why := self._look():
                    return self._leave(why)
                if self.tools.store.uploading():
                    self.tools.clock.sleep(pause_s)
                pause_s = min(pause_s * PAUSE_GROWTH, MOST_PAUSE_S)
        finally:
            self.watching.inhibitor.release()
        return self._leave(LIMIT_REACHED)

    def _hold(self, records: Sequence[RunRecord]) -> None:
        """Hold a reboot back; say for what, and take it up anew when that has changed."""
        words = reason(records)
        if words == self._held:
            return
        self._why = self.watching.inhibitor.hold(words)
        self._held = words
        if self._why:
            self._tell(f"no reboot is held back: {self._why}", EventKind.WARNING)
        else:
            self._tell(f"shutdown and reboot are held back: {words}", EventKind.NOTE)

    def _sign(self, records: Sequence[RunRecord]) -> None:
        """Put into the journal who watches these runs."""
        for record in records:
            if record.run_id not in self._mine and self._change(record, ended=ALIVE):
                self._mine.add(record.run_id)

    def _look(self) -> str:
        """Ask the cloud, and keep what it shows; return why there is no use in going on."""
        records = _followed(self.tools, self.watching.limit_s)
        try:
            self._client = self._client or self.tools.connect(self.tools.identify())
            looked = look(self.tools, self._client, records)
            unseen = "" if looked.shown else "the cloud shows none of the snapshots"
        except (CloudUnreachable, CloudThrottled, EnvironmentFault) as error:
            return self._patience(error.message)
        except SnapSelfError as error:
            return error.message
        for before, after in looked.records:
            self._save(before, after)
        return self._patience(unseen)

    def _patience(self, why: str) -> str:
        """Return why nothing is seen, once that has lasted too long."""
        now = self.tools.clock.monotonic()
        self._seen = self._seen if why else now
        return why if now - self._seen >= UNSEEN_S else ""

    def _leave(self, why: str) -> str:
        """Put into the journal that what still goes on is not watched any more; say so."""
        left = False
        for record in self.tools.store.uploading():
            follower = record.upload.follower if record.upload else None
            if record.run_id in self._mine and not (follower and follower.ended):
                self._change(record, ended=why)
                left = True
        return f"the uploads are not watched any more: {why}" if left else ""

    def _change(self, record: RunRecord, *, ended: str) -> bool:
        """Put the follower into a record; tell whether that could be done now."""
        upload = record.upload
        return upload is None or self._save(
            record, replace(record, upload=self._signed(upload, ended))
        )

    def _signed(self, upload: Upload, ended: str) -> Upload:
        now, process = self.tools.clock.now(), self.tools.process
        known = upload.follower
        follower = FollowerRecord(
            pid=process.pid,
            pid_started=self.tools.process_started(process.pid) or 0,
            boot_id=process.boot_id,
            # Whoever watched before, the limit is the same: a reboot is not held back for longer.
            until=known.until if known else now + timedelta(seconds=self.watching.limit_s),
            held=not self._why,
            why=self._why,
            ended=ended,
        )
        return replace(upload, follower=follower)

    def _save(self, before: RunRecord, after: RunRecord) -> bool:
        """Keep a change, unless somebody else changed the record or is about to."""
        if after == before:
            return True
        with self.tools.lock.attempt(purpose="note what became of an upload") as held:
            if not held or self.tools.store.load(before.run_id) != before:
                return False
            self.tools.store.save(after)
        if after.upload and not after.upload.going_on:
            self._tell(f"run {after.run_id}: {after.upload.text}", EventKind.NOTE)
        return True

    def _tell(self, text: str, kind: EventKind) -> None:
        self.tools.listener(Event(kind=kind, text=text))


def reason(records: Sequence[RunRecord]) -> str:
    """Return what logind tells people whose reboot it refuses."""
    runs = [f"{r.run_id} (before {r.before[:40]!r})" for r in records[:SHOWN_RUNS]]
    more = f" and {len(records) - SHOWN_RUNS} more" if len(records) > SHOWN_RUNS else ""
    shots = [sid for record in records for sid in made_ids(record)][: 2 * SHOWN_RUNS]
    named = f": {', '.join(shots)}" if shots else ""
    return f"snapshots of {', '.join(runs)}{more} are being uploaded{named}"

"""The follower: watch uploads to their end, and have a reboot refused meanwhile.

One follower serves every run there is. It asks rarely, since API limits are shared by the whole
account, and ends by itself. It reads the journal more often, which costs nobody anything: another
run may have begun, or another command may have seen an upload end.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import inf

from snap_self.cloud.client import EcsClient
from snap_self.errors import CloudThrottled, CloudUnreachable, EnvironmentFault, SnapSelfError
from snap_self.model.ids import InstanceId, RunId
from snap_self.model.progress import Event, EventKind
from snap_self.model.run import FollowerRecord, RunRecord, Upload
from snap_self.model.shown import printable, shown
from snap_self.ports import Inhibitor, RunLock
from snap_self.usecases.aftercare.changed import see_to_changes
from snap_self.usecases.aftercare.manifests import forget_outlived
from snap_self.usecases.aftercare.pending import look, may_retain, see_to_retention
from snap_self.usecases.tools import Tools

# When the cloud is asked first, and how often at most later on.
FIRST_LOOK_S = 120.0
LEAST_PAUSE_S = 60.0
MOST_PAUSE_S = 600.0
# Machines that were changed together do not ask together.
SPREAD = 0.25
# A look may take so long; its calls are not sent again when they are throttled.
LOOK_LIMIT_S = 60.0
# How often the journal is read.
FIRST_TICK_S = 2.0
TICK_GROWTH = 1.3
MOST_TICK_S = 30.0
LEAST_TICK_S = 0.05
# How often is looked whether a change has ended: a reboot may follow it at once.
CHANGE_TICK_S = 1.0
# How often what was put off at the end of the last upload is tried once more.
LATER_TRIES = 3
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
        pause_s: the cloud is asked at least so often, give or take a quarter.
    """

    inhibitor: Inhibitor
    lock: RunLock
    limit_s: float
    pause_s: float = MOST_PAUSE_S


def pause_s(wanted_s: float, *, most_s: float, chance: float) -> float:
    """Return how long to wait before the next look.

    Args:
        chance: 0 to 1, spreads what is waited by a quarter to both sides.
    """
    bounded_s = min(max(wanted_s, LEAST_PAUSE_S), most_s)
    return bounded_s * (1 + SPREAD * (2 * chance - 1))


def follow(tools: Tools, watching: Watching) -> str:
    """Watch every upload that goes on until none does or its limit is reached.

    Returns:
        What became of it, in words.
    """
    told = "nothing is being uploaded"
    # A run that came while the last one was being left is not to be forgotten.
    while _followed(tools, watching.limit_s) or _awaits(tools):
        with watching.lock.attempt(purpose="follow uploads") as held:
            if not held:
                return "another follower watches already"
            told = _Follower(tools, watching).watch() or "all uploads have ended"
    forget_outlived(tools)
    return told


def _awaits(tools: Tools) -> bool:
    """Tell whether the end of a change is waited for."""
    return tools.awaited is not None and bool(tools.awaited.all())


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
    _instance_id: InstanceId | None = None
    _due: float = inf
    _wanted_s: float = FIRST_LOOK_S
    _unseen_since: float | None = None
    _mine: set[RunId] = field(default_factory=set)
    _known: set[RunId] = field(default_factory=set)

    def watch(self) -> str:
        """Watch; return why it was given up, or nothing if there is no upload any more."""
        tick_s = FIRST_TICK_S
        try:
            while True:
                waits = see_to_changes(self.tools, limit_s=self.watching.limit_s)
                records = _followed(self.tools, self.watching.limit_s)
                if not records and not waits:
                    break
                self._hold(records)
                self._sign(records)
                if records and self._now() >= self._due and (why := self._look()):
                    return self._leave(why)
                if waits or self.tools.store.uploading():
                    most_s = min(tick_s, CHANGE_TICK_S) if waits else tick_s
                    self.tools.clock.sleep(self._rest_s(most_s))
                tick_s = min(tick_s * TICK_GROWTH, MOST_TICK_S)
            self.watching.inhibitor.release()
            if not self.tools.store.uploading():
                self._finish_later()
        finally:
            self.watching.inhibitor.release()
        return self._leave(LIMIT_REACHED)

    def _now(self) -> float:
        return self.tools.clock.monotonic()

    def _rest_s(self, tick_s: float) -> float:
        """Return how long nothing is to be done: no look is due and no limit is reached."""
        now = self.tools.clock.now()
        watched = _followed(self.tools, self.watching.limit_s)
        signed = (record.upload.follower for record in watched if record.upload)
        left_s = [(each.until - now).total_seconds() for each in signed if each]
        return max(LEAST_TICK_S, min(tick_s, self._due - self._now(), *left_s))

    def _pause(self, wanted_s: float) -> float:
        return pause_s(wanted_s, most_s=self.watching.pause_s, chance=self.tools.random())

    def _hold(self, records: Sequence[RunRecord]) -> None:
        """Hold a reboot back; say for what, and take it up anew when that has changed."""
        if not records:  # only a change is waited for, which may end in a reboot
            self.watching.inhibitor.release()
            self._held, self._due = "", inf
            return
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
        """Put into the journal who watches these runs, and have new ones looked at early enough."""
        if any(record.run_id not in self._known for record in records):
            self._due = min(self._due, self._now() + self._pause(FIRST_LOOK_S))
        self._known.update(record.run_id for record in records)
        for record in records:
            if record.run_id not in self._mine and self._change(record, ended=ALIVE):
                self._mine.add(record.run_id)

    def _look(self) -> str:
        """Ask the cloud, and keep what it shows; return why there is no use in going on."""
        records = _followed(self.tools, self.watching.limit_s)
        remaining_s: float | None = None
        unseen = ""
        try:
            client = self._connected()
            looked = look(self.tools, client.in_passing(LOOK_LIMIT_S), records)
        except CloudThrottled:
            # The cloud is there, and the next look will do.
            looked = None
        except (CloudUnreachable, EnvironmentFault) as error:
            looked, unseen = None, error.told
        except SnapSelfError as error:
            return error.told
        if looked is not None:
            remaining_s = looked.remaining_s
            unseen = "" if looked.shown else "the cloud shows none of the snapshots"
            for before, after in looked.records:
                self._save(before, after)
        if unseen:
            self._wanted_s = LEAST_PAUSE_S  # whoever is out of reach is no burden to anybody
        elif remaining_s is not None:
            self._wanted_s = remaining_s / 2
        else:
            self._wanted_s = min(2 * self._wanted_s, MOST_PAUSE_S)
        self._due = self._now() + self._pause(self._wanted_s)
        return self._patience(unseen)

    def _connected(self) -> EcsClient:
        if self._client is None:
            identity = self.tools.identify()
            self._client = self.tools.connect(identity)
            self._instance_id = identity.instance_id
        return self._client

    def _finish_later(self) -> None:
        """Set retentions that are due; what is put off is tried in the next minutes too.

        Otherwise nobody may do it before the next change, which can be a month away.
        """
        self._finish_earlier()
        for _ in range(LATER_TRIES):
            end = self._now() + self._pause(LEAST_PAUSE_S)
            # A run that comes meanwhile is to be watched.
            while self._retention_is_due() and (left_s := end - self._now()) > 0:
                self.tools.clock.sleep(min(left_s, MOST_TICK_S))
            if self._retention_is_due():
                self._finish_earlier()

    def _retention_is_due(self) -> bool:
        """Tell whether one can be set, and nothing else is to be done."""
        known = self._instance_id
        return bool(known and not self.tools.store.uploading() and may_retain(self.tools, known))

    def _finish_earlier(self) -> None:
        """Set retentions that could not be set while snapshots of the same disks were made."""
        if self._client is None or self._instance_id is None:
            return
        with suppress(SnapSelfError), self.tools.lock.attempt(purpose="set retentions") as held:
            if held:
                cloud = self._client.in_passing(LOOK_LIMIT_S)
                see_to_retention(self.tools, cloud, self._instance_id)

    def _patience(self, why: str) -> str:
        """Return why nothing is seen, once that has lasted too long."""
        if not why:
            self._unseen_since = None
            return ""
        if self._unseen_since is None:
            self._unseen_since = self._now()
        return why if self._now() - self._unseen_since >= UNSEEN_S else ""

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
        if (tries := after.retention) and tries != before.retention:
            text = f"run {after.run_id}: the cloud refused to set a retention: {tries.why}"
            self._tell(text, EventKind.WARNING)
        return True

    def _tell(self, text: str, kind: EventKind) -> None:
        self.tools.listener(Event(kind=kind, text=text))


def reason(records: Sequence[RunRecord]) -> str:
    """Return what logind tells people whose reboot it refuses."""
    runs = [f"{r.run_id} (before {shown(r.before)})" for r in records[:SHOWN_RUNS]]
    more = f" and {len(records) - SHOWN_RUNS} more" if len(records) > SHOWN_RUNS else ""
    shots = [sid for record in records for sid in record.snapshot_ids][: 2 * SHOWN_RUNS]
    named = f": {', '.join(shots)}" if shots else ""
    # logind shows it as it is, to everybody who is logged in.
    return printable(f"snapshots of {', '.join(runs)}{more} are being uploaded{named}")

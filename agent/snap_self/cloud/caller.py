"""Sends a call until it is answered or its deadline has come, and asks for page after page."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field
from math import inf
from typing import Any, TypeVar

from snap_self.cloud import answers
from snap_self.cloud.faults import explain, retry_text
from snap_self.cloud.hosts import NO_DETOUR, Detour
from snap_self.cloud.retry import Trouble, attempt_s, classify, passes_soon, wait_s
from snap_self.cloud.window import Refusals, Refused, full_minute_s
from snap_self.errors import CloudAnswerUnclear, SnapSelfError
from snap_self.model.actions import TEMPLATE, Holder
from snap_self.model.ids import DiskId, RegionId
from snap_self.model.snapshots import Credentials
from snap_self.ports import Clock, Rpc, RpcFailed
from snap_self.threads.thread import Thread

T = TypeVar("T")

# Long enough to see the end of a throttled minute.
DEADLINE_S = 90.0
# With less time left another try is not worth its start.
LEAST_TRY_S = 0.2
# How long other hosts may take for a connection when one gives no answer, and how often per call.
DETOUR_S = 2.0
MOST_DETOURS = 4
PAGE = 100
# A list that goes on for longer is none: the API was seen to name page after page without end,
# empty ones too (turbot/steampipe-plugin-alicloud, issue 508).
MOST_PAGES = 500
MOST_IDLE_PAGES = 5
UNENDING_HINT = "repeat the command; if it stays so, ask Alibaba Cloud support about that list"


@dataclass(slots=True, kw_only=True)
class _Course:
    """How a call has gone so far.

    Args:
        hurried: filesystems are frozen, so nothing is waited for that lasts longer than that may.
        optional: the answer is only advice, so a throttled call is not sent again.
        anyway: it is sent although the last one of its kind was throttled.
        about: the disks that the call is about.
    """

    action: str
    end: float
    hurried: bool
    optional: bool
    anyway: bool
    about: Sequence[DiskId]
    met: Counter[Trouble] = field(default_factory=Counter)
    detours: int = 0
    maybe_done: bool = False


class Sent:
    """Which operations have calls that were not refused: answered, under way, without an answer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()
        self._keys: dict[str, str] = {}

    def begin(self, action: str) -> None:
        """Take in that a call goes out."""
        with self._lock:
            self._open[action] += 1

    def refused(self, action: str) -> None:
        """Take in that it has done nothing."""
        with self._lock:
            self._open[action] -= 1

    def answered(self, action: str, keys: Credentials) -> None:
        """Take in that it was done, and with whose keys."""
        with self._lock:
            self._keys[action] = keys.source

    def keys_for(self, actions: Iterable[str]) -> str:
        """Return the source of the keys with which one of these was done; empty if none was."""
        with self._lock:
            return next((self._keys[each] for each in actions if each in self._keys), "")

    def only_refused(self, actions: Iterable[str]) -> bool:
        """Tell whether calls of these were sent, and each was refused."""
        with self._lock:
            sent = [self._open[action] for action in actions if action in self._open]
        return bool(sent) and not any(sent)


class Caller:
    """Calls one region's ECS API; safe to use from several threads.

    Args:
        credentials: gives keys with life enough for a call; True forces new ones.
        random: gives 0 to 1, evenly.
        on_retry: is told why a call is sent again; must not block.
        elsewhere: finds another host within so many seconds when one gives no answer.
        holder: the instance whose policy would have to allow what is refused.
    """

    def __init__(
        self,
        rpc: Rpc,
        *,
        region: RegionId,
        credentials: Callable[[bool], Credentials],
        clock: Clock,
        random: Callable[[], float],
        on_retry: Callable[[str], None],
        elsewhere: Callable[[RpcFailed, float], Detour],
        holder: Holder = TEMPLATE,
    ) -> None:
        self._rpc = rpc
        self._region = region
        self._credentials = credentials
        self._clock = clock
        self._random = random
        self._on_retry = on_retry
        self._elsewhere = elsewhere
        self._holder = holder
        self._refusals = Refusals()
        self._sent = Sent()
        self._job_end: float | None = None
        self._in_passing = False

    def until(self, job_end: float | None) -> Caller:
        """Return one that shares all with this one but ends every call by that instant.

        Args:
            job_end: on the monotonic clock; None for no such end.
        """
        other = copy(self)
        other._job_end = job_end
        return other

    def in_passing(self, limit_s: float) -> Caller:
        """Return one that shares all with this one but only asks for what is of use.

        Args:
            limit_s: how long all of its calls may take together, from now on; each is optional.
        """
        other = self.until(self.end(limit_s))
        other._in_passing = True
        return other

    def end(self, deadline_s: float | None) -> float:
        """Return the instant of a deadline on the monotonic clock; the job's own end bounds it.

        Args:
            deadline_s: None where the job's end is the only one; without that it is
                ``DEADLINE_S``.
        """
        if deadline_s is None:
            deadline_s = DEADLINE_S if self._job_end is None else inf
        job_end = inf if self._job_end is None else self._job_end
        return min(self._clock.monotonic() + deadline_s, job_end)

    def left(self, end: float) -> float:
        """Return how many seconds are left until then."""
        return end - self._clock.monotonic()

    def pause(self, seconds: float) -> None:
        """Let time pass between two calls."""
        self._clock.sleep(seconds)

    def only_refused(self, actions: Iterable[str]) -> bool:
        """Tell whether calls of these were sent, and none of them can have taken effect."""
        return self._sent.only_refused(actions)

    def keys_for(self, actions: Iterable[str]) -> str:
        """Return the source of the keys with which one of these was done; empty if none was."""
        return self._sent.keys_for(actions)

    def call(
        self,
        action: str,
        params: Mapping[str, str],
        *,
        deadline_s: float | None,
        hurried: bool = False,
        optional: bool = False,
        anyway: bool = False,
        about: Sequence[DiskId] = (),
    ) -> Mapping[str, Any]:
        """Return a good answer, trying again as ``cloud.retry`` has it.

        Args:
            hurried: filesystems are frozen: wait for nothing that lasts longer than that may.
            optional: the answer is only advice: throttled, the call is not sent again. Others in
                the account share the limit, and need the rest of it for calls that must be made.
            anyway: it is sent once although the last call of this action was throttled; otherwise
                it waits for the limit's next window, as any call but a hurried one does.
            about: the disks that the call is about, to be named in an error.

        Raises:
            ApiFault, CloudUnreachable: as ``cloud.faults`` has it.
        """
        end = self.end(deadline_s)
        course = _Course(
            action=action,
            end=end,
            hurried=hurried,
            optional=optional or self._in_passing,
            anyway=anyway or hurried,
            about=about,
        )
        asked = {"RegionId": self._region, **params}
        keys = self._credentials(False)
        while True:
            self._await_turn(course)
            timeout_s = attempt_s(max(LEAST_TRY_S, self.left(course.end)))
            self._sent.begin(action)
            try:
                answer = self._rpc.call(action, asked, timeout_s=timeout_s, credentials=keys)
            except RpcFailed as failure:
                failed = failure
            else:
                self._refusals.forget(action, now=self._clock.monotonic())
                self._sent.answered(action, keys)
                return answer
            keys = self._go_on(failed, course, keys)

    def pages(
        self,
        action: str,
        params: Mapping[str, str],
        *,
        deadline_s: float | None,
        max_pages: int | None = None,
        optional: bool = False,
    ) -> Iterator[Mapping[str, Any]]:
        """Yield page after page; the next one is asked for while the caller reads this one.

        Args:
            optional: as for ``call``, of every page.

        Raises:
            CloudAnswerUnclear: the list does not come to an end; otherwise as ``call``.
        """
        end = self.end(deadline_s)
        tokens: set[str] = set()
        known: set[str] = set()
        idle = 0

        def ask(token: str) -> Mapping[str, Any]:
            more = {"MaxResults": str(PAGE), **({"NextToken": token} if token else {})}
            left_s = self.left(end)
            return self.call(action, {**params, **more}, deadline_s=left_s, optional=optional)

        page = ask("")
        while (token := answers.next_token(page, action)) and len(tokens) + 1 != max_pages:
            ids = answers.entry_ids(page, action)
            idle = 0 if ids - known else idle + 1
            known |= ids
            if idle >= MOST_IDLE_PAGES:
                self._on_retry(f"{action}: {idle} pages showed nothing new, so that is all")
                break
            self._check_end(action, token, tokens, end)
            tokens.add(token)
            coming = _ahead(ask, token)
            yield page
            page = coming()
        yield page

    def _check_end(self, action: str, token: str, tokens: set[str], end: float) -> None:
        """Refuse a list without an end."""
        why = ""
        if token in tokens:
            why = "the same page token came twice"
        elif len(tokens) >= MOST_PAGES:
            why = f"no end after {MOST_PAGES} pages"
        elif self.left(end) < LEAST_TRY_S:
            why = f"no end within the time allowed, after {len(tokens) + 1} pages"
        if why:
            raise CloudAnswerUnclear(f"{action}: {why}", hint=UNENDING_HINT)

    def _go_on(self, failed: RpcFailed, course: _Course, keys: Credentials) -> Credentials:
        """Wait until the next try is due and return the keys for it.

        Raises:
            SnapSelfError: what the call ends with, as there is no further try.
        """
        trouble = classify(failed)
        # What is refused as one too many was not done, also where a gateway says so without a code.
        maybe_done = failed.maybe_done and trouble is not Trouble.THROTTLED
        course.maybe_done |= maybe_done
        if not maybe_done:
            self._sent.refused(course.action)
        course.met[trouble] += 1
        detour = self._detour(failed, trouble, course)
        pause_s = 0.0 if detour.found else self._pause(failed, trouble, course)
        if pause_s is not None and trouble is Trouble.KEYS_STALE:
            keys = self._fresher(keys)
        if pause_s is not None and trouble is Trouble.KEYS_DOUBTED:
            other = self._others_than(keys)
            keys, pause_s = (other, pause_s) if other else (keys, None)
        if pause_s is None:
            raise explain(
                failed,
                action=course.action,
                trouble=trouble,
                maybe_done=course.maybe_done,
                about=course.about,
                others=detour.faults,
                holder=self._holder,
            )
        throttled = trouble is Trouble.THROTTLED
        self._wait(pause_s, failed, course.action, throttled=throttled)
        return keys

    def _wait(self, pause_s: float, failed: RpcFailed, action: str, *, throttled: bool) -> None:
        text = retry_text(failed, action=action, pause_s=pause_s, throttled=throttled)
        self._on_retry(text)
        if pause_s:
            self._clock.sleep(pause_s)

    def _await_turn(self, course: _Course) -> None:
        """Hold a call back whose action was throttled, in whichever thread, until the window turns.

        Raises:
            CloudThrottled: it cannot wait for that.
        """
        while not course.anyway:
            now = self._clock.monotonic()
            refused = self._refusals.standing(course.action, now=now)
            if refused is None:
                return
            pause_s = self._place(refused, course)
            if pause_s is None:
                raise explain(
                    refused.failure,
                    action=course.action,
                    trouble=Trouble.THROTTLED,
                    maybe_done=course.maybe_done,
                    about=course.about,
                )
            self._wait(pause_s, refused.failure, course.action, throttled=True)

    def _pause(self, failed: RpcFailed, trouble: Trouble, course: _Course) -> float | None:
        """Return how long to wait before the next try; None if there is none."""
        if trouble is Trouble.THROTTLED:
            return self._place(self._refused(failed, course), course)
        if course.hurried and not passes_soon(trouble, failed):
            return None
        left_s = self.left(course.end) - LEAST_TRY_S
        return wait_s(trouble, course.met[trouble], self._random(), left_s=left_s)

    def _refused(self, failed: RpcFailed, course: _Course) -> Refused:
        """Note that the action is refused until its limit's window turns."""
        turn_s = failed.limited_s
        if turn_s is None:
            turn_s = full_minute_s(self._clock.now())
        now = self._clock.monotonic()
        return self._refusals.note(course.action, failed, now=now, turn_s=turn_s)

    def _place(self, refused: Refused, course: _Course) -> float | None:
        """Return how long a throttled call waits for its place; None if it does not wait."""
        if course.hurried or course.optional:
            return None
        turn_s = max(0.0, self.left(refused.turns))
        left_s = self.left(course.end) - LEAST_TRY_S
        chance = self._random()
        return wait_s(Trouble.THROTTLED, refused.times, chance, turn_s=turn_s, left_s=left_s)

    def _detour(self, failed: RpcFailed, trouble: Trouble, course: _Course) -> Detour:
        """Look for another host when this one gave no answer and there is time for that."""
        window_s = min(DETOUR_S, self.left(course.end) - LEAST_TRY_S)
        unfit = failed.code or trouble is Trouble.THROTTLED
        if unfit or window_s <= 0 or course.detours >= MOST_DETOURS:
            return NO_DETOUR
        detour = self._elsewhere(failed, window_s)
        course.detours += detour.found
        return detour

    def _fresher(self, stale: Credentials) -> Credentials:
        """Return other keys than those refused; another thread may have renewed them already."""
        current = self._credentials(False)
        return current if current != stale else self._credentials(True)

    def _others_than(self, refused: Credentials) -> Credentials | None:
        """Return other keys if their source gives others by now, as for a role that was replaced.

        Where it does not, or gives none, the refusal itself is what there is to tell.
        """
        fresh = refused
        with suppress(SnapSelfError):
            fresh = self._fresher(refused)
        return fresh if fresh != refused else None


def _ahead(ask: Callable[[str], T], token: str) -> Callable[[], T]:
    """Ask on a thread of its own; return what waits for the answer.

    Nobody has to: the thread ends by itself, and does not keep the process from ending.
    """
    box: list[T | SnapSelfError] = []

    def work() -> None:
        try:
            box.append(ask(token))
        except SnapSelfError as error:
            box.append(error)

    def wait() -> T:
        worker.join()
        if not box:
            raise RuntimeError("asking for a page ended without an outcome")
        if isinstance(box[0], SnapSelfError):
            raise box[0]
        return box[0]

    worker = Thread(target=work, name="next-page", daemon=True)
    worker.start()
    return wait

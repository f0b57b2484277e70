"""The snapshot before a package manager's change, from the announcement to the answer.

Most changes are not risky, and each of them is waited for: nothing slow is imported for those.
"""

from __future__ import annotations

from snap_self.changes.conversation import INTERRUPTED_STATUS, KEEP_ALIVE_S
from snap_self.changes.risk import Risk, judge, unreadable
from snap_self.model.packages import REHEARSAL, Transaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Protocol

    from snap_self.changes.conversation import Conversation
    from snap_self.changes.patience import Patience
    from snap_self.changes.policy import Outcome
    from snap_self.changes.reports import MadeReport
    from snap_self.model.job_end import JobEnd, Longer
    from snap_self.model.manager_facts import Ancestor, Asked, Facts, Kept, Mounted
    from snap_self.model.manager_settings import ManagerSettings

    class State(Protocol):
        """What hooks keep from one call to the next."""

        def kept(self) -> Sequence[Kept]:
            """Return what came of earlier calls."""

        def keep(self, one: Kept) -> None:
            """Keep what came of a call."""

        def skip_until(self) -> float:
            """Return until when none is wanted, in seconds since 1970."""

        def rehearsal_of(self, keys: Sequence[str]) -> str:
            """Return the folder of the rehearsal that one of these processes holds, or nothing."""

        def note_rehearsal(self, place: str, skipped: str, *, whole: bool) -> None:
            """Leave a note there that the hook was reached."""

        def asked_by(self, folder: str, pid: int) -> Asked | None:
            """Return what the journal knows that a process asked the cloud for and did not see."""

        def log(self, folder: str, run_id: str, transaction: Transaction) -> None:
            """Write down which packages a run's snapshot was made for."""

    class Machine(Protocol):
        """What is read of the machine."""

        def facts(
            self, transaction: Transaction, *, skip_until: float, metadata_named: bool
        ) -> Facts:
            """Return what decides whether a snapshot is to be made at all."""

        def ancestors(self) -> Sequence[Ancestor]:
            """Return the processes above the hook, its parent first."""

        def mounts(self) -> Sequence[Mounted]:
            """Return what is mounted."""

        def uptime_s(self) -> float:
            """Return the seconds since the machine started."""

    class Job(Protocol):
        """Starts the agent once more, to make a snapshot or to ask for one."""

        def __call__(
            self,
            options: Sequence[str],
            *,
            limit_s: float,
            tick: Callable[[], None],
            longer: Longer | None = None,
        ) -> JobEnd:
            """Run it with these arguments."""

    class Bare(Protocol):
        """Tells those who watch that the change goes on without a snapshot to rely on."""

        def __call__(self, manager: str, *, code: str, text: str, run_id: str) -> None:
            """Tell why, by a stable word and for people, and of which run if there was one."""

    class BrokenOff(Protocol):
        """Tells those who watch that an interrupted hook's change may have been made."""

        def __call__(self, manager: str, *, run_id: str, snapshots: Sequence[str]) -> None:
            """Tell what the cloud had been asked for by then, if anything."""


STATE_VARIABLE = "SNAP_SELF_STATE_DIR"
# What the guard allows, which may be less than the configuration does; seconds.
GUARD_VARIABLE = "SNAP_SELF_HOOK_LIMIT"
LONGEST_VARIABLE = "SNAP_SELF_HOOK_LONGEST"
GUARD_SPARE_S = 5.0
# The main job ends its wait by itself so long before the limit, and says what it saw.
WAIT_SPARE_S = 5
MAX_REASONS = 2
# An earlier snapshot is asked for no longer.
COVER_S = 15.0
# timeout(1), the guard and what started it: while they live, an interruption ends the change.
GUARDS = 3


class BeforeChange:
    """One call of a hook.

    Args:
        manager: one of ``model.packages.MANAGERS``.
        machine: called only for a risky change.
        env: the hook's environment.
        bare: called where the change goes on without a snapshot to rely on.
        broken_off: called where this was interrupted and the change may be made all the same.
    """

    def __init__(
        self,
        conversation: Conversation,
        settings: ManagerSettings,
        *,
        manager: str,
        state: State,
        machine: Callable[[], Machine],
        job: Job,
        env: Mapping[str, str],
        bare: Bare,
        broken_off: BrokenOff,
    ) -> None:
        self._bare = bare
        self._broken_off = broken_off
        self._conversation = conversation
        self._settings = settings
        self._manager = manager
        self._state = state
        self._machine = machine
        self._job = job
        self._env = env
        self._above: Sequence[Ancestor] = ()
        self._begun_s = 0.0

    def answer(self) -> int:
        """Make the snapshot if one is due, answer the manager and return the exit status."""
        try:
            announced = self._conversation.transaction()
        except ValueError as error:
            transaction = Transaction(self._manager, ())
            risk = unreadable(str(error))
        else:
            if announced is None:
                return self._conversation.proceed()
            transaction, risk = announced, self._judge(announced)
        if risk and transaction.packages and self._manager in self._settings.enabled:
            # Some managers do not tell whether a package is new; what is found out may change it.
            self._conversation.detail(transaction)
            risk = self._judge(transaction)
        if self._manager not in self._settings.enabled or not risk:
            return self._conversation.proceed()
        return self._risky(transaction, risk)

    def _judge(self, transaction: Transaction) -> Risk:
        if [package.name for package in transaction.packages[:2]] == [REHEARSAL]:
            return Risk(("a rehearsal",), transaction.packages)
        return judge(transaction, self._settings)

    def _risky(self, transaction: Transaction, risk: Risk) -> int:
        from snap_self.changes.grouping import find_action, judge_earlier
        from snap_self.changes.patience import find_patience, nobody_waits
        from snap_self.changes.skipping import find_skip, limit_s

        machine = self._machine()
        facts = machine.facts(
            transaction,
            skip_until=self._state.skip_until(),
            metadata_named=self._settings.metadata_named,
        )
        skip = find_skip(facts)
        self._above = machine.ancestors()
        if place := self._state.rehearsal_of([one.key for one in self._above]):
            return self._rehearsed(place, transaction, skip.why if skip else "")
        if skip is not None:
            if skip.loud:
                self._say(f"no snapshot before this risky change: {skip.why}")
            if skip.doubt:
                self._bare(self._manager, code=skip.doubt, text=skip.why, run_id="")
            return self._conversation.proceed()
        now = self._begun_s = machine.uptime_s()
        action = find_action(self._above, now)
        key = action.key if action else ""
        calls = self._state.kept()
        earlier = judge_earlier(calls, key, now, own_snapshot=risk.own_snapshot)
        nobody = nobody_waits(self._above, action) and not facts.stopping
        patience = find_patience(
            self._settings,
            allowed_s=self._allowed_s(GUARD_VARIABLE),
            # A guard of an earlier version, which stays while it is changed, has only one limit.
            longest_s=self._allowed_s(
                LONGEST_VARIABLE if self._env.get(LONGEST_VARIABLE) else GUARD_VARIABLE
            ),
            nobody=nobody,
        )
        most_s = limit_s(facts, patience.limit_s)
        if earlier.covered_by:
            status = self._covered(transaction, earlier.covered_by, most_s)
            if status is not None:
                return status
        if earlier.paused_by:
            return self._paused(transaction, earlier.paused_by, earlier.try_again_s)
        spent_s = machine.uptime_s() - self._begun_s
        patience.limit_s = max(1.0, most_s - spent_s)
        longer_s = patience.throttled_s - spent_s if nobody else 0.0
        patience.throttled_s = max(patience.limit_s, longer_s)
        if key and any(one.key == key for one in calls):
            patience.spread_s = 0.0  # the action has begun later already
        return self._attempt(transaction, risk, key, patience)

    def _rehearsed(self, place: str, transaction: Transaction, skipped: str) -> int:
        """Note that the hook was reached; a rehearsal never comes to its change."""
        whole = bool(transaction.packages) and not transaction.truncated
        self._state.note_rehearsal(place, skipped, whole=whole)
        self._say("this is a rehearsal of `snap-self hook status`; it ends here")
        return self._conversation.stop("a rehearsal")

    def _paused(self, transaction: Transaction, earlier: Kept, left_s: float) -> int:
        """Answer a call that follows a failure too soon for another try."""
        since, left = int(self._begun_s - earlier.at), int(left_s) + 1
        if not earlier.run_id:
            why = f"the last try failed {since} s ago ({earlier.text})"
            return self._failed(f"{why}; it is tried again in {left} s", code=PAUSED)
        why = f"{earlier.text}; it was looked for {since} s ago, and is again in {left} s"
        return self._doubted(transaction, earlier, why)

    def _covered(self, transaction: Transaction, earlier: Kept, most_s: float) -> int | None:
        """Ask the cloud for the snapshot of the same action; None where there is none any more.

        It may have been deleted by somebody, or come to nothing while it was uploaded.
        """
        from snap_self.changes.policy import Outcome, outcome_of
        from snap_self.changes.reports import read_cover
        from snap_self.model.manager_facts import ASKED_DOUBTED, MADE, MADE_DOUBTED

        limit_s = min(COVER_S, most_s)
        ended = self._job(
            ("hook", "covers", earlier.run_id, "--json", "--quiet"),
            limit_s=limit_s,
            tick=self._conversation.keep_alive,
        )
        if outcome_of(ended) is Outcome.INTERRUPTED:
            return self._interrupted()
        minutes = int(self._begun_s - earlier.at) // 60
        run = f"run {earlier.run_id} of {minutes} min ago"
        cover = read_cover(ended, limit_s)
        if cover.serves is None:
            unseen = earlier.asked is not None or cover.uncut
            standing = ASKED_DOUBTED if unseen else MADE_DOUBTED
            doubted = self._keep(
                earlier.key,
                cover.why,
                ended.took_s,
                standing=standing,
                run_id=earlier.run_id,
                ids=earlier.ids or cover.uncut,
            )
            return self._doubted(transaction, doubted, cover.why)
        if not cover.serves:
            self._say(f"the snapshot of {run} does not serve: {cover.why}")
            return None
        if earlier.asked is not None:
            self._keep(earlier.key, "", ended.took_s, standing=MADE, run_id=earlier.run_id)
        self._say(f"no new snapshot: {run} is part of the same action")
        self._log(earlier.run_id, transaction)
        return self._conversation.proceed()

    def _keep(
        self,
        key: str,
        text: str,
        took_s: float,
        *,
        standing: str,
        run_id: str = "",
        ids: Sequence[str] = (),
    ) -> Kept:
        from snap_self.model.manager_facts import Kept

        up_s = self._machine().uptime_s()
        kept = Kept(key, up_s, run_id=run_id, took_s=took_s, text=text, standing=standing, ids=ids)
        self._state.keep(kept)
        return kept

    def _attempt(self, transaction: Transaction, risk: Risk, key: str, patience: Patience) -> int:
        from snap_self.changes.policy import Outcome, outcome_of
        from snap_self.changes.reports import failure_code, read_report, what_failed
        from snap_self.changes.wording import before_text
        from snap_self.model.manager_facts import ASKED, FAILED, MADE

        limit_s = patience.limit_s
        text = before_text(transaction, risk.packages)
        reasons = "; ".join(risk.reasons[:MAX_REASONS])
        self._say(f"taking a snapshot first, for at most {limit_s:.0f} s ({reasons})")
        ended = self._job(
            self._options(text, patience, key, own_snapshot=risk.own_snapshot),
            limit_s=limit_s,
            tick=self._conversation.keep_alive,
            longer=self._longer(patience),
        )
        limit_s = patience.throttled_s if ended.throttled else limit_s
        report = read_report(ended.out)
        asked = self._asked(ended, report)
        outcome = outcome_of(ended, asked=asked is not None)
        if outcome is Outcome.INTERRUPTED:
            return self._interrupted(asked)
        why = what_failed(ended, report, limit_s)
        if outcome is Outcome.ASKED and asked is not None:
            why = asked.why or why
            kept = self._keep(
                key, why, ended.took_s, standing=ASKED, run_id=asked.run_id, ids=asked.ids
            )
            return self._doubted(transaction, kept, why)
        if outcome in (Outcome.FAILED, Outcome.FROZEN) or not report.run_id:
            self._keep(key, why, ended.took_s, standing=FAILED)
            code, frozen = failure_code(ended, report), outcome is Outcome.FROZEN
            return self._failed(why, code=code, frozen=frozen, made=report.made)
        self._keep(key, text, ended.took_s, standing=MADE, run_id=report.run_id)
        return self._made(transaction, report, less=outcome is Outcome.MADE_LESS)

    def _made(self, transaction: Transaction, report: MadeReport, *, less: bool) -> int:
        from snap_self.changes.reports import what_lacks
        from snap_self.model.shell import command

        self._log(report.run_id, transaction)
        weaker = f", but less than asked: {report.less}" if less and report.less else ""
        self._say(f"{report.sentence}{weaker}")
        if lacks := what_lacks(report, self._machine().mounts()):
            self._say(lacks)
        self._say(f"to go back: {command('snap-self', 'show', report.run_id)}")
        if report.goes_back:
            self._say(f"this machine goes back by itself at {report.goes_back}, {UNLESS}")
        if report.uploading:
            self._say("no stop or reboot before it is uploaded: snap-self list")
        return self._conversation.proceed()

    def _asked(self, ended: JobEnd, report: MadeReport) -> Asked | None:
        """Return what was asked for and not seen; of a job that was killed the journal knows it."""
        from snap_self.model.asked import CutUnseen
        from snap_self.model.job_end import Ending

        asked = report.asked
        if asked is None and not report.run_id:
            asked = self._state.asked_by(self._state_folder(), ended.pid)
        killed = ended.ending in (Ending.TIMED_OUT, Ending.KILLED)
        if asked is not None and ended.throttled and killed:
            asked.why = CutUnseen.THROTTLED.words
        return asked

    def _interrupted(self, asked: Asked | None = None) -> int:
        """Tell what is known: the cloud is not called back, and only the guard stops a change."""
        above = [one.key for one in self._machine().ancestors()[:GUARDS]]
        whole = above == [one.key for one in self._above[:GUARDS]]
        stopped = self._conversation.ends_interrupted and whole
        ids = f"{', '.join(asked.ids)}; " if asked and asked.ids else ""
        self._say(
            f"interrupted; a snapshot that the cloud was asked for goes on ({ids}`snap-self list`)"
            + self._may_wait()
            + ("; the change is not made" if stopped else "")
        )
        if not stopped:
            run_id, snapshots = (asked.run_id, asked.ids) if asked else ("", ())
            self._broken_off(self._manager, run_id=run_id, snapshots=snapshots)
        return INTERRUPTED_STATUS

    def _doubted(self, transaction: Transaction, one: Kept, why: str) -> int:
        """Say of a snapshot of this action that it could not be seen, and answer by the policy."""
        from snap_self.changes.reports import what_is_doubted, what_was_asked

        text = what_was_asked(one.asked, why) if one.asked else what_is_doubted(one.run_id, why)
        return self._unseen(transaction, one.run_id, text)

    def _unseen(self, transaction: Transaction, run_id: str, text: str) -> int:
        from snap_self.changes.policy import Outcome

        if not self._stops(Outcome.ASKED):
            self._say(f"{text}. The change goes on")
            self._log(run_id, transaction)
            self._bare(self._manager, code=UNSEEN, text=text, run_id=run_id)
            return self._conversation.proceed()
        self._say(f"{text}. {self._told_to_stop()}")
        if not self._conversation.can_veto:
            self._bare(self._manager, code=UNSEEN, text=text, run_id=run_id)
        return self._conversation.stop(text)

    def _failed(
        self, why: str, *, code: str, frozen: bool = False, made: Sequence[str] = ()
    ) -> int:
        """Say that there is no snapshot, or no good one, and answer by the policy.

        Args:
            code: why, as a stable word.
            frozen: a filesystem may still be.
            made: snapshots that there are all the same.
        """
        from snap_self.changes.policy import Outcome

        what = "NO GOOD SNAPSHOT" if made else "NO SNAPSHOT"
        there = f" (there is {', '.join(made)})" if made else ""
        there += self._may_wait()
        if not self._stops(Outcome.FROZEN if frozen else Outcome.FAILED):
            goes_on = "The change goes on without one"
            self._say(f"{what} before this change: {why}{there}. {goes_on}")
            self._bare(self._manager, code=code, text=why, run_id="")
            return self._conversation.proceed()
        self._say(f"{what}: {why}{there}. {self._told_to_stop()}")
        if not self._conversation.can_veto:
            self._bare(self._manager, code=code, text=why, run_id="")
        return self._conversation.stop(f"{what.lower()}: {why}")

    def _may_wait(self) -> str:
        """Return where to look, as the job may have been ended right after it had armed one."""
        if not self._settings.confirm_within_s:
            return ""
        return f"; whether a rollback waits all the same: {LOOK}"

    def _stops(self, outcome: Outcome) -> bool:
        from snap_self.changes.policy import stops

        return stops(
            outcome,
            abort=self._settings.aborts(self._manager),
            must_go_on=self._conversation.in_release_upgrade,
        )

    def _told_to_stop(self) -> str:
        # Whether the manager heeds it is not seen from here.
        told = "is told to stop" if self._conversation.can_veto else "cannot be stopped"
        return f"{self._manager} {told}; nothing has been changed so far"

    def _longer(self, patience: Patience) -> Longer:
        """Return what the job may ask for beyond its limit, and have that said."""
        from snap_self.model.job_end import DELAYED, THROTTLED, Longer

        said = {
            DELAYED: "nobody waits at a terminal: beginning in {seconds:.0f} s, this machine's "
            "place in package_managers.spread",
            THROTTLED: "too many calls in this account; nobody waits at a terminal, so it may take "
            f"up to {patience.throttled_s:.0f} s",
        }

        def told(word: str, seconds: float) -> None:
            if word in said and (word != THROTTLED or patience.throttled_s > patience.limit_s):
                self._say(said[word].format(seconds=seconds))

        return Longer(throttled_s=patience.throttled_s, spread_s=patience.spread_s, told=told)

    def _options(
        self, text: str, patience: Patience, key: str, *, own_snapshot: bool
    ) -> Sequence[str]:
        reuse_s = None if own_snapshot else self._settings.reuse_s
        reuse = "off" if reuse_s is None else f"{reuse_s}s"
        # Of a job whose calls are not throttled the hook itself keeps the limit.
        timeout = f"{max(1, int(patience.throttled_s) - WAIT_SPARE_S)}s"
        spread = ("--spread", f"{patience.spread_s:.0f}s") if patience.spread_s else ()
        within_s = self._settings.confirm_within_s
        # What is to be gone back to by itself must be usable, which takes longer than its cut.
        until = "available" if within_s else "cut"
        wait = ("--wait", until, "--timeout", timeout)
        confirm = ("--confirm-within", f"{within_s}s") if within_s else ()
        # What the change has made of the machine is noted when that process has ended.
        change = ("--change-of", key) if key else ()
        asked = ("--before", text, *wait, "--reuse", reuse, *spread, *change, *confirm)
        return (*asked, "--trigger", self._manager, "--waited-for", "--json", "--quiet")

    def _allowed_s(self, variable: str) -> float:
        """Return what the guard allows by this variable; without end where it does not tell."""
        allowed = self._env.get(variable, "")
        if allowed.isascii() and allowed.isdigit():
            # Of very little half is spared.
            return max(float(allowed) - GUARD_SPARE_S, float(allowed) / 2)
        return float("inf")

    def _log(self, run_id: str, transaction: Transaction) -> None:
        self._state.log(self._state_folder(), run_id, transaction)

    def _state_folder(self) -> str:
        return self._env.get(STATE_VARIABLE) or self._settings.state_dir

    def _say(self, text: str) -> None:
        self._conversation.say(text)


TICK_S = KEEP_ALIVE_S
UNLESS = "unless you say: snap-self confirm"
LOOK = "snap-self list"
# Why a change goes on without a snapshot to rely on, where no error of the main job tells.
PAUSED = "paused"
UNSEEN = "cut-not-seen"

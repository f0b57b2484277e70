"""The snapshot before a package manager's change, from the announcement to the answer.

Most changes are not risky, and each of them is waited for: nothing slow is imported for those.
"""

from __future__ import annotations

from snap_self.changes.conversation import KEEP_ALIVE_S
from snap_self.changes.policy import (
    FAILED,
    FROZEN,
    GO_ON,
    INTERRUPTED,
    MADE_LESS,
    STOP,
    decide,
    outcome_of,
)
from snap_self.changes.risk import judge, unreadable
from snap_self.model.packages import Transaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Protocol

    from snap_self.changes.conversation import Conversation
    from snap_self.changes.risk import Risk
    from snap_self.model.hook_facts import Ancestor, Facts, JobEnd, Kept
    from snap_self.model.hook_settings import HookSettings

    class State(Protocol):
        """What hooks keep from one call to the next."""

        def kept(self) -> Sequence[Kept]:
            """Return what came of earlier calls."""

        def keep(self, one: Kept) -> None:
            """Keep what came of a call."""

        def spoiled(self, folder: str, run_id: str) -> str:
            """Return what became of a run's snapshots, if they turned out to be of no use."""

        def skip_until(self) -> float:
            """Return until when none is wanted, in seconds since 1970."""

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

        def uptime_s(self) -> float:
            """Return the seconds since the machine started."""

    class Job(Protocol):
        """Starts the process that makes a snapshot."""

        def __call__(
            self, options: Sequence[str], *, limit_s: float, tick: Callable[[], None]
        ) -> JobEnd:
            """Run the main job with these options."""


RELEASE_UPGRADE = "RELEASE_UPGRADE_IN_PROGRESS"
STATE_VARIABLE = "SNAP_SELF_STATE_DIR"
# What the guard allows, which may be less than the configuration does; seconds.
GUARD_VARIABLE = "SNAP_SELF_HOOK_LIMIT"
GUARD_SPARE_S = 5.0
# The main job ends its wait by itself so long before the limit, and says what it saw.
WAIT_SPARE_S = 5
MAX_REASONS = 2


class BeforeChange:
    """One call of a hook.

    Args:
        manager: one of ``model.packages.MANAGERS``.
        machine: called only for a risky change.
        env: the hook's environment.
    """

    def __init__(
        self,
        conversation: Conversation,
        settings: HookSettings,
        *,
        manager: str,
        state: State,
        machine: Callable[[], Machine],
        job: Job,
        env: Mapping[str, str],
    ) -> None:
        self._conversation = conversation
        self._settings = settings
        self._manager = manager
        self._state = state
        self._machine = machine
        self._job = job
        self._env = env

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
            transaction, risk = announced, judge(announced, self._settings)
        if risk and transaction.packages and self._manager in self._settings.enabled:
            # Some managers do not tell whether a package is new; what is found out may change it.
            self._conversation.detail(transaction)
            risk = judge(transaction, self._settings)
        if self._manager not in self._settings.enabled or not risk:
            return self._conversation.proceed()
        return self._risky(transaction, risk)

    def _risky(self, transaction: Transaction, risk: Risk) -> int:
        from snap_self.changes.grouping import find_action, judge_earlier
        from snap_self.changes.skipping import find_skip, limit_s

        machine = self._machine()
        facts = machine.facts(
            transaction,
            skip_until=self._state.skip_until(),
            metadata_named=self._settings.metadata_named,
        )
        skip = find_skip(facts)
        if skip is not None:
            if skip.loud:
                self._say(f"no snapshot before this risky change: {skip.why}")
            return self._conversation.proceed()
        action = find_action(machine.ancestors())
        key = action.key if action else ""
        now = machine.uptime_s()
        earlier = judge_earlier(self._state.kept(), key, now, own_snapshot=risk.own_snapshot)
        if earlier.covered_by and self._still_good(earlier.covered_by):
            return self._covered(transaction, earlier.covered_by, now)
        if earlier.paused_by:
            since = int(now - earlier.paused_by.at)
            return self._failed(
                FAILED,
                f"making one failed {since} s ago ({earlier.paused_by.text}); it is tried again "
                f"in {int(earlier.try_again_s) + 1} s",
            )
        return self._attempt(transaction, risk, key, limit_s(facts, self._limit_s()))

    def _still_good(self, earlier: Kept) -> bool:
        spoiled = self._state.spoiled(self._state_folder(), earlier.run_id)
        if spoiled:
            self._say(f"the snapshot of run {earlier.run_id} does not serve: {spoiled}")
        return not spoiled

    def _covered(self, transaction: Transaction, earlier: Kept, now: float) -> int:
        minutes = int(now - earlier.at) // 60
        self._say(
            f"no new snapshot: run {earlier.run_id} of {minutes} min ago is part of the same action"
        )
        self._log(earlier.run_id, transaction)
        return self._conversation.proceed()

    def _attempt(self, transaction: Transaction, risk: Risk, key: str, limit_s: float) -> int:
        from snap_self.changes.reports import read_report, what_failed
        from snap_self.changes.wording import before_text
        from snap_self.model.hook_facts import Kept

        text = before_text(transaction, risk.packages)
        reasons = "; ".join(risk.reasons[:MAX_REASONS])
        self._say(f"taking a snapshot first, for at most {limit_s:.0f} s ({reasons})")
        ended = self._job(
            self._options(text, limit_s, own_snapshot=risk.own_snapshot),
            limit_s=limit_s,
            tick=self._conversation.keep_alive,
        )
        outcome = outcome_of(ended.ending)
        report = read_report(ended.out)
        if outcome == INTERRUPTED:
            self._say("interrupted; no snapshot, and the change is not made")
            return 128 + ended.number
        made = outcome not in (FAILED, FROZEN) and report.run_id
        why = what_failed(ended, report, limit_s)
        self._state.keep(
            Kept(
                key,
                self._machine().uptime_s(),
                run_id=report.run_id if made else "",
                took_s=ended.took_s,
                text=text if made else why,
            )
        )
        if not made:
            return self._failed(FROZEN if outcome == FROZEN else FAILED, why)
        self._log(report.run_id, transaction)
        less = f", but less than asked: {report.less}" if outcome == MADE_LESS else ""
        self._say(f"{report.sentence}{less}")
        return self._conversation.proceed()

    def _failed(self, outcome: str, why: str) -> int:
        verdict = decide(
            outcome,
            abort=self._settings.aborts(self._manager),
            must_go_on=bool(self._env.get(RELEASE_UPGRADE)),
        )
        if verdict != STOP:
            assert verdict != GO_ON
            self._say(f"NO SNAPSHOT before this change: {why}. The change goes on without one")
            return self._conversation.proceed()
        self._say(f"NO SNAPSHOT: {why}. The change is stopped; nothing has been changed")
        return self._conversation.stop(f"no snapshot: {why}")

    def _options(self, text: str, limit_s: float, *, own_snapshot: bool) -> Sequence[str]:
        reuse_s = None if own_snapshot else self._settings.reuse_s
        reuse = "off" if reuse_s is None else f"{reuse_s}s"
        timeout = f"{max(1, int(limit_s) - WAIT_SPARE_S)}s"
        wait = ("--wait", "cut", "--timeout", timeout)
        return ("--before", text, *wait, "--reuse", reuse, "--json", "--quiet")

    def _limit_s(self) -> float:
        allowed = self._env.get(GUARD_VARIABLE, "")
        if allowed.isascii() and allowed.isdigit():
            return min(float(self._settings.limit_s), float(allowed) - GUARD_SPARE_S)
        return float(self._settings.limit_s)

    def _log(self, run_id: str, transaction: Transaction) -> None:
        self._state.log(self._state_folder(), run_id, transaction)

    def _state_folder(self) -> str:
        return self._env.get(STATE_VARIABLE) or self._settings.state_dir

    def _say(self, text: str) -> None:
        # Names come from package lists, and a terminal obeys what it is shown.
        self._conversation.say("".join(char if char.isprintable() else "?" for char in text))


TICK_S = KEEP_ALIVE_S

"""Whether each package manager of this machine really calls snap-self, and what it may do then."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from snap_self.changes.registration.integration import integration_of
from snap_self.changes.registration.machine import AGENT, GUARD, Machine
from snap_self.changes.registration.registered import unproved, with_rehearsal
from snap_self.config.settings import PackageManagersSettings
from snap_self.errors import ConfigError, ExitStatus, UsageError
from snap_self.model.installation import REINSTALL
from snap_self.model.packages import HOOKS, ManagerHook, hook_named, hooks_of, known_managers
from snap_self.model.registration import (
    ManagerFault,
    Placed,
    RegisteredFile,
    Registration,
    Rehearsal,
)
from snap_self.model.shown import shown

OUR_GUARD = RegisteredFile(path=GUARD, placed=Placed.OURS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagerStatus:
    """One hook, and what the configuration makes of it."""

    registration: Registration
    enabled: bool
    on_failure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagersReport:
    """All hooks of this machine.

    Args:
        absent: hooks whose package manager is not on this machine.
        guard: what keeps all of them from working.
        guard_file: where the guard's own file stands.
        limit_s: no change is held up for longer.
        throttled_limit_s: the same when nobody waits and the cloud refuses calls as too many.
        spread_s: when nobody waits, a delay shorter than that goes before.
        skipped: why no change at all gets a snapshot at present; empty if they do.
        configuration: its faults; the rest goes by what is left of it.
    """

    hooks: tuple[ManagerStatus, ...]
    absent: tuple[str, ...]
    guard: tuple[ManagerFault, ...]
    limit_s: int
    throttled_limit_s: int = 0
    spread_s: int = 0
    skipped: str = ""
    guard_file: RegisteredFile = OUR_GUARD
    configuration: tuple[ManagerFault, ...] = ()

    @property
    def exit_status(self) -> ExitStatus:
        """What ``hook status`` ends with: not 0 where what is switched on makes no snapshot."""
        if self.configuration:
            return ExitStatus.CONFIG
        faulty = any(one.enabled and one.registration.faults for one in self.hooks)
        on = any(one.enabled for one in self.hooks)
        idle = on and (self.guard or self.skipped)
        return ExitStatus.ENVIRONMENT if faulty or idle else ExitStatus.DONE


def manager_status(
    machine: Machine, settings: PackageManagersSettings, *, wanted: str = "", skipped: str = ""
) -> ManagersReport:
    """Ask every package manager, or only the wanted one, and have those switched on rehearse.

    Args:
        skipped: why hooks do nothing here at present.

    Raises:
        UsageError: there is no such package manager.
    """
    found = {hook.name: integration_of(hook).probe(machine) for hook in wanted_hooks(wanted)}
    guard = machine.compare(GUARD, machine.source("hook-guard"))
    faults = tuple(guard_faults(machine, guard))

    def proved(registration: Registration) -> Registration:
        """Return it with what a rehearsal showed, where one can show more than the faults do."""
        on = registration.manager in settings.enabled
        rehearsal = None
        if on and not faults and registration.placed is not Placed.MISSING:
            rehearsal = _rehearse(machine, hook_named(registration.hook))
        if rehearsal is None or rehearsal.reached is None:
            registration = replace(registration, rehearsal=rehearsal)
            return unproved(registration, guard)
        return with_rehearsal(registration, rehearsal, guard, elsewhere=skipped)

    return ManagersReport(
        hooks=tuple(
            ManagerStatus(
                registration=proved(registration),
                enabled=registration.manager in settings.enabled,
                on_failure=settings.on_failure[registration.manager],
            )
            for registration in found.values()
            if registration is not None
        ),
        absent=tuple(hook for hook, registration in found.items() if registration is None),
        guard=faults,
        guard_file=guard,
        limit_s=settings.limit_s,
        throttled_limit_s=max(settings.limit_s, settings.throttled_limit_s),
        spread_s=settings.spread_s,
        skipped=skipped,
    )


def _rehearse(machine: Machine, hook: ManagerHook) -> Rehearsal | None:
    """Have the hook's package manager rehearse; None where that cannot be had."""
    play = integration_of(hook).rehearse
    if play is None or machine.stage is None:
        return None
    try:
        with machine.stage() as stage:
            return play(machine, stage)
    except (OSError, TimeoutError) as error:
        return Rehearsal(reached=None, why=str(error))


def configuration_faults(fault: ConfigError | None) -> tuple[ManagerFault, ...]:
    """Return each fault of the configuration with its mend."""
    if fault is None:
        return ()
    return tuple(ManagerFault(text=text, mend=fault.hint) for text in fault.faults)


def wanted_hooks(wanted: str) -> tuple[ManagerHook, ...]:
    """Return the hooks that a name stands for, all of them for an empty one.

    Raises:
        UsageError: there is no such package manager.
    """
    hooks = hooks_of(wanted)
    if not hooks:
        raise UsageError(
            f"{shown(wanted)} is no package manager with a hook", hint=f"known: {known_managers()}"
        )
    return hooks


def quick_look(machine: Machine, enabled: Collection[str]) -> tuple[list[str], list[str]]:
    """Return the hooks that are in place and those that are not, without asking any manager."""
    here: list[str] = []
    missing: list[str] = []
    for hook in HOOKS:
        mark = integration_of(hook).mark if hook.manager in enabled else None
        if mark and machine.which(mark[0]):
            (missing if machine.text(mark[1]) is None else here).append(hook.name)
    return here, missing


def guard_faults(machine: Machine, file: RegisteredFile) -> Iterable[ManagerFault]:
    """Return what is wrong with the guard that every hook starts."""
    if file.placed is Placed.MISSING:
        yield ManagerFault(text=f"{GUARD} is not there, so no hook does anything", mend=REINSTALL)
    elif not machine.is_executable(GUARD):
        mend = f"chmod 755 {GUARD}"
        yield ManagerFault(text=f"{GUARD} may not be executed, so no hook does anything", mend=mend)
    elif not machine.is_executable(AGENT):
        # The guard looks nowhere else, whatever the PATH has.
        text = f"{AGENT} is not there or may not be executed, so no change gets a snapshot"
        yield ManagerFault(text=text, mend=REINSTALL)

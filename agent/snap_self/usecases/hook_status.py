"""Whether each package manager of this machine really calls snap-self, and what it may do then."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from snap_self.config.settings import PackageManagersSettings
from snap_self.errors import ExitStatus, UsageError
from snap_self.model.packages import MANAGERS
from snap_self.model.registration import HookFault, Placed, Registration
from snap_self.usecases.registration.machine import GUARD, Machine
from snap_self.usecases.registration.probes import PROBES, QUICK
from snap_self.usecases.registration.verdict import MANAGER_OF


@dataclass(frozen=True, slots=True, kw_only=True)
class HookStatus:
    """One hook, and what the configuration makes of it."""

    registration: Registration
    enabled: bool
    on_failure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HooksReport:
    """All hooks of this machine.

    Args:
        absent: hooks whose package manager is not on this machine.
        guard: what keeps all of them from working.
        limit_s: no change is held up for longer.
        skipped: why no change at all gets a snapshot at present; empty if they do.
    """

    hooks: tuple[HookStatus, ...]
    absent: tuple[str, ...]
    guard: tuple[HookFault, ...]
    limit_s: int
    skipped: str = ""

    @property
    def exit_status(self) -> ExitStatus:
        """What ``hook status`` ends with: a fault of one that is switched on is a failure."""
        faulty = any(one.enabled and one.registration.faults for one in self.hooks)
        on = any(one.enabled for one in self.hooks)
        return ExitStatus.ENVIRONMENT if faulty or (on and self.guard) else ExitStatus.DONE


def hook_status(
    machine: Machine, settings: PackageManagersSettings, *, wanted: str = "", skipped: str = ""
) -> HooksReport:
    """Ask every package manager, or only the wanted one.

    Args:
        skipped: why hooks do nothing here at present.

    Raises:
        UsageError: there is no such package manager.
    """
    hooks = hooks_of(wanted) if wanted else tuple(PROBES)
    found = {hook: PROBES[hook](machine) for hook in hooks}
    return HooksReport(
        hooks=tuple(
            HookStatus(
                registration=registration,
                enabled=registration.manager in settings.enabled,
                on_failure=settings.on_failure[registration.manager],
            )
            for registration in found.values()
            if registration is not None
        ),
        absent=tuple(hook for hook, registration in found.items() if registration is None),
        guard=tuple(guard_faults(machine)),
        limit_s=settings.limit_s,
        skipped=skipped,
    )


def hooks_of(manager: str) -> tuple[str, ...]:
    """Return the hooks that a manager's name stands for.

    Raises:
        UsageError: there is no such package manager.
    """
    hooks = tuple(hook for hook, name in MANAGER_OF.items() if manager in (hook, name))
    if not hooks:
        raise UsageError(
            f"{manager!r} is no package manager with a hook",
            hint=f"known: {', '.join(MANAGERS)} (dnf is also dnf 5 and yum)",
        )
    return hooks


def quick_look(machine: Machine, enabled: Collection[str]) -> tuple[list[str], list[str]]:
    """Return the hooks that are in place and those that are not, without asking any manager."""
    here: list[str] = []
    missing: list[str] = []
    for hook, (program, path) in QUICK.items():
        if machine.which(program) and MANAGER_OF[hook] in enabled:
            (missing if machine.text(path) is None else here).append(hook)
    return here, missing


def guard_faults(machine: Machine) -> Iterable[HookFault]:
    """Return what is wrong with the guard that every hook starts."""
    reinstall = "reinstall snap-self"
    file = machine.compare(GUARD, machine.source("hook-guard"))
    if file.placed is Placed.MISSING:
        yield HookFault(text=f"{GUARD} is not there, so no hook does anything", mend=reinstall)
    elif not machine.is_executable(GUARD):
        mend = f"chmod 755 {GUARD}"
        yield HookFault(text=f"{GUARD} may not be executed, so no hook does anything", mend=mend)
    elif not machine.which("snap-self"):
        text = "snap-self is not on the PATH, so hooks only say so and let the change go on"
        yield HookFault(text=text, mend=reinstall)

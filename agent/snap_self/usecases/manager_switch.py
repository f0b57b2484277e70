"""Switch hooks on and off by the one key, and register those that are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from snap_self.changes.registration.integration import integration_of
from snap_self.changes.registration.machine import GUARD, Machine
from snap_self.errors import ConfigError, EnvironmentFault, HooksAbsent, RootNeeded
from snap_self.model.installation import REINSTALL
from snap_self.model.packages import MANAGERS
from snap_self.model.registration import Placed, Registration
from snap_self.usecases.manager_status import guard_faults, wanted_hooks

SECTION = "package_managers"
KEY = "enabled"
REGISTER_S = 60.0
HEAD = "# Written by `snap-self hook enable|disable`, which replace all of it.\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchFile:
    """The file that holds the key.

    Args:
        load: returns the managers that the whole configuration switches on.
        tables: returns what is in the file; empty where it is not there.
        write: replaces the file; raises OSError.
    """

    path: str
    load: Callable[[], Sequence[str]]
    tables: Callable[[], Mapping[str, object]]
    write: Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Switched:
    """What became of it.

    Args:
        changed: the key was written.
        enabled: the managers that are switched on now.
        placed: what was said about files that were placed.
        not_here: the managers asked for, if none of them is on this machine.
    """

    changed: bool
    enabled: tuple[str, ...]
    placed: tuple[str, ...] = ()
    not_here: tuple[str, ...] = ()


def switch(machine: Machine, file: SwitchFile, wanted: str, *, on: bool) -> Switched:
    """Switch one manager's hook on or off, or all with an empty name.

    Raises:
        UsageError: there is no such package manager.
        HooksAbsent: what the placed files would call is not there.
        RootNeeded: only root may.
        ConfigError: another file keeps it as it is, or the file holds more than the key.
        EnvironmentFault: a file could not be placed, or no hook could do anything.
    """
    hooks = wanted_hooks(wanted)
    if on:
        _refuse_idle_hooks(machine)
    managers = {hook.manager for hook in hooks}
    before = file.load()
    after = tuple(m for m in MANAGERS if (on if m in managers else m in before))
    changed = set(after) != set(before)
    if changed:
        _write(file, after)
    found = [each for hook in hooks if (each := integration_of(hook).probe(machine)) is not None]
    unplaced = [each.hook for each in found if on and _wants_placing(each)]
    placed = _register(machine, unplaced) if unplaced else ()
    absent = () if found else tuple(m for m in MANAGERS if m in managers)
    return Switched(changed=changed, enabled=after, placed=placed, not_here=absent)


def render(enabled: Sequence[str]) -> str:
    """Return the file's text."""
    names = ", ".join(f'"{name}"' for name in enabled)
    return f"{HEAD}[{SECTION}]\n{KEY} = [{names}]\n"


def _refuse_idle_hooks(machine: Machine) -> None:
    """Place nothing and claim nothing where what every hook starts is not there, as in a checkout.

    Raises:
        HooksAbsent: it is not.
    """
    guard = machine.compare(GUARD, machine.source("hook-guard"))
    for fault in guard_faults(machine, guard):
        raise HooksAbsent(fault.text, hint=fault.mend)


def _wants_placing(found: Registration) -> bool:
    """Tell whether files are to be placed: what somebody changed stays as it is."""
    faulty = found.placed is Placed.OURS and bool(found.faults)
    return faulty or found.placed is Placed.MISSING


def _write(file: SwitchFile, enabled: Sequence[str]) -> None:
    tables = file.tables()
    section = tables.get(SECTION, {})
    if set(tables) - {SECTION} or not isinstance(section, Mapping) or set(section) - {KEY}:
        raise ConfigError(
            f"{file.path} holds more than {SECTION}.{KEY}",
            hint="move the rest to another file of that folder, or change the key by hand",
        )
    try:
        file.write(render(enabled))
    except PermissionError:
        raise RootNeeded(
            f"{file.path} may only be written by root", hint="run it with sudo"
        ) from None
    except OSError as error:
        raise EnvironmentFault(f"{file.path} cannot be written: {error.strerror}") from error
    if set(file.load()) != set(enabled):
        raise ConfigError(
            f"{file.path} is written, but {SECTION}.{KEY} is set again by a file after it",
            hint="files of that folder are read in the order of their names; change it there",
        )


def _register(machine: Machine, hooks: Sequence[str]) -> tuple[str, ...]:
    argv = ("/bin/sh", f"{machine.hooks}/register", "add", *hooks)
    try:
        status, out, err = machine.commands.run(argv, timeout_s=REGISTER_S)
    except (OSError, TimeoutError) as error:
        raise EnvironmentFault(f"{argv[1]}: {error}", hint=REINSTALL) from error
    if status:
        said = "; ".join(err.strip().splitlines()) or f"{argv[1]} ended with status {status}"
        raise EnvironmentFault(said, hint="as root: sudo snap-self hook enable")
    return tuple(out.splitlines())

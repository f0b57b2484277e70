"""What a package manager's integration consists of, beside the conversation of its hook."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from snap_self.changes.registration.machine import Machine, Stage
from snap_self.model.packages import ManagerHook
from snap_self.model.registration import Registration, Rehearsal


@dataclass(frozen=True, slots=True, kw_only=True)
class Integration:
    """How it is found out whether a package manager calls its hook.

    Args:
        probe: asks the manager; None where it is not on this machine.
        mark: a program that only this manager has, and a file of ours, for a quick look; None
            where that would not tell.
        rehearse: has the manager begin a transaction that ends in our hook; None where it cannot.
            May raise OSError and TimeoutError.
    """

    probe: Callable[[Machine], Registration | None]
    mark: tuple[str, str] | None = None
    rehearse: Callable[[Machine, Stage], Rehearsal] | None = None


def integration_of(hook: ManagerHook) -> Integration:
    """Return the integration that the table of hooks names."""
    module, _, name = hook.integration.partition(":")
    found: Integration = getattr(import_module(module), name)
    return found

"""What every protocol needs to build its steps."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from snap_self.model.hooks import HookCommand, HookFacts, HookStep
from snap_self.ports import HookFiles
from snap_self.quiesce.hooks.environment import environment


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """Makes the steps of one run.

    Args:
        timeout_s: for protocols without a time limit of their own.
    """

    facts: HookFacts
    files: HookFiles
    timeout_s: float

    def command(
        self,
        script: str,
        *arguments: str,
        phase: str,
        keeps_input: bool = False,
        by_shell: bool = False,
    ) -> HookCommand:
        """Return the command that runs a script, directly or through ``sh``."""
        return HookCommand(
            argv=(*(("/bin/sh",) if by_shell else ()), script, *arguments),
            script=script,
            env=environment(self.facts, phase),
            keeps_input=keeps_input,
            executable=not by_shell,
        )

    def broken(self, name: str, fault: str, hint: str) -> HookStep:
        """Return a step that cannot be run and fails with that reason when it is started."""
        return HookStep(
            name=name, start=None, stop=None, timeout_s=self.timeout_s, fault=fault, hint=hint
        )

    def missing(self, *paths: str) -> str:
        """Return the first of the paths that does not exist; empty if all do."""
        for path in paths:
            try:
                self.files.walk(path)
            except OSError:
                return path
        return ""


def hook_name(path: str) -> str:
    """Return a hook's name in messages."""
    return f"hook {posixpath.basename(path.rstrip('/'))}"

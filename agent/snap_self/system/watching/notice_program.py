"""Runs the command that is told of what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from snap_self.system.key_programs import KeyPrograms


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticePrograms:
    """Implement ``ports.NoticeProgram``: a clean environment, and none that others could change.

    Args:
        env: the agent's own environment, of which it gets the proxies alone.
    """

    env: Mapping[str, str]

    def __call__(
        self,
        argv: Sequence[str],
        *,
        variables: Mapping[str, str],
        stdin: bytes,
        timeout_s: float,
    ) -> int:
        """Return its exit status; negative: ended by that signal.

        Raises:
            OSError: it could not be started, or others could change it.
            TimeoutError: it and its group were killed at the time limit.
        """
        programs = KeyPrograms(self.env, more=variables, stdin=stdin)
        status, _, _ = programs.run(argv, timeout_s=timeout_s)
        return status

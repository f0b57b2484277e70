"""In the place of what people are told with: a pace in memory, a program that is not run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from snap_self.model.notifying import Pace


@dataclass
class FakePace:
    """Implement ``ports.NoticePace`` in memory.

    Args:
        fault: raised instead of remembering anything.
    """

    pace: Pace = field(default_factory=Pace)
    fault: OSError | None = None

    def change(self, change: Callable[[Pace], Pace]) -> Pace:
        """Replace what is remembered by what the function makes of it, and return that."""
        if self.fault:
            raise self.fault
        self.pace = change(self.pace)
        return self.pace


@dataclass(frozen=True, kw_only=True)
class ProgramRun:
    """How the command was started."""

    argv: tuple[str, ...]
    variables: Mapping[str, str]
    stdin: bytes
    timeout_s: float


@dataclass
class FakeProgram:
    """Implement ``ports.NoticeProgram``: note how it is started.

    Args:
        ends: returns the exit status, or raises.
    """

    ends: Callable[[], int] = lambda: 0
    runs: list[ProgramRun] = field(default_factory=list)

    def __call__(
        self,
        argv: Sequence[str],
        *,
        variables: Mapping[str, str],
        stdin: bytes,
        timeout_s: float,
    ) -> int:
        """Return the exit status."""
        run = ProgramRun(
            argv=tuple(argv), variables=dict(variables), stdin=stdin, timeout_s=timeout_s
        )
        self.runs.append(run)
        return self.ends()

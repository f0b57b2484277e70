"""Steps that go back, as the lines that people paste.

A call of the cloud is printed as a command of Alibaba Cloud's own command line.
Source: https://github.com/aliyun/aliyun-cli.
"""

from __future__ import annotations

from collections.abc import Sequence

from snap_self.model.shell import command
from snap_self.model.ways import CloudCall, Local, Step, Until

SHORT_CAUTIONS = (
    "Run these from another machine (or use the ECS console: Snapshots > Roll Back Disk); "
    "a disk can only be rolled back while this instance is stopped.",
    "Everything written after the snapshot is lost; in doubt, snapshot the present state first.",
)
_UNTIL = {
    Until.STOPPED: "until Status is Stopped",
    Until.AVAILABLE: "until Status is Available",
    Until.ATTACHED: "until Status is In_use",
    Until.NOT_REINITING: "until no Status is ReIniting",
}


def step_line(step: Step) -> str:
    """Return one step as a line to be pasted into a shell, on the instance or outside of it."""
    if isinstance(step, Local):
        return command(*step.argv, remark=step.why)
    options = (word for name, value in step.params.items() for word in (f"--{name}", value))
    return command("aliyun", "ecs", step.action, *options, remark=_remark(step))


def undo_lines(undo: Sequence[Step]) -> tuple[str, ...]:
    """Return the short way back; no line where there is none.

    Args:
        undo: the steps that roll disks back in place.
    """
    return (*SHORT_CAUTIONS, *map(step_line, undo)) if undo else ()


def _remark(call: CloudCall) -> str:
    if call.until:
        return _UNTIL[call.until]
    return f"prints the id of {call.gives}" if call.gives else call.why

"""snap-self's own protocol: ``pre`` before, ``post`` after.

A hook that prints ``READY`` on a line of its own and keeps running is a session: it holds its lock
until its standard input is closed. ``post`` is also run for it, after it has ended.
"""

from __future__ import annotations

from snap_self.model.hooks import HookStep
from snap_self.quiesce.hooks.building import Builder, hook_name


def native_steps(path: str, builder: Builder) -> tuple[HookStep, ...]:
    """Return the step of one executable."""
    return (
        HookStep(
            name=hook_name(path),
            start=builder.command(path, "pre", phase="pre", keeps_input=True),
            stop=builder.command(path, "post", phase="post"),
            timeout_s=builder.timeout_s,
        ),
    )

"""The two scripts of Alibaba Cloud's application-consistent snapshots.

Both belong to root with mode 700. The documented place is /tmp, where anybody could have put them
first, so they are accepted only from a folder that only root can change.

Source: ECS user guide, "Create application-consistent snapshots".
"""

from __future__ import annotations

from snap_self.model.hooks import HookStep
from snap_self.quiesce.hooks.building import Builder, hook_name

PRE, POST = "prescript.sh", "postscript.sh"


def alibaba_steps(prescript: str, postscript: str, builder: Builder) -> tuple[HookStep, ...]:
    """Return the step for both scripts."""
    missing = builder.missing(prescript, postscript) if prescript and postscript else "one of both"
    if missing:
        return (
            builder.broken(
                hook_name(prescript or postscript),
                f"{PRE} and {POST} belong together, and {missing} is missing",
                "give both, or neither",
            ),
        )
    return (
        HookStep(
            name=hook_name(prescript),
            start=builder.command(prescript, phase="pre"),
            stop=builder.command(postscript, phase="post"),
            timeout_s=builder.timeout_s,
            private=True,
        ),
    )

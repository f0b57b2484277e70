"""The two scripts of Google Cloud's guest agent: ``pre.sh`` and ``post.sh`` in one folder.

Each gets the disks, separated by commas, as its only argument, and has 60 seconds.

Source: Compute Engine documentation, "Create Linux application-consistent disk snapshots".
"""

from __future__ import annotations

import posixpath

from snap_self.model.hooks import HookStep
from snap_self.quiesce.hooks.building import Builder

PRE, POST = "pre.sh", "post.sh"
TIMEOUT_S = 60.0


def google_steps(folder: str, builder: Builder) -> tuple[HookStep, ...]:
    """Return the step for both scripts."""
    pre, post = posixpath.join(folder, PRE), posixpath.join(folder, POST)
    name = f"hook {posixpath.join(posixpath.basename(folder.rstrip('/')), PRE)}"
    missing = builder.missing(pre, post)
    if missing:
        why = f"{PRE} and {POST} belong together, and {missing} is missing"
        return (builder.broken(name, why, "give both, or neither"),)
    disks = ",".join(builder.facts.disks)
    return (
        HookStep(
            name=name,
            start=builder.command(pre, disks, phase="pre"),
            stop=builder.command(post, disks, phase="post"),
            timeout_s=TIMEOUT_S,
        ),
    )

"""The environment of hooks; it has nothing of the agent's own environment."""

from __future__ import annotations

from collections.abc import Mapping

from snap_self.model.hooks import HookFacts

RUN = "SNAP_SELF_RUN"
RESULT = "SNAP_SELF_RESULT"
# The search path of a systemd service (systemd.exec(5)), and what a root shell has.
_BASE = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "USER": "root",
    "LOGNAME": "root",
    "SHELL": "/bin/sh",
    "LANG": "C.UTF-8",
}


def environment(facts: HookFacts, phase: str) -> Mapping[str, str]:
    """Return the environment of one phase, ``pre`` or ``post``; lists have one entry per line."""
    return {
        **_BASE,
        "SNAP_SELF_PHASE": phase,
        RUN: facts.run_id,
        "SNAP_SELF_BEFORE": facts.before.replace("\0", " "),
        "SNAP_SELF_DISKS": "\n".join(facts.disks),
        "SNAP_SELF_MOUNTS": "\n".join(map(_on_one_line, facts.mounts)),
    }


def _on_one_line(path: str) -> str:
    """Return a mount point escaped as in mountinfo, so that no reader takes it for two."""
    return path.replace("\n", r"\012")

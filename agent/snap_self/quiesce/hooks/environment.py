"""What hooks find in their environment: nothing of the agent's own."""

from __future__ import annotations

from collections.abc import Mapping

from snap_self.model.hooks import HookFacts

RUN = "SNAP_SELF_RUN"
RESULT = "SNAP_SELF_RESULT"
# The search path that systemd gives a service (systemd.exec(5)), and what a shell of root's has.
_BASE = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "USER": "root",
    "LOGNAME": "root",
    "SHELL": "/bin/sh",
    "LANG": "C.UTF-8",
}


def environment(facts: HookFacts, phase: str) -> Mapping[str, str]:
    """Return the environment of one phase, ``pre`` or ``post``; lists have one entry a line."""
    return {
        **_BASE,
        "SNAP_SELF_PHASE": phase,
        RUN: facts.run_id,
        "SNAP_SELF_BEFORE": facts.before.replace("\0", " "),
        "SNAP_SELF_DISKS": "\n".join(facts.disks),
        "SNAP_SELF_MOUNTS": "\n".join(facts.mounts),
    }

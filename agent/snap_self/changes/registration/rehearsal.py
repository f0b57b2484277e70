"""Rehearsals: the real package manager begins a transaction that ends in our hook.

Its one package is empty and nobody else has one of its name. Whatever the manager would write, it
writes to a place of its own, so nothing is changed even where the hook is not reached. Other hooks
stay out of it: they would take snapshots or commit to a repository.
"""

from __future__ import annotations

from collections.abc import Sequence

from snap_self.changes.registration.machine import Machine, Stage
from snap_self.model.registration import Rehearsal

CHANGED = "changed"
MAX_SAID = 200
# In mounts of its own, which nobody else sees: the folders are empty ones in memory. The package in
# the database afterwards tells that nothing stopped the transaction.
RPM_SCRIPT = """\
folder=$1
[ -z "$2" ] || cp -p "$2" "$folder/plugin" || exit 90
for place in $3; do
    [ ! -d "$place" ] || mount -t tmpfs -o mode=755 rehearsal "$place" || exit 90
done
if [ -n "$2" ]; then mkdir -p "${2%/*}" && cp -p "$folder/plugin" "$2" || exit 90; fi
shift 3
"$@"
status=$?
if rpm -q snap-self-rehearsal >/dev/null 2>&1; then : >"$folder/changed"; fi
exit "$status"
"""
IN_OWN_MOUNTS = (
    "unshare",
    "--mount",
    "--propagation",
    "private",
    "--",
    "/bin/sh",
    "-c",
    RPM_SCRIPT,
)


def in_own_mounts(
    machine: Machine,
    stage: Stage,
    argv: Sequence[str],
    places: Sequence[str],
    *,
    plugin: str = "",
) -> Sequence[str]:
    """Return the command with rpm's database and these folders empty, but for one plugin."""
    database = (machine.ask("rpm", "-E", "%{_dbpath}") or "").strip()
    where = " ".join(dict.fromkeys((database or "/var/lib/rpm", "/var/lib/rpm", *places)))
    return (*IN_OWN_MOUNTS, "sh", stage.folder, plugin, where, *argv)


def played(stage: Stage, argv: Sequence[str], *, changed: str = CHANGED) -> Rehearsal:
    """Run it and tell what came of it.

    Args:
        changed: what is there when nothing stopped the transaction; empty: its success tells.
    """
    status, said = stage.run(argv)
    note = stage.note()
    went_on = stage.exists(changed) if changed else status == 0
    last = said.strip().rpartition("\n")[2][:MAX_SAID]
    if note is not None:
        return Rehearsal(reached=True, stopped=not went_on, note=note)
    if went_on:
        return Rehearsal(reached=False)
    return Rehearsal(reached=None, why=last or f"{argv[0]} ended with status {status}")

"""Note what a change has made of this machine, once it has ended."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

from snap_self.errors import StateUnusable
from snap_self.model.awaited import AwaitedChange, process_of
from snap_self.model.ids import InstanceId, RunId
from snap_self.model.run import rebooted
from snap_self.ports_looking_back import ManifestReading
from snap_self.usecases.tools import Tools

# A command has ended, and somebody may wait for the prompt; it takes a second on a busy machine.
COMMAND_LIMIT_S = 10.0
# In the background nobody waits.
BESIDE_LIMIT_S = 30.0


def note_changed(
    tools: Tools,
    run_id: RunId,
    instance_id: InstanceId,
    *,
    limit_s: float,
    reading: ManifestReading | None = None,
) -> bool:
    """Keep what this machine is now as what the change of a run made of it; tell whether it is.

    Nothing fails for it: the change is made.

    Args:
        reading: a look that was begun after the change; None to begin one now.
    """
    if tools.manifests is None:
        return False
    reading = reading or tools.manifests.reader.begin()
    packed = reading.end(run_id, instance_id, limit_s=limit_s)
    try:
        tools.manifests.store.write(packed, after=True)
    except StateUnusable:
        return False
    return True


def await_change(tools: Tools, run_id: RunId, key: str) -> AwaitedChange | None:
    """Have the end of the change waited for; None where that cannot be.

    Args:
        key: of the process that is the change, as a hook names it.
    """
    process = process_of(key)
    if tools.awaited is None or process is None:
        return None
    pid, started = process
    change = AwaitedChange(
        run_id=run_id,
        pid=pid,
        pid_started=started,
        boot_id=tools.process.boot_id,
        since=tools.clock.now(),
    )
    try:
        tools.awaited.add(change)
    except StateUnusable:
        return None
    return change


def see_to_changes(tools: Tools, *, limit_s: float) -> bool:
    """Note what ended changes have made of the machine; tell whether others are waited for.

    What a reboot has ended is not waited for any more, and nothing is noted of it: what came after
    is not the change.

    Args:
        limit_s: no change is waited for longer; what there is then is noted.
    """
    if tools.awaited is None:
        return False
    waits = False
    for change in tools.awaited.all():
        if rebooted(change.boot_id, tools.process.boot_id):
            tools.awaited.forget(change)
        elif _goes_on(tools, change, limit_s):
            waits = True
        else:
            _note(tools, change)
            tools.awaited.forget(change)
    return waits


def _note(tools: Tools, change: AwaitedChange) -> None:
    with suppress(StateUnusable):
        record = tools.store.load(change.run_id)
        if record is not None:
            note_changed(tools, change.run_id, record.instance_id, limit_s=BESIDE_LIMIT_S)


def _goes_on(tools: Tools, change: AwaitedChange, limit_s: float) -> bool:
    if tools.clock.now() - change.since >= timedelta(seconds=limit_s):
        return False
    return tools.process_started(change.pid) == change.pid_started

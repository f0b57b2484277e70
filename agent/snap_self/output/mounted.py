"""What `mount` is about to do and did, as text and as JSON (schema 1; fields are only added)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from snap_self.model.restored import Intent, Mounted
from snap_self.model.shell import command
from snap_self.output.caveats import caveat_lines, caveats_json
from snap_self.output.jsonform import envelope, write_json
from snap_self.output.restored import disks_json
from snap_self.output.streams import Streams
from snap_self.output.text import ago_words, short_instant, write_paragraph
from snap_self.output.unmounted import open_json


def intent_lines(intent: Intent, now: datetime) -> Iterator[str]:
    """Yield what is about to be made."""
    age = f"{short_instant(intent.cut_time)}{ago_words(intent.cut_time, now)}"
    yield (
        f"Open {intent.source} ({intent.fstype}) as it is in {', '.join(intent.snapshot_ids)}, cut "
        f"{age}, before: {intent.before or '-'}, at {intent.to}"
    )
    disks = "A disk" if intent.disks == 1 else f"{intent.disks} disks"
    each = "is" if intent.disks == 1 else "are"
    yield (
        f"{disks} of {intent.gib} GiB {each} made for this and deleted at "
        f"{short_instant(intent.until)} or with `snap-self unmount`; until then the account pays "
        "for it."
    )


def write_mounted(streams: Streams, done: Mounted) -> None:
    """Write where the snapshot is, as data, and how long."""
    if streams.json:
        write_json(streams, mounted_json(done))
        return
    streams.data(done.record.mounted_at)
    already = "Open already" if done.joined else "Open, read-only"
    write_paragraph(
        streams,
        f"{already} until {short_instant(done.record.until)}. To close it: "
        f"{command('snap-self', 'unmount', done.record.mounted_at)}",
    )
    if not done.timed:
        write_paragraph(
            streams,
            "No timer of systemd closes it then: the first snap-self command after that does.",
        )
    streams.message(*caveat_lines(done.caveats, all_of=streams.verbosity > 0))
    streams.message(*(f"Note: {note}" for note in done.notes))


def mounted_json(done: Mounted) -> dict[str, Any]:
    """Return the same as a JSON object."""
    return {
        **envelope("mount"),
        "mount": {
            **open_json(done.record),
            "source": done.record.source,
            "fstype": done.intent.fstype,
            "timed": done.timed,
            "joined": done.joined,
        },
        "disks": disks_json(done.record),
        "caveats": caveats_json(done.caveats),
        "notes": list(done.notes),
    }

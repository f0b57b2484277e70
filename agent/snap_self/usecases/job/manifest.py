"""The manifest of a run: what this machine is, noted before its snapshot.

It is read by another process while the cloud is asked who and where this instance is, stored before
the flush, so that it is in the snapshot too, and given up at its limit: nothing of it goes on while
anything is held.
"""

from __future__ import annotations

from snap_self.errors import StateUnusable
from snap_self.model.packed import PackedManifest
from snap_self.model.run import ManifestRecord
from snap_self.ports_looking_back import ManifestReading
from snap_self.usecases.job.facts import RunFacts
from snap_self.usecases.tools import Tools

# How long a run waits for it at most, a package manager's hook too.
LIMIT_S = 0.3
# Where the cloud kept the run waiting for longer, the machine is looked at anew.
FRESH_S = 10.0


class RunManifest:
    """Takes the manifest of one run, if the machine is looked at at all."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._reading: ManifestReading | None = None
        self._begun = 0.0

    def begin(self) -> None:
        """Begin to look at the machine, unless that goes on already."""
        if self._tools.manifests is not None and self._reading is None:
            self._begun = self._tools.clock.monotonic()
            self._reading = self._tools.manifests.reader.begin()

    def keep(self, facts: RunFacts) -> ManifestRecord | None:
        """Store what was seen; return what the journal is to say of it.

        Whatever goes wrong is a note of the run: none fails for it.
        """
        if self._tools.manifests is None:
            return None
        packed = self._read(facts)
        try:
            self._tools.manifests.store.write(packed)
        except StateUnusable as error:
            facts.notes.append(f"what this machine was before is not noted: {error.message}")
            return ManifestRecord(kept=False, why=error.message)
        if packed.left_out:
            facts.notes.append(_lacks(packed))
        return ManifestRecord(
            kept=True, left_out=tuple(dict.fromkeys(each.part for each in packed.left_out))
        )

    def _read(self, facts: RunFacts) -> PackedManifest:
        """Return what was seen: the latest, unless less of it was read in time than of an older."""
        assert facts.identity is not None
        whose = (facts.run_id, facts.identity.instance_id)
        older = None
        if self._tools.clock.monotonic() > self._begun + FRESH_S:
            older, self._reading = self._reading, None
        self.begin()
        reading, self._reading = self._reading, None
        assert reading is not None
        packed = reading.end(*whose, limit_s=LIMIT_S)
        if older is None:
            return packed
        if not packed.left_out:
            older.drop()
            return packed
        # It had all the time that the cloud took; when it was begun stands in it.
        return min(older.end(*whose, limit_s=0.0), packed, key=lambda each: len(each.left_out))

    def drop(self) -> None:
        """Give up what was not kept."""
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.drop()


def _lacks(packed: PackedManifest) -> str:
    """Return in words what is not whole, parts that lack for one reason together."""
    whys: dict[str, list[str]] = {}
    for each in packed.left_out:
        whys.setdefault(each.why, []).append(each.part)
    told = "; ".join(f"{', '.join(parts)}: {why}" for why, parts in whys.items())
    return f"not all that this machine was before could be noted: {told}"

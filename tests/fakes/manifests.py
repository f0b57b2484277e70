"""Manifests in memory, and a machine that is read at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timezone

from snap_self.errors import StateUnusable
from snap_self.model.ids import RunId
from snap_self.model.manifest import (
    BootFile,
    FileFact,
    Listening,
    Manifest,
    Mounted,
    Package,
    User,
)
from snap_self.model.packed import Missing, PackedManifest
from snap_self.system.manifest.packing import pack, unpack

TAKEN = datetime(2026, 11, 22, 8, 32, 25, 250_000, tzinfo=timezone.utc)


def manifest(run_id: str = "20261122t083225z-000001", **changed: object) -> Manifest:
    """Return a small manifest with an entry in every part."""
    one = Manifest(
        run_id=RunId(run_id),
        instance_id="i-bp1iiiijjjjkkkkllllm",
        taken=TAKEN,
        key_id="0123456789abcdef01234567",
        manager="dpkg",
        packages={"openssl:amd64": Package(version="3.0.15-1", automatic=True)},
        files={"/etc/hosts": FileFact(mode=0o100644, uid=0, gid=0, size=9, digest="ab" * 12)},
        units={"ssh.service": "enabled"},
        kernel={"running": "6.1.0-26-cloud-amd64"},
        boot={"vmlinuz-6.1.0-26-cloud-amd64": BootFile(size=7, mtime_ns=8)},
        mounts={"/": Mounted(source="/dev/vda1", fstype="ext4", options="rw,relatime")},
        users={"root": User(uid=0, gid=0, shell="/bin/bash", groups=("adm",))},
        groups={"root": 0, "adm": 4},
        listening=(Listening(proto="tcp", address="0.0.0.0", port=22, program="sshd"),),
        alternatives={"editor": "/bin/nano"},
        diversions={"/bin/sh": "/bin/sh.distrib"},
    )
    return replace(one, **changed)  # type: ignore[arg-type]


class FakeManifests:
    """The memory twin of ``system.state.manifests.Manifests``.

    ``failing`` makes the next writes fail, in these words; ``recorded`` names the runs that the
    journal knows, all of them when it is None.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[RunId, bool], Manifest] = {}
        self.failing = ""
        self.recorded: Collection[RunId] | None = None
        self.writes: list[tuple[RunId, bool]] = []

    def write(self, manifest: Manifest | PackedManifest, *, after: bool = False) -> None:
        """Keep it."""
        if self.failing:
            raise StateUnusable(self.failing)
        self.writes.append((manifest.run_id, after))
        if after or (manifest.run_id, after) not in self._kept:
            known = unpack(manifest.content) if isinstance(manifest, PackedManifest) else manifest
            self._kept[manifest.run_id, after] = known

    def read(self, run_id: RunId, *, after: bool = False) -> Manifest | None:
        """Return what was kept."""
        return self._kept.get((run_id, after))

    def runs(self) -> Sequence[RunId]:
        """Return the runs that have one."""
        return sorted({run_id for run_id, _ in self._kept})

    def forget_strays(self) -> None:
        """Forget those of runs that the journal does not know."""
        if self.recorded is not None:
            self.forget(set(self.runs()) - set(self.recorded))

    def forget(self, run_ids: Collection[RunId]) -> None:
        """Forget what is kept of these runs."""
        self._kept = {key: one for key, one in self._kept.items() if key[0] not in run_ids}


class FakeReading:
    """One look at the fake machine; what it leaves out is settled when it begins."""

    def __init__(self, reader: FakeManifestReader) -> None:
        self._reader = reader
        self._left_out = reader.left_out

    def end(self, run_id: RunId, instance_id: str, *, limit_s: float) -> PackedManifest:
        """Return what the machine is."""
        self._reader.ended.append(limit_s)
        left_out = self._left_out
        one = self._reader.now(run_id, instance_id)
        one = replace(one, left_out=left_out, complete=not left_out)
        return PackedManifest(run_id=run_id, content=pack(one), left_out=left_out)

    def drop(self) -> None:
        """Note that it was given up."""
        self._reader.dropped += 1


class FakeManifestReader:
    """The memory twin of ``system.manifest.reading.MachineManifests``.

    ``begun`` and ``dropped`` count looks, ``ended`` has the limit of each that was waited for.
    """

    def __init__(self, machine: Manifest | None = None) -> None:
        self.machine = machine or manifest()
        self.left_out: tuple[Missing, ...] = ()
        self.begun = 0
        self.dropped = 0
        self.ended: list[float] = []

    def begin(self) -> FakeReading:
        """Begin a look."""
        self.begun += 1
        return FakeReading(self)

    def read(self, run_id: RunId, instance_id: str, *, limit_s: float) -> Manifest:
        """Return what the machine is."""
        self.ended.append(limit_s)
        return self.now(run_id, instance_id)

    def now(self, run_id: RunId, instance_id: str) -> Manifest:
        """Return the machine as a manifest of that run."""
        return replace(
            self.machine,
            run_id=run_id,
            instance_id=instance_id,
            left_out=self.left_out,
            complete=not self.left_out,
        )

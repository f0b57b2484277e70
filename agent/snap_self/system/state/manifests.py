"""The manifests of runs in the state directory, and the key of the hashes in them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from snap_self.errors import StateUnusable
from snap_self.model.ids import RunId
from snap_self.model.packed import ManifestKey, PackedManifest
from snap_self.model.shell import command
from snap_self.system.state.files import (
    PLAIN_NAME,
    check_state_folder,
    make_file_once,
    make_private_subfolder,
    open_private_folder,
    read_private_file,
    remove_leftovers,
    replace_file,
    state_faults,
)
from snap_self.system.state.manifest_names import (
    AFTER_SUFFIX,
    BEFORE_SUFFIX,
    MANIFEST_SUFFIXES,
    MANIFESTS,
)

if TYPE_CHECKING:  # a run writes what was read without its values
    from snap_self.model.manifest import Manifest

MAX_BYTES = 16 << 20
KEY = "key"
_KEY_BYTES = 32
_MOST_KEY_BYTES = 1 << 10


class Manifests:
    """Implement ``ports.ManifestStore`` in a folder of the state directory.

    Reading creates nothing.

    Args:
        directory: the state directory; created when first needed.
    """

    def __init__(self, directory: Path) -> None:
        self._folder = directory / MANIFESTS
        self._records = directory / "runs"

    def write(self, manifest: Manifest | PackedManifest, *, after: bool = False) -> None:
        """Put it safely on disk; one of before the change only if there is none yet.

        Raises:
            StateUnusable: it could not be.
        """
        path = self._path(manifest.run_id, after=after)
        with state_faults(path, doing="written"):
            make_private_subfolder(self._folder)
            content = _content(manifest)
            if after:
                replace_file(path, content)
            else:
                make_file_once(path, content)

    def read(self, run_id: RunId, *, after: bool = False) -> Manifest | None:
        """Return a run's manifest; None if there is none.

        Raises:
            StateUnusable: it is there and cannot be read, or another user could have written it.
        """
        from snap_self.system.manifest.packing import Unreadable, unpack

        if not PLAIN_NAME.fullmatch(run_id):
            return None
        path = self._path(run_id, after=after)
        content = self._read(path, MAX_BYTES)
        if content is None:
            return None
        try:
            return unpack(content)
        except Unreadable as why:
            raise StateUnusable(
                f"what run {run_id} noted of this machine cannot be read: {why} ({path})",
                hint="use the snap-self that wrote it, or compare with another run: "
                "`snap-self list` shows them",
            ) from None

    def content(self, run_id: RunId) -> bytes | None:
        """Return the file of a run's manifest of before the change; None if there is none.

        Raises:
            StateUnusable: it cannot be read, or another user could have written it.
        """
        return self._read(self._path(run_id, after=False), MAX_BYTES)

    def key(self) -> ManifestKey:
        """Return the key of the hashes, which is made when it is first needed.

        Raises:
            StateUnusable: it cannot be read or made, or another user could have written it.
        """
        path = self._folder / KEY
        known = self._key(path)
        if known is None:
            with state_faults(path, doing="written"):
                make_private_subfolder(self._folder)
                # Of one that is damaged nothing can be told: digests are of the next one then.
                with suppress(FileNotFoundError):
                    path.unlink()
                make_file_once(path, f"{os.urandom(_KEY_BYTES).hex()}\n")
            known = self._key(path)
        if known is None:
            raise StateUnusable(f"{path} holds no key", hint=f"{command('rm', str(path))}")
        return known

    def runs(self) -> Sequence[RunId]:
        """Return the runs that have a manifest of either kind, in order.

        Raises:
            StateUnusable: the folder cannot be read.
        """
        return sorted({run_id for run_id, _ in self._files()})

    def forget(self, run_ids: Collection[RunId]) -> None:
        """Remove what is kept of these runs.

        Raises:
            StateUnusable: some of it cannot be removed.
        """
        self._remove(path for run_id, path in self._files() if run_id in run_ids)

    def forget_strays(self) -> None:
        """Remove what an interrupted write left, and manifests of runs that have no record.

        Call it only while holding the run lock: a run writes its manifest before its record.

        Raises:
            StateUnusable: some of it cannot be removed.
        """
        with state_faults(self._folder, doing="read"), suppress(FileNotFoundError):
            remove_leftovers(self._folder)
        self._remove(
            path
            for run_id, path in self._files()
            if not (self._records / f"{run_id}.json").exists()
        )

    def forget_all(self) -> None:
        """Remove every manifest and the key: an image of this machine is to have none of them.

        Raises:
            StateUnusable: some of it cannot be removed.
        """
        self._remove(path for _, path in self._files())
        self._remove(iter((self._folder / KEY,)))

    def _path(self, run_id: RunId, *, after: bool) -> Path:
        if not PLAIN_NAME.fullmatch(run_id):
            raise ValueError(f"{run_id!r} cannot name a manifest")
        return self._folder / f"{run_id}{AFTER_SUFFIX if after else BEFORE_SUFFIX}"

    def _files(self) -> Iterator[tuple[RunId, Path]]:
        with state_faults(self._folder, doing="read"):
            names = os.listdir(self._folder) if self._is_there() else []  # noqa: PTH208
        for name in names:
            run_id, dot, suffix = name.partition(".")
            if f"{dot}{suffix}" in MANIFEST_SUFFIXES and PLAIN_NAME.fullmatch(run_id):
                yield RunId(run_id), self._folder / name

    def _remove(self, paths: Iterator[Path]) -> None:
        for path in paths:
            with state_faults(path, doing="removed"):
                path.unlink(missing_ok=True)

    def _is_there(self) -> bool:
        check_state_folder(self._folder.parent)
        try:
            os.close(open_private_folder(self._folder))
        except FileNotFoundError:
            return False
        return True

    def _read(self, path: Path, most: int) -> bytes | None:
        with state_faults(path, doing="read"):
            if not self._is_there():
                return None
            with suppress(FileNotFoundError):
                return read_private_file(path, most)
        return None

    def _key(self, path: Path) -> ManifestKey | None:
        text = (self._read(path, _MOST_KEY_BYTES) or b"").decode("ascii", "replace").strip()
        try:
            key = bytes.fromhex(text)
        except ValueError:
            return None
        return ManifestKey(key=key, key_id=_key_id(key)) if len(key) == _KEY_BYTES else None


def _content(manifest: Manifest | PackedManifest) -> bytes:
    if isinstance(manifest, PackedManifest):
        return manifest.content
    from snap_self.system.manifest.packing import pack

    return pack(manifest)


def _key_id(key: bytes) -> str:
    from snap_self.system.manifest.etc_files import digest_of

    return digest_of(b"snap-self key id", key)

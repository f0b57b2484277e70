"""What a run noted of this machine, looked for in an opened copy of its disk."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from snap_self.model.ids import RunId
from snap_self.model.manifest import FileFact
from snap_self.model.verified import CopiedEtc
from snap_self.system.manifest.etc_files import ETC, HISTORIES, row_of
from snap_self.system.manifest.plain_files import READ_NO_LINK, Faults, Tree, read_whole
from snap_self.system.state.manifest_names import BEFORE_SUFFIX, MANIFESTS
from snap_self.system.state.manifests import MAX_BYTES, Manifests

_TOP = "/."


class CopiedFacts:
    """Implement ``ports_looking_back.CopyFacts``."""

    def __init__(self, store: Manifests) -> None:
        self._store = store

    def etc(self, root: int, inside: str) -> CopiedEtc:
        """Return what /etc of the copy holds."""
        key = self._store.key()
        folder = _folder(root, inside)
        faults = Faults()
        files: dict[str, FileFact] = {}
        changed: dict[str, int] = {}
        try:
            left_out = frozenset(_TOP + path.removeprefix(ETC) for path in HISTORIES)
            tree = Tree(f"/proc/self/fd/{folder}", fences={}, left_out=left_out)
            for parent, name, place, status in tree.walk(_TOP, faults):
                path = ETC + place.removeprefix(_TOP)
                row = row_of(parent, name, path, status, key.key, faults)
                if row is not None:
                    mode, uid, gid, size, digest, target = row
                    files[path] = FileFact(
                        mode=mode, uid=uid, gid=gid, size=size, digest=digest, target=target
                    )
                    changed[path] = status.st_ctime_ns
            changed[ETC] = os.fstat(folder).st_ctime_ns
        finally:
            os.close(folder)
        return CopiedEtc(files=files, changed_ns=changed, key_id=key.key_id, faults=faults.words)

    def holds_manifest(self, root: int, inside: str, run_id: RunId) -> bool | None:
        """Tell whether the copy holds a run's manifest as it is here."""
        here = self._store.content(run_id)
        if here is None:
            return None
        with suppress(OSError):
            folder = _folder(root, f"{inside}/{MANIFESTS}")
            try:
                file = os.open(f"{run_id}{BEFORE_SUFFIX}", READ_NO_LINK, dir_fd=folder)
            finally:
                os.close(folder)
            try:
                is_file = stat.S_ISREG(os.fstat(file).st_mode)
                return is_file and read_whole(file, MAX_BYTES, likely=len(here)) == here
            finally:
                os.close(file)
        return False


def _folder(root: int, inside: str) -> int:
    """Open a directory below another one; no link on the way is followed."""
    opened = os.dup(root)
    for word in filter(None, inside.split("/")):
        above = opened
        try:
            opened = os.open(word, READ_NO_LINK | os.O_DIRECTORY, dir_fd=above)
        finally:
            os.close(above)
    return opened

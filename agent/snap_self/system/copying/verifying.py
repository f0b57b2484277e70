"""Write all of a restore to its disk, and read again what was written."""

from __future__ import annotations

import os
from collections.abc import Iterable

from snap_self.model.copying import Leaving, LeftOut
from snap_self.system.copying import kernel, walking
from snap_self.system.copying.content import Written, is_as_written
from snap_self.system.copying.planning import open_file
from snap_self.system.copying.refusing import left_out
from snap_self.system.copying.walking import Refused, closing


def sync(paths: Iterable[str]) -> list[LeftOut]:
    """Write the filesystems to their disks on which these paths are; return what failed."""
    failed, known = [], set()
    for path in paths:
        try:
            with closing(walking.deepest(path.rpartition("/")[0] or "/")[0]) as fd:
                device = os.fstat(fd).st_dev
                if device not in known:
                    known.add(device)
                    kernel.sync_filesystem(fd)
        except OSError as error:
            failed.append(left_out(path, error))
        except Refused as refused:
            failed.append(LeftOut(path=path, why=refused.why, code=refused.code))
    return failed


def differing(written: Iterable[tuple[str, Written]]) -> list[LeftOut]:
    """Read files again; return those that do not hold what was written."""
    found: list[LeftOut] = []
    above, folder = "", -1
    try:
        for path, each in written:
            here, _, name = path.rpartition("/")
            try:
                if folder < 0 or here != above:
                    if folder >= 0:
                        os.close(folder)
                    folder = -1
                    above, folder = here, walking.open_directory(here or "/")
                fd, status = open_file(folder, name)
                with closing(fd):
                    if is_as_written(fd, status, each):
                        continue
                why = "is back, but read again it is not what was written"
            except OSError as error:
                why = f"is back, but could not be read again: {error.strerror}"
            except Refused as refused:
                why = f"is back, but when it was read again it {refused.why}"
            found.append(LeftOut(path=path, why=why, code=Leaving.NOT_VERIFIED))
    finally:
        if folder >= 0:
            os.close(folder)
    return found

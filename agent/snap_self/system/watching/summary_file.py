"""The summary of this machine's protection, in a file that everybody may read."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from snap_self.errors import StateUnusable
from snap_self.model.summary import Summary
from snap_self.system.state.files import PRIVATE_FOLDER, replace_file, state_faults
from snap_self.system.state.jsonfiles import SCHEMA, Damaged, json_object, json_text, read_raw
from snap_self.system.state.plainform import ShapeError, from_plain, to_plain
from snap_self.system.trust import check_trusted

NAME = "summary.json"
PUBLIC_FILE = 0o644
# Names in it cannot be listed, and each file and folder has permissions of its own.
_PASSABLE = 0o711


def write_summary(state: Path, summary: Summary) -> None:
    """Put the summary in place of the one before.

    The first time, the state directory is opened for passing through. Whoever closes it again
    keeps it closed.

    Args:
        state: the state directory, which is there.

    Raises:
        StateUnusable: it could not be written.
    """
    path = state / NAME
    with state_faults(path, doing="written"):
        check_trusted(str(state))
        is_first = not os.path.lexists(path)
        replace_file(path, json_text({"schema": SCHEMA, **to_plain(summary)}), mode=PUBLIC_FILE)
        if is_first and state.stat().st_mode & 0o777 == PRIVATE_FOLDER:
            state.chmod(_PASSABLE)


def read_summary(state: Path) -> Summary | None:
    """Return the summary; None where none was ever written.

    Raises:
        StateUnusable: it cannot be read, is damaged, or others than root could have written it.
    """
    path = state / NAME
    with state_faults(path, doing="read"):
        if not _is_there(path):
            return None
        check_trusted(str(path))
        try:
            found: Summary = from_plain(Summary, json_object(read_raw(path)), "summary")
        except (Damaged, ShapeError) as error:
            raise StateUnusable(
                f"{path} cannot be understood: {error}",
                hint="as root: snap-self metrics --refresh",
            ) from None
        except FileNotFoundError:
            return None
        return found


def _is_there(path: Path) -> bool:
    with suppress(FileNotFoundError):
        path.lstat()
        return True
    return False

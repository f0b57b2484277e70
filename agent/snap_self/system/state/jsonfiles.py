"""JSON files in the state directory, one a record: written whole, read with suspicion."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snap_self.system.state.files import (
    check_state_folder,
    make_private_subfolder,
    open_private_folder,
    read_private_file,
    replace_file,
    state_faults,
)

SCHEMA = 1
MAX_BYTES = 1 << 20

FILE_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,99}")


class Damaged(Exception):
    """A file of the journal cannot be understood; the text says why."""


def is_record_name(name: str) -> bool:
    """Tell whether a file's name is that of a record."""
    return name.endswith(".json") and FILE_NAME.fullmatch(name[: -len(".json")]) is not None


def path_of(folder: Path, name: str) -> Path:
    """Return the file of a name.

    Raises:
        ValueError: it cannot be a file's name.
    """
    if not FILE_NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot be a file name of the journal")
    return folder / f"{name}.json"


def write_text(path: Path, text: str) -> None:
    """Put a text safely on disk, in place of the one before.

    Raises:
        StateUnusable: it could not be; the text before is still there.
    """
    with state_faults(path, doing="written"):
        make_private_subfolder(path.parent)
        replace_file(path, text)


def json_text(value: Mapping[str, Any]) -> str:
    """Return the text of a file."""
    return json.dumps(value, indent=1) + "\n"


def is_there(folder: Path) -> bool:
    """Return whether the folder in the state directory exists; refuse what others can change."""
    check_state_folder(folder.parent)
    try:
        os.close(open_private_folder(folder))
    except FileNotFoundError:
        return False
    return True


def read_checked(path: Path, *, most: int = MAX_BYTES) -> bytes:
    """Return what a file holds, whose folders are looked at first.

    Raises:
        StateUnusable: a user other than root could have written it.
        Damaged, FileNotFoundError: it cannot be read.
    """
    with state_faults(path, doing="read"):
        if not is_there(path.parent):
            raise Damaged("not there")
    return read_raw(path, most=most)


def read_raw(path: Path, *, most: int = MAX_BYTES) -> bytes:
    """Return what a file in a checked folder holds.

    Raises:
        Damaged, FileNotFoundError: it cannot be read.
    """
    try:
        return read_private_file(path, most)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Damaged(error.strerror or "cannot be opened") from error


def json_object(raw: bytes) -> dict[str, Any]:
    """Return the object that a file holds.

    Raises:
        Damaged: it holds none that this version understands.
    """
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise Damaged("not JSON") from None
    if not isinstance(value, dict) or type(value.get("schema")) is not int:
        raise Damaged("not a file of the journal")
    if value["schema"] > SCHEMA:
        raise Damaged("written by a newer snap-self")
    return value

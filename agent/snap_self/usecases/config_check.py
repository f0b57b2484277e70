"""Every fault of the configuration, of one file or of all that a command would read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from snap_self.config.fault import Fault
from snap_self.config.load import Sources, load_alone, load_usable, reads
from snap_self.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigChecked:
    """What was found.

    Args:
        alone: one file was looked at, without all others.
        files: which were read.
        unread: the one file lies where the configuration is, and has no name that is read there.
        fault: every fault as a failure; None without one.
        faults: the same one by one.
    """

    alone: bool
    files: tuple[str, ...]
    unread: bool
    fault: ConfigError | None
    faults: tuple[Fault, ...]


def check_config(sources: Sources, file: Path | None) -> ConfigChecked:
    """Look at the configuration; neither root nor the network is needed.

    Args:
        file: this alone, read as one of conf.d, wherever it lies; absolute. None for all that there
            is, with the environment.
    """
    loaded = load_usable(sources) if file is None else load_alone(sources, file)
    return ConfigChecked(
        alone=file is not None,
        files=tuple(map(str, loaded.files)),
        unread=file is not None and reads(file, sources.folder) is False,
        fault=loaded.fault,
        faults=loaded.faults,
    )

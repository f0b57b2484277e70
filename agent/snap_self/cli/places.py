"""Where the agent's files below ``/run`` lie."""

from __future__ import annotations

from pathlib import Path

# On tmpfs: a marker on a disk could hang on the very freeze it is about.
RUN_DIRECTORY = Path("/run/snap-self")
MARKER = RUN_DIRECTORY / "frozen.json"

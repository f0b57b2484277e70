"""Write and read a machine's text as one JSON file, for bug reports and tests."""

from __future__ import annotations

import json
from typing import Any

from snap_self.errors import UsageError
from snap_self.model.machine import MachineText

_PARTS = ("files", "links", "failures")


def dump(machine: MachineText) -> str:
    """Return the recording; bytes that are not UTF-8 survive as escaped surrogates."""
    parts = {part: dict(sorted(getattr(machine, part).items())) for part in _PARTS}
    return json.dumps(parts, indent=1) + "\n"


def load(text: str, *, origin: str) -> MachineText:
    """Return the recorded machine.

    Args:
        origin: the file's path, for messages.

    Raises:
        UsageError: it is not a recording; the message names the attribute.
    """
    try:
        recorded = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{origin} is not JSON: {error}", hint=_HINT) from None
    if not isinstance(recorded, dict):
        raise UsageError(f"{origin} is not a JSON object", hint=_HINT)
    unknown = sorted(set(recorded) - set(_PARTS))
    if unknown:
        raise UsageError(f"{origin}: unknown key {unknown[0]!r}", hint=_HINT)
    files, links, failures = (_texts(recorded, part, origin) for part in _PARTS)
    return MachineText(files=files, links=links, failures=failures)


_HINT = 'a recorded machine is {"files": {…}, "links": {…}, "failures": {…}}, all texts'


def _texts(recorded: dict[str, Any], part: str, origin: str) -> dict[str, str]:
    entries = recorded.get(part, {})
    if not isinstance(entries, dict):
        raise UsageError(f"{origin}: {part} is not an object", hint=_HINT)
    for path, content in entries.items():
        if not isinstance(content, str):
            raise UsageError(f"{origin}: {part}[{path!r}] is not a text", hint=_HINT)
    return entries

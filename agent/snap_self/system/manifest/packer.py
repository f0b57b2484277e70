"""A manifest as a file holds it: JSON, compressed with zlib.

An object of ``schema``, the manifest's own facts, and ``parts``: a list that begins with null, then
pairs, the name of a part and some of its entries, in the order in which they were read. An entry is
a list of the values of ``model.manifest``, in their order.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from snap_self.model.ids import RunId
from snap_self.model.packed import SCHEMA, Missing

_LEVEL = 6


class Packer:
    """Compresses a manifest while its parts come in."""

    def __init__(self) -> None:
        self._compress = zlib.compressobj(_LEVEL)
        self._content = [self._compress.compress(b'{"parts":[null')]

    def add(self, pair: bytes) -> None:
        """Add a pair of the list of parts, as JSON."""
        self._content += (self._compress.compress(b","), self._compress.compress(pair))

    def finish(self, facts: Mapping[str, Any]) -> bytes:
        """Return the whole with the manifest's own facts."""
        tail = json.dumps({"schema": SCHEMA, **facts}, separators=(",", ":"))
        self._content += (self._compress.compress(f"],{tail[1:]}".encode()), self._compress.flush())
        return b"".join(self._content)


def own_facts(
    *,
    run_id: RunId,
    instance_id: str,
    taken: datetime,
    key_id: str,
    left_out: Iterable[Missing],
    manager: str,
) -> Mapping[str, Any]:
    """Return what a manifest says of itself, in JSON's types."""
    return {
        "run_id": run_id,
        "instance_id": instance_id,
        "taken": taken.isoformat(),
        "key_id": key_id,
        "left_out": [[each.part, each.why] for each in left_out],
        "manager": manager,
    }

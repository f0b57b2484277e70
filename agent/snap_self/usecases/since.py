"""What a run's change has made of the machine, as far as it was noted when the change had ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from snap_self.errors import StateUnusable
from snap_self.model.ids import RunId
from snap_self.model.looking import Since
from snap_self.recovery.differences import compare, marked, notable
from snap_self.usecases.tools import Tools

if TYPE_CHECKING:
    from snap_self.usecases.tools import Usual


def changed_since(tools: Tools, run_id: RunId, usual: Usual | None = None) -> Since | None:
    """Return what differs after a run's change; None where one of the two was not noted.

    Args:
        usual: what changes by itself; asked of the tools unless it is given.
    """
    if tools.manifests is None:
        return None
    store = tools.manifests.store
    try:
        before, after = store.read(run_id), store.read(run_id, after=True)
    except StateUnusable:
        return None
    if before is None or after is None:
        return None
    if usual is None:
        usual = tools.manifests.usual()
    found = marked(compare(before, after), usual)
    return Since(taken=after.taken, differences=notable(found))

"""Wire what looks at this machine and keeps what was seen; imported only where that is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from snap_self.cli.adapters import Adapters
from snap_self.system.manifest.reading import MachineManifests
from snap_self.system.state.manifests import Manifests
from snap_self.usecases.tools import ManifestTools

if TYPE_CHECKING:
    from snap_self.usecases.tools import Usual


def manifest_tools(adapters: Adapters) -> ManifestTools:
    """Return what takes and keeps the manifests of this machine."""
    store = Manifests(adapters.config.state.dir)
    reader = MachineManifests(store.key, adapters.clock)
    return ManifestTools(reader=reader, store=store, usual=_usual)


def _usual() -> Usual:
    from snap_self.system.usual_changes import usual_changes  # only who compares needs it

    return usual_changes()

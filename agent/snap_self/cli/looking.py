"""Wire what looking back at a run works with."""

from __future__ import annotations

import os

from snap_self.cli.adapters import Adapters
from snap_self.cli.manifests import manifest_tools
from snap_self.model.ids import InstanceId
from snap_self.ports_looking_back import TreeOpener
from snap_self.system.manifest.packing import unpack
from snap_self.system.tree import DirectoryTree
from snap_self.usecases.differences import Looking


def looking(adapters: Adapters, opened: TreeOpener | None = None) -> Looking:
    """Return what `diff` works with.

    Args:
        opened: opens a run's snapshots; None to look at manifests alone.
    """
    return Looking(
        manifests=manifest_tools(adapters),
        values=lambda packed: unpack(packed.content),
        instance_id=lambda: _instance_id(adapters),
        # Open for as long as the process lives.
        here=DirectoryTree(os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)),
        opened=opened,
    )


def _instance_id(adapters: Adapters) -> InstanceId:
    """Ask the metadata service who this is, and for no keys."""
    from snap_self.instance.identity import read_identity

    adapters.transport.warm()
    identity = read_identity(adapters.metadata, product_name=adapters.product_name)
    return identity.instance_id

"""What the plugin in yum 3 (EL7) says of a transaction; the same object as dnf 4's plugin writes.

The words are made by the plugin from yum's members of a transaction: ``ts_state`` alone does not
tell a downgrade, which yum does as an erasure and an installation.
"""

from __future__ import annotations

from snap_self.changes.dnf import ERASED, WORDS, DnfConversation

YUM_WORDS = {**WORDS, "Removed": ERASED}


class YumConversation(DnfConversation):
    """One call by the plugin in yum; an erasure may belong to a reinstallation or a downgrade."""

    program = "yum"
    words = YUM_WORDS

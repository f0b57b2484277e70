"""Which processes share this one's mounts, and whose units they are."""

from __future__ import annotations

import os

from snap_self.system.going_back.users import shares_mounts_with


def test_process_shares_its_own_mounts_and_those_of_none_that_cannot_be_seen() -> None:
    assert shares_mounts_with(str(os.getpid()))
    assert shares_mounts_with(str(os.getppid()))
    assert not shares_mounts_with("0")

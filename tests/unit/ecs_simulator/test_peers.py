"""Which users a table of connections names for one pair of ends."""

from __future__ import annotations

import pytest

from ecs_simulator.peers import Peers, listed_users

HEAD = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout"
KEY = b" 0100007F:A001 0100007F:1F90 "


def entry(ends: bytes, *, uid: int, inode: int, state: bytes = b"01") -> bytes:
    counters = b" 00000000:00000000 00:00000000 00000000"
    return b"   7:%b%b%b %5d        0 %d 1 0000 20 4" % (ends, state, counters, uid, inode)


def table(*entries: bytes) -> bytes:
    return b"\n".join((HEAD, *entries, b""))


@pytest.mark.parametrize(
    ("entries", "users"),
    [
        ((), []),
        ((entry(KEY, uid=1000, inode=77),), [1000]),
        ((entry(b" 0100007F:A002 0100007F:1F90 ", uid=0, inode=77),), []),
        ((entry(b" 0100007F:1F90 0100007F:A001 ", uid=0, inode=77),), []),
        # What its process has left, or waits for its time to be over, is listed as root's.
        ((entry(KEY, uid=0, inode=0, state=b"06"),), []),
        ((entry(KEY, uid=0, inode=0), entry(KEY, uid=1000, inode=5)), [1000]),
        ((entry(KEY, uid=0, inode=4), entry(KEY, uid=1000, inode=5)), [0, 1000]),
    ],
)
def test_users_of_a_pair_of_ends_are_those_whose_processes_still_have_it(
    entries: tuple[bytes, ...], users: list[int]
) -> None:
    assert list(listed_users(table(*entries), KEY)) == users


def test_entry_cut_short_names_nobody() -> None:
    assert list(listed_users(table(entry(KEY, uid=0, inode=9))[:150], KEY)) == []


def test_network_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        Peers(("192.0.2.0/240",))

"""The way to a socket is judged like any other, but for the socket's own mode."""

from __future__ import annotations

import pytest

from snap_self.model.trust import PathHop, PathKind, judge_way

MYSQL = 111


def way(folder: PathHop, socket_owner: int = MYSQL) -> tuple[PathHop, ...]:
    root = PathHop(path="/", kind=PathKind.FOLDER, mode=0o755, owner=0)
    end = PathHop(
        path=f"{folder.path}/s", kind=PathKind.SOCKET, mode=0o777, owner=socket_owner, group=7
    )
    return root, folder, end


def folder(mode: int, owner: int = MYSQL, group: int = 112) -> PathHop:
    return PathHop(path="/run", kind=PathKind.FOLDER, mode=mode, owner=owner, group=group)


@pytest.mark.parametrize(
    ("hop", "trusted"),
    [
        (folder(0o755), True),
        (folder(0o755, owner=0), True),
        (folder(0o2775), True),  # as PostgreSQL's package makes it: its own group
        (folder(0o2775, group=100), False),
        (folder(0o777), False),
        (folder(0o1777, owner=0), True),
        (folder(0o755, owner=65534), False),
    ],
)
def test_socket_is_trusted_where_root_and_its_account_alone_can_exchange_it(
    hop: PathHop, *, trusted: bool
) -> None:
    found = judge_way(way(hop), owners={0, MYSQL}, groups={112}, sticky=True)
    assert (found is None) is trusted


def test_socket_of_somebody_else_in_a_shared_folder_is_not_trusted() -> None:
    found = judge_way(way(folder(0o1777, owner=0), 65534), owners={0, MYSQL}, sticky=True)
    assert found is not None
    assert found.hop.path == "/run/s"


def test_groups_are_not_taken_for_trusted_unless_they_are_named() -> None:
    assert judge_way(way(folder(0o2775)), owners={0, MYSQL}) is not None

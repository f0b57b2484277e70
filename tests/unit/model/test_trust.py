"""What makes a way safe for root, and what mends one that is not."""

from __future__ import annotations

from errno import EPERM

import pytest

from snap_self.model.addresses import is_loopback
from snap_self.model.trust import Distrusted, PathHop, PathKind, faults_of_way, judge_way

FOLDER, FILE, LINK = PathKind.FOLDER, PathKind.FILE, PathKind.LINK


def hop(path: str, kind: PathKind = FOLDER, mode: int = 0o755, owner: int = 0) -> PathHop:
    return PathHop(path=path, kind=kind, mode=mode, owner=owner)


ROOT = hop("/")


@pytest.mark.parametrize(
    ("end", "why", "hint"),
    [
        (hop("/f", FILE, 0o644), None, None),
        (hop("/f", FILE, 0o644, 7), "/f belongs to user id 7, not to root", "chown root /f"),
        (
            hop("/f", FILE, 0o664),
            "/f can be changed by others than root (mode 0664)",
            "chmod go-w /f",
        ),
        (
            hop("/f", FILE, 0o666, 7),
            "/f belongs to user id 7, not to root",
            "chown root /f && chmod go-w /f",
        ),
        (hop("/l", LINK, 0o777), None, None),
        (hop("/l", LINK, 0o777, 7), "/l belongs to user id 7, not to root", "chown -h root /l"),
        (
            hop("/a b;c", FILE, 0o602),
            "/a b;c can be changed by others than root (mode 0602)",
            "chmod go-w '/a b;c'",
        ),
    ],
)
def test_end_of_a_way_is_judged_with_all_that_mends_it(
    end: PathHop, why: str | None, hint: str | None
) -> None:
    found = judge_way([ROOT, end])
    assert (found and found.why, found and found.hint) == (why, hint)


@pytest.mark.parametrize(
    ("mode", "owner", "sticky", "trusted"),
    [
        (0o1777, 0, True, True),
        (0o1777, 0, False, False),
        (0o777, 0, True, False),
        (0o1777, 7, True, False),
        (0o1755, 7, True, False),
    ],
)
def test_folder_like_tmp_is_accepted_above_where_it_is_allowed(
    mode: int, owner: int, *, sticky: bool, trusted: bool
) -> None:
    above, end = hop("/tmp", mode=mode, owner=owner), hop("/tmp/x", FILE, 0o600)
    assert (judge_way([ROOT, above, end], sticky=sticky) is None) == trusted
    assert judge_way([ROOT, above], sticky=sticky) is not None or mode == 0o755


def test_all_faults_of_a_way_are_told_from_the_top() -> None:
    way = [ROOT, hop("/a", owner=7), hop("/a/b"), hop("/a/b/c", FILE, 0o666)]
    assert [found.hop.path for found in faults_of_way(way)] == ["/a", "/a/b/c"]


def test_error_of_a_way_says_why_as_any_error_of_the_system_does() -> None:
    found = judge_way([ROOT, hop("/a", owner=7)])
    assert found is not None
    error = Distrusted(found)
    assert isinstance(error, PermissionError)
    assert (error.strerror, error.filename) == ("/a belongs to user id 7, not to root", "/a")
    assert error.errno == EPERM
    assert error.found is found


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        *(("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True)),
        *(("localhost", False), ("127.1", False), ("0.0.0.0", False), ("::", False)),
        *(("169.254.1.1", False), ("::ffff:10.0.0.1", False), ("100.100.100.200", False)),
        *(("127.0.0.1.example", False), ("", False)),
    ],
)
def test_loopback_is_an_address_and_no_name(host: str, *, loopback: bool) -> None:
    assert is_loopback(host) == loopback

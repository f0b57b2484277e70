"""Which process counts as a server of this machine, and who speaks for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from snap_self.model.identity import (
    AccountRules,
    ExpectedPeer,
    Peer,
    ProcessIdentity,
    is_system_service,
    unproved,
    unproved_inside,
)

SERVER = ProcessIdentity(pid=7, name="mariadbd", uids=(111,) * 4, gid=111)
USUAL = (1, 111, 999, 1000, 65534)
SERVICE = "/system.slice/mariadb.service"
PLAIN = AccountRules(first_ordinary=1000)
MANAGED = AccountRules(first_ordinary=1000, has_manager=True)


@pytest.mark.parametrize("uid", [0, 1, 111, 999])
def test_system_account_counts_where_there_is_no_systemd(uid: int) -> None:
    assert unproved(replace(SERVER, uids=(uid,) * 4), PLAIN, account=None, usual=USUAL) == ""


@pytest.mark.parametrize("rules", [PLAIN, MANAGED])
def test_system_account_of_another_service_does_not_count_unless_it_is_named(
    rules: AccountRules,
) -> None:
    web = replace(SERVER, uids=(33,) * 4, cgroup="/system.slice/apache2.service")
    assert "server_user names none" in unproved(web, rules, account=None, usual=USUAL)
    assert unproved(web, rules, account=33) == ""


@pytest.mark.parametrize("uid", [1000, 1001, 61184, 65534, 4294967294])
@pytest.mark.parametrize("rules", [PLAIN, MANAGED])
def test_ordinary_account_never_counts_whatever_it_runs_in(uid: int, rules: AccountRules) -> None:
    process = replace(SERVER, uids=(uid,) * 4, cgroup=SERVICE)
    assert (
        unproved(process, rules, account=None, usual=USUAL) == "it does not run as a system account"
    )


def test_nobody_is_no_system_account_however_high_those_reach() -> None:
    process = replace(SERVER, uids=(65534,) * 4)
    assert unproved(process, AccountRules(first_ordinary=70_000), account=None, usual=USUAL)


@pytest.mark.parametrize("uids", [(1000, 0, 0, 0), (0, 0, 1000, 0), (1000, 1000, 1000, 0)])
def test_program_that_a_user_started_with_other_rights_does_not_count(
    uids: tuple[int, ...],
) -> None:
    assert "several user ids" in unproved(
        replace(SERVER, uids=uids), PLAIN, account=None, usual=USUAL
    )


def test_account_that_is_named_counts_alone_and_outside_of_services() -> None:
    ordinary = replace(SERVER, uids=(1000,) * 4, cgroup="/user.slice/user-1000.slice/x.service")
    assert unproved(ordinary, MANAGED, account=1000) == ""
    assert "user id 1000" in unproved(SERVER, MANAGED, account=1000)
    assert "user id 1000" in unproved(replace(SERVER, uids=(0,) * 4), PLAIN, account=1000)


def test_process_with_ids_of_its_own_is_a_containers_whoever_is_named() -> None:
    process = replace(SERVER, own_pids=True, cgroup=SERVICE)
    for account in (None, 111):
        assert unproved(process, MANAGED, account=account, usual=USUAL) == "it runs in a container"


CONTAINED = ProcessIdentity(
    pid=7, name="mysqld", uids=(999,) * 4, gid=999, own_pids=True, cgroup="/docker/0123abcd"
)


@pytest.mark.parametrize("rules", [PLAIN, MANAGED])
@pytest.mark.parametrize(("uid", "account"), [(999, None), (0, None), (70, None), (1001, 1001)])
def test_server_in_a_container_of_roots_counts_whichever_account_it_has(
    uid: int, account: int | None, rules: AccountRules
) -> None:
    process = replace(CONTAINED, uids=(uid,) * 4)
    assert unproved_inside(process, rules, account=account) == ""


@pytest.mark.parametrize(
    ("given", "account", "words"),
    [
        ({"uids": (1001,) * 4}, None, "no system account"),
        ({"uids": (65534,) * 4}, None, "no system account"),
        ({"uids": (999, 0, 0, 0)}, None, "several user ids"),
        ({}, 1001, "not as the user named"),
        ({"own_users": True}, None, "a user namespace of its own"),
        ({"own_users": True, "uids": (100_999,) * 4}, 100_999, "a user namespace of its own"),
    ],
)
def test_process_in_a_container_that_anybody_could_have_started_does_not_count(
    given: dict[str, Any], account: int | None, words: str
) -> None:
    why = unproved_inside(replace(CONTAINED, **given), PLAIN, account=account)
    assert words in why
    assert why.startswith("it runs in a container")


@pytest.mark.parametrize(
    ("peer", "uid", "owner", "is_server"),
    [
        (Peer(pid=7, uid=111), 111, 111, True),
        (Peer(pid=7, uid=0), 0, 0, True),
        (Peer(pid=7, uid=0), 111, 111, False),
        (Peer(pid=7, uid=0), 0, 111, False),
        (Peer(pid=7, uid=111), 111, 0, False),
        (Peer(pid=1, uid=0), 0, 0, False),
    ],
)
def test_root_listens_for_no_other_in_a_container(
    peer: Peer, uid: int, owner: int, *, is_server: bool
) -> None:
    expected = ExpectedPeer(pid=7, parent=7, uid=uid, owner=owner, root_too=False)
    assert (expected.stranger(peer) == "") is is_server


@pytest.mark.parametrize(
    ("cgroup", "account", "counts"),
    [(SERVICE, None, True), (SERVICE, 111, True), ("/", 111, False), ("/", None, False)],
)
def test_user_namespace_of_its_own_counts_only_in_a_service(
    cgroup: str, account: int | None, *, counts: bool
) -> None:
    process = replace(SERVER, own_users=True, cgroup=cgroup)
    assert (unproved(process, MANAGED, account=account, usual=USUAL) == "") is counts
    assert (
        unproved(process, PLAIN, account=account, usual=USUAL)
        == "it has a user namespace of its own"
    )


@pytest.mark.parametrize(
    ("cgroup", "is_one"),
    [
        ("/system.slice/mariadb.service", True),
        ("/system.slice/system-postgresql.slice/postgresql@15-main.service", True),
        ("/system.slice/redis.service/sub", True),
        ("/database.slice/mariadb.service", True),
        ("/system.slice/docker-0123abcd.scope", False),
        ("/system.slice/docker-0123abcd.scope/system.slice/x.service", False),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/x.service", False),
        ("/user.slice/user-0.slice/session-3.scope", False),
        ("/machine.slice/systemd-nspawn@x.service/payload/system.slice/y.service", False),
        ("/kubepods.slice/kubepods-pod1.slice/cri-containerd-1.scope", False),
        ("/docker/0123abcd", False),
        ("/x.service", False),
        ("/system.slice", False),
        ("/", False),
        ("", False),
        ("/../../system.slice/x.service", False),
    ],
)
def test_control_group_tells_whether_the_system_started_it(cgroup: str, *, is_one: bool) -> None:
    assert is_system_service(cgroup) is is_one


EXPECTED = ExpectedPeer(pid=7, parent=1, uid=111, owner=111)


@pytest.mark.parametrize(
    "peer",
    [
        Peer(pid=7, uid=111),
        Peer(pid=7, uid=0),
        Peer(pid=1, uid=0),  # systemd listens for it
        Peer(pid=8, uid=111, parent=7),
    ],
)
def test_server_its_parent_and_its_children_may_listen(peer: Peer) -> None:
    assert EXPECTED.stranger(peer) == ""


@pytest.mark.parametrize(
    ("peer", "words"),
    [
        (Peer(pid=9, uid=65534), "process 9 of user id 65534 listens there"),
        (Peer(pid=9, uid=0), "process 9"),
        (Peer(pid=9, uid=111), "process 9"),
        (Peer(pid=0, uid=111, parent=7), "process 0"),
        (Peer(pid=8, uid=65534, parent=7), "as user id 65534"),
        (Peer(pid=1, uid=1000), "as user id 1000"),
    ],
)
def test_anybody_else_who_listens_is_a_stranger(peer: Peer, words: str) -> None:
    assert words in EXPECTED.stranger(peer)


def test_server_whose_data_belong_to_somebody_else_is_a_stranger_unless_it_is_roots() -> None:
    expected = replace(EXPECTED, owner=1000)
    assert "belongs to user id 1000" in expected.stranger(Peer(pid=7, uid=111))
    assert replace(expected, uid=0).stranger(Peer(pid=7, uid=0)) == ""
    unknown = ExpectedPeer(pid=7, parent=0, uid=111, owner=111)
    assert unknown.stranger(Peer(pid=0, uid=111)), "a process that cannot be seen from here"

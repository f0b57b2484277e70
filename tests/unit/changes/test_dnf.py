"""What dnf 4's and yum's plugins tell, and what is made of it."""

from __future__ import annotations

import io
import json
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snap_self.changes.conversation import PROCEED_STATUS, STOP_STATUS, Conversation
from snap_self.changes.dnf import (
    WORDS,
    DnfConversation,
    Item,
    command_line,
    is_release_upgrade,
    join,
    parse_event,
)
from snap_self.changes.yum import YumConversation
from snap_self.model.packages import (
    CHANGE,
    DOWNGRADE,
    INSTALL,
    REINSTALL,
    REMOVE,
    UPGRADE,
    Package,
    Transaction,
)


def an_event(*items: object, **more: object) -> bytes:
    """Return what a plugin writes."""
    event = {"v": 1, "program": "/usr/bin/dnf", "arguments": [], "root": "/", "items": items}
    return json.dumps({**event, **more}).encode()


def told(*items: object, conversation: type[Conversation] = DnfConversation, **more: object) -> Any:
    """Return the transaction of an event, by the conversation."""
    streams = (io.BytesIO(an_event(*items, **more)), io.BytesIO(), io.StringIO())
    return conversation(*streams, {}, cast(Any, None)).transaction()


def packages(*items: object, conversation: type[Conversation] = DnfConversation) -> list[Package]:
    """Return the packages of an event."""
    transaction = told(*items, conversation=conversation)
    assert isinstance(transaction, Transaction)
    return list(transaction.packages)


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        pytest.param(
            [("Install", "tree", "x86_64", "1.7-1")],
            Package("tree", INSTALL, arch="x86_64", new="1.7-1"),
            id="install",
        ),
        pytest.param(
            [("Upgrade", "bash", "x86_64", "5.2-1"), ("Upgraded", "bash", "x86_64", "5.1-1")],
            Package("bash", UPGRADE, arch="x86_64", old="5.1-1", new="5.2-1"),
            id="upgrade",
        ),
        pytest.param(
            [("Upgraded", "bash", "x86_64", "5.1-1"), ("Upgrade", "bash", "x86_64", "5.2-1")],
            Package("bash", UPGRADE, arch="x86_64", old="5.1-1", new="5.2-1"),
            id="upgrade, the old one first",
        ),
        pytest.param(
            [("Downgrade", "a", "noarch", "1-1"), ("Downgraded", "a", "noarch", "2-1")],
            Package("a", DOWNGRADE, arch="noarch", old="2-1", new="1-1"),
            id="downgrade",
        ),
        pytest.param(
            [("Reinstall", "a", "noarch", "1-1"), ("Reinstalled", "a", "noarch", "1-1")],
            Package("a", REINSTALL, arch="noarch", old="1-1", new="1-1"),
            id="reinstall",
        ),
        pytest.param(
            [("Removed", "a", "noarch", "1-1")],
            Package("a", REMOVE, arch="noarch", old="1-1"),
            id="remove",
        ),
        pytest.param(
            [("Upgrade", "gtk2.0+x", "i686", "1:3-1"), ("Upgraded", "gtk2.0+x", "i686", "0:2-1")],
            Package("gtk2.0+x", UPGRADE, arch="i686", old="2-1", new="1:3-1"),
            id="a name with a plus, epochs",
        ),
        pytest.param(
            [("Upgrade", "a", "x86_64", "2-1"), ("Upgraded", "a", "noarch", "1-1")],
            Package("a", UPGRADE, arch="x86_64", old="1-1", new="2-1"),
            id="another architecture",
        ),
        pytest.param(
            [("Reshaped", "a", "noarch", "1-1")],
            Package("a", CHANGE, arch="noarch", new="1-1"),
            id="a word that no dnf has yet",
        ),
    ],
)
def test_items_of_dnf_become_one_package(items: list[object], expected: Package) -> None:
    assert packages(*items) == [expected]


def test_what_an_upgrade_obsoletes_is_removed() -> None:
    found = packages(
        ("Upgrade", "new", "x86_64", "2-1"),
        ("Upgraded", "new", "x86_64", "1-1"),
        ("Obsoleted", "old", "x86_64", "7-1"),
    )

    assert found[1:] == [Package("old", REMOVE, arch="x86_64", old="7-1")]


def test_a_kernel_beside_the_older_ones_has_no_old_version() -> None:
    found = packages(
        ("Install", "kernel", "x86_64", "5.14-3"), ("Removed", "kernel", "x86_64", "5.14-1")
    )

    assert [(package.action, package.old, package.new) for package in found] == [
        (INSTALL, None, "5.14-3"),
        (REMOVE, "5.14-1", None),
    ]


def test_each_architecture_keeps_its_own_old_version() -> None:
    found = packages(
        ("Upgrade", "glibc", "x86_64", "3-1"),
        ("Upgrade", "glibc", "i686", "3-1"),
        ("Upgraded", "glibc", "i686", "1-1"),
        ("Upgraded", "glibc", "x86_64", "2-1"),
    )

    assert {(package.arch, package.old) for package in found} == {
        ("x86_64", "2-1"),
        ("i686", "1-1"),
    }


def test_a_removed_architecture_is_told_beside_the_upgrade_of_another() -> None:
    found = packages(
        ("Upgrade", "glibc", "x86_64", "3-1"),
        ("Upgraded", "glibc", "x86_64", "2-1"),
        ("Removed", "glibc", "i686", "2-1"),
    )

    assert found[1:] == [Package("glibc", REMOVE, arch="i686", old="2-1")]


@pytest.mark.parametrize("items", [[], [("Reason Change", "a", "noarch", "1-1")]])
def test_a_transaction_that_changes_no_package_is_none(items: list[object]) -> None:
    assert told(*items) is None


def test_two_thousand_packages_are_all_told() -> None:
    items = [
        (word, f"package-{number}", "x86_64", version)
        for number in range(2000)
        for word, version in (("Upgrade", "2-1"), ("Upgraded", "1-1"))
    ]

    assert len(packages(*items)) == 2000


@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(set(WORDS.values()))),
            st.sampled_from(["a", "b", "c"]),
            st.sampled_from(["x86_64", "i686", "noarch"]),
            st.sampled_from(["1-1", "2-1"]),
        )
    )
)
def test_joining_loses_no_name_and_invents_no_version(
    entries: list[tuple[str, str, str, str]],
) -> None:
    items = [Item(*entry) for entry in entries]

    found = join(items)

    assert {item.name for item in items if item.kind} == {package.name for package in found}
    versions = {(item.name, item.version) for item in items}
    told_versions = {(p.name, v) for p in found for v in (p.old, p.new) if v is not None}
    assert told_versions <= versions
    assert len(found) <= len(items)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"[]", "`items` is not a list"),
        (b"{}", "`items` is not a list"),
        (b'{"items": {}}', "`items` is not a list"),
        (b'{"items": [["Install", "a", "b"]]}', "items[0] is not a list of four texts"),
        (b'{"items": [["Install", "a", "b", "c"], 7]}', "items[1] is not a list of four texts"),
        (b'{"items": [["Install", "a", "b", null]]}', "items[0] is not a list of four texts"),
        (b'{"items": [["Install", "", "b", "c"]]}', "items[0] has no name"),
    ],
)
def test_what_no_plugin_writes_is_refused_with_its_place(data: bytes, says: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_event(data, WORDS, "dnf")

    assert says in str(caught.value)


@given(st.binary(max_size=80))
def test_any_bytes_are_refused_or_understood(data: bytes) -> None:
    try:
        parse_event(data, WORDS, "dnf")
    except ValueError:
        return


@pytest.mark.parametrize("cut", [1, 40, 90])
def test_an_event_that_breaks_off_is_refused(cut: int) -> None:
    with pytest.raises(ValueError):
        parse_event(an_event(("Install", "a", "b", "c"))[:cut], WORDS, "dnf")


@pytest.mark.parametrize(
    ("program", "shown"),
    [
        ("/usr/bin/dnf", "dnf"),
        ("/usr/bin/dnf-3", "dnf"),
        ("/usr/bin/yum", "yum"),
        ("/usr/bin/dnf-automatic", "dnf-automatic"),
        ("/root/.ansible/tmp/AnsiballZ_dnf.py", "dnf"),
        ("", "dnf"),
    ],
)
def test_the_program_that_calls_is_named(program: str, shown: str) -> None:
    transaction = told(("Install", "a", "noarch", "1-1"), program=program)

    assert (transaction.manager, transaction.program) == ("dnf", shown)


def test_the_command_and_the_root_are_told() -> None:
    transaction = told(
        ("Install", "a", "noarch", "1-1"), arguments=["-y", "install", "a"], root="/mnt"
    )

    assert (transaction.command, transaction.root) == ("dnf -y install a", "/mnt")


def test_a_caller_without_a_command_line_has_no_command() -> None:
    assert told(("Install", "a", "noarch", "1-1")).command == ""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["system-upgrade", "upgrade"], True),
        (["--releasever=41", "distro-sync"], True),
        (["--releasever", "41", "distro-sync"], True),
        (["upgrade"], False),
    ],
)
def test_a_release_upgrade_is_seen_by_its_command(arguments: list[str], expected: bool) -> None:
    assert is_release_upgrade(arguments) is expected


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["install", "a"], "dnf install a"),
        (["--setopt=proxy_password=s3cret", "upgrade"], "dnf --setopt=… upgrade"),
        (["--setopt", "proxy_password=s3cret", "upgrade"], "dnf --setopt=… upgrade"),
        (
            ["--repofrompath=x,https://me:s3cret@mirror.example/el9/"],
            "dnf --repofrompath=x,https://mirror.example/el9/",
        ),
        (
            ["install", "https://b.example/a.rpm?Signature=s3cret&Expires=1"],
            "dnf install https://b.example/a.rpm",
        ),
        (["install", "https://b.example/a.rpm#s3cret"], "dnf install https://b.example/a.rpm"),
    ],
)
def test_a_command_line_is_shown_without_secrets(arguments: list[str], shown: str) -> None:
    assert command_line("dnf", arguments) == shown


def test_letters_that_spoil_a_terminal_are_not_passed_on() -> None:
    transaction = told(("Install", "a\x1b[2J", "noarch", "1-1"), arguments=["install", "b\udc80\n"])

    assert transaction.packages[0].name == "a?[2J"
    assert transaction.command == "dnf install b??"


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        pytest.param(
            [("Reinstall", "a", "noarch", "1-1"), ("Removed", "a", "noarch", "1-1")],
            [(REINSTALL, "1-1", "1-1")],
            id="reinstall",
        ),
        pytest.param(
            [("Downgrade", "a", "noarch", "1-1"), ("Removed", "a", "noarch", "2-1")],
            [(DOWNGRADE, "2-1", "1-1")],
            id="downgrade",
        ),
        pytest.param(
            [("Install", "a", "noarch", "2-1"), ("Removed", "a", "noarch", "1-1")],
            [(INSTALL, None, "2-1"), (REMOVE, "1-1", None)],
            id="a kernel",
        ),
        pytest.param(
            [("Upgrade", "a", "noarch", "2-1"), ("Upgraded", "a", "noarch", "1-1")],
            [(UPGRADE, "1-1", "2-1")],
            id="upgrade",
        ),
    ],
)
def test_yum_joins_an_erasure_with_what_comes_instead(
    items: list[object], expected: list[tuple[str, str | None, str | None]]
) -> None:
    found = packages(*items, conversation=YumConversation)

    assert [(package.action, package.old, package.new) for package in found] == expected


def test_yum_is_named_where_its_plugin_does_not_say_who_calls() -> None:
    items = ("Install", "a", "noarch", "1-1")

    assert told(items, conversation=YumConversation, program="").program == "yum"


def test_the_answer_to_a_plugin_is_the_exit_status() -> None:
    conversation = DnfConversation(io.BytesIO(), io.BytesIO(), io.StringIO(), {}, cast(Any, None))

    assert (conversation.proceed(), conversation.stop("no")) == (PROCEED_STATUS, STOP_STATUS)

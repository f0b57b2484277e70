"""What pacman names, and what can be known beyond the names."""

from __future__ import annotations

import io

import pytest

from fakes.hook_outside import FakeOutside, Running
from snap_self.changes.conversation import PROCEED_STATUS, STOP_STATUS
from snap_self.changes.pacman import (
    MAX_INPUT_BYTES,
    PacmanConversation,
    parse_command,
    parse_local_names,
)
from snap_self.model.packages import CHANGE, INSTALL, REMOVE, Package, Transaction

LOCAL = ("ALPM_DB_VERSION", "glibc-2.40-1", "gtk-doc-1:1.34.0-2", "linux-6.9.1.arch1-1")


def conversation(
    said: bytes, *command: str, folder: str = "/var/lib/pacman/local"
) -> PacmanConversation:
    """Return the conversation of a pacman with some packages installed."""
    outside = FakeOutside(
        processes={
            9: Running(parent=8),
            8: Running(parent=1, executable="/usr/bin/pacman", arguments=("pacman", *command)),
        },
        folders={folder: LOCAL},
    )
    return PacmanConversation(io.BytesIO(said), io.BytesIO(), io.StringIO(), {}, outside)


def announced(said: bytes, *command: str) -> Transaction:
    """Return what is announced."""
    transaction = conversation(said, *command).transaction()
    assert transaction is not None
    return transaction


def test_names_when_installed_tell_old_version() -> None:
    packages = announced(b"linux\nnew++.pkg\n", "-Syu").packages
    assert packages == (
        Package("linux", CHANGE, old="6.9.1.arch1-1"),
        Package("new++.pkg", INSTALL),
    )


def test_names_of_removal_are_removed() -> None:
    packages = announced(b"glibc\ngtk-doc\n", "-Rns", "glibc").packages
    assert packages == (
        Package("glibc", REMOVE, old="2.40-1"),
        Package("gtk-doc", REMOVE, old="1:1.34.0-2"),
    )


def test_names_without_database_are_not_taken_for_new() -> None:
    lost = conversation(b"linux\n", "-Syu", folder="/elsewhere").transaction()
    assert lost is not None
    assert lost.packages == (Package("linux", CHANGE),)


def test_names_given_twice_are_one_package() -> None:
    assert len(announced(b"linux\nlinux\n", "-S").packages) == 1


def test_names_of_2000_packages_are_all_told() -> None:
    said = "".join(f"lib{n}\n" for n in range(2000)).encode()
    assert len(announced(said).packages) == 2000


def test_names_missing_are_refused_with_what_is_missing() -> None:
    with pytest.raises(ValueError, match="NeedsTargets"):
        conversation(b"").transaction()


@pytest.mark.parametrize(("said", "cut"), [(b"linux\ngli", True), (b"linux\nglibc\n", False)])
def test_names_cut_off_are_told_as_such(said: bytes, cut: bool) -> None:
    assert announced(said).truncated is cut


def test_names_beyond_limit_are_told_as_cut_off() -> None:
    assert announced(b"a\n" * (MAX_INPUT_BYTES // 2 + 1)).truncated


def test_command_is_that_of_pacman_above_guard() -> None:
    transaction = announced(b"linux\n", "-Syu", "--noconfirm")
    assert transaction.command == "pacman -Syu --noconfirm"
    assert (transaction.manager, transaction.program) == ("pacman", "pacman")


def test_command_of_unknown_caller_is_left_open() -> None:
    outside = FakeOutside(
        processes={9: Running(parent=1)}, folders={"/var/lib/pacman/local": LOCAL}
    )
    talk = PacmanConversation(io.BytesIO(b"linux\n"), io.BytesIO(), io.StringIO(), {}, outside)
    transaction = talk.transaction()
    assert transaction is not None
    assert (transaction.command, transaction.program) == ("", "pacman")
    assert transaction.packages == (Package("linux", CHANGE, old="6.9.1.arch1-1"),)


def test_database_elsewhere_is_where_versions_are_looked_up() -> None:
    talk = conversation(b"linux\n", "-S", "--dbpath", "/srv/db", folder="/srv/db/local")
    transaction = talk.transaction()
    assert transaction is not None
    assert transaction.packages[0].old == "6.9.1.arch1-1"


def test_root_elsewhere_is_told() -> None:
    assert announced(b"linux\n", "-S", "--root=/mnt", "linux").root == "/mnt"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("-Syu",), {"operation": "S"}),
        (("--noconfirm", "-Rdd", "x"), {"operation": "R"}),
        (("--upgrade", "x"), {"operation": "U"}),
        (("--remove", "--dbpath=/d", "-r", "/r"), {"operation": "R", "dbpath": "/d", "root": "/r"}),
        (("-U", "--", "-R"), {"operation": "U"}),
        (("--overwrite", "*"), {}),
        ((), {}),
    ],
)
def test_command_line_tells_operation_and_places(
    words: tuple[str, ...], found: dict[str, str]
) -> None:
    assert parse_command(("pacman", *words)) == found


def test_local_names_are_split_at_last_two_hyphens() -> None:
    assert parse_local_names(("a-b-c-1-2", "x-1", "ALPM_DB_VERSION")) == {"a-b-c": "1-2"}


def test_answers_are_exit_statuses() -> None:
    talk = conversation(b"linux\n")
    assert talk.can_veto
    assert (talk.proceed(), talk.stop("no")) == (PROCEED_STATUS, STOP_STATUS)

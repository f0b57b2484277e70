"""The conversation with dnf 5, against a stand-in written from the plugin's documentation."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.dnf5_actions import JsonPlugin, package
from snap_self.changes.conversation import PROCEED_STATUS, STOP_STATUS
from snap_self.changes.dnf5 import Dnf5Conversation, ObjectReader, parse_listing
from snap_self.model.packages import (
    CHANGE,
    DOWNGRADE,
    INSTALL,
    REINSTALL,
    REMOVE,
    UPGRADE,
    Package,
)

DNF = 100
RAISING = {"raise_error": "1"}


class Processes:
    """What is known of the processes above a hook: dnf, a shell, this."""

    def __init__(self, program: str = "/usr/bin/dnf5", *arguments: str) -> None:
        self._program = program
        self._arguments = arguments

    def parent_pid(self) -> int:
        """Return the guard's shell."""
        return DNF + 1

    def parent_of(self, pid: int) -> int:
        """Return the parent."""
        return pid - 1 if pid == DNF + 1 else 1

    def executable(self, pid: int) -> str:
        """Return the program."""
        return {DNF: self._program, DNF + 1: "/usr/bin/dash"}.get(pid, "")

    def arguments(self, pid: int) -> Sequence[str]:
        """Return the command line."""
        return (self._program, *self._arguments) if pid == DNF else ()


def conversation(
    plugin: Any, env: Mapping[str, str] | None = None, processes: Processes | None = None
) -> Dnf5Conversation:
    """Return a conversation with a plugin."""
    outside = cast(Any, processes or Processes())
    return Dnf5Conversation(plugin.stdin, plugin.stdout, io.StringIO(), env or {}, outside)


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        pytest.param(
            [package("I", "tree", "1.7-1")],
            [Package("tree", INSTALL, arch="x86_64", new="1.7-1")],
            id="install",
        ),
        pytest.param(
            [package("U", "openssl", "3.2.4-1"), package("O", "openssl", "3.2.2-3")],
            [Package("openssl", UPGRADE, arch="x86_64", old="3.2.2-3", new="3.2.4-1")],
            id="upgrade",
        ),
        pytest.param(
            [package("D", "a", "1-1"), package("O", "a", "2-1")],
            [Package("a", DOWNGRADE, arch="x86_64", old="2-1", new="1-1")],
            id="downgrade",
        ),
        pytest.param(
            [package("R", "a", "1-1"), package("O", "a", "1-1")],
            [Package("a", REINSTALL, arch="x86_64", old="1-1", new="1-1")],
            id="reinstall",
        ),
        pytest.param(
            [package("E", "a", "1-1")],
            [Package("a", REMOVE, arch="x86_64", old="1-1")],
            id="erase",
        ),
        pytest.param(
            [package("I", "kernel-core", "6.2-1"), package("E", "kernel-core", "6.0-1")],
            [
                Package("kernel-core", INSTALL, arch="x86_64", new="6.2-1"),
                Package("kernel-core", REMOVE, arch="x86_64", old="6.0-1"),
            ],
            id="a kernel and the oldest one",
        ),
        pytest.param(
            [package("U", "new", "2-1"), package("O", "new", "1-1"), package("O", "old", "1-1")],
            [
                Package("new", UPGRADE, arch="x86_64", old="1-1", new="2-1"),
                Package("old", REMOVE, arch="x86_64", old="1-1"),
            ],
            id="obsoleted",
        ),
        pytest.param(
            [package("X", "a", "1-1", direction="IN"), package("X", "b", "1-1", direction="OUT")],
            [
                Package("a", CHANGE, arch="x86_64", new="1-1"),
                Package("b", REMOVE, arch="x86_64", old="1-1"),
            ],
            id="letters that no dnf has yet",
        ),
        pytest.param(
            [package("U", "e", "1:2-1"), package("E", "e", "0:1-1")],
            [Package("e", UPGRADE, arch="x86_64", old="1-1", new="1:2-1")],
            id="epochs, and the other word for what is replaced",
        ),
    ],
)
def test_the_packages_are_asked_for_and_joined(
    listed: list[dict[str, str]], expected: list[Package]
) -> None:
    plugin = JsonPlugin(listed)

    transaction = conversation(plugin).transaction()

    assert transaction is not None
    assert list(transaction.packages) == expected
    assert not plugin.fault


@pytest.mark.parametrize("listed", [[], [package("?", "kept", "1-1", direction="IN")]])
def test_a_transaction_that_changes_no_package_is_none(listed: list[dict[str, str]]) -> None:
    assert conversation(JsonPlugin(listed)).transaction() is None


@pytest.mark.parametrize("piece", [1, 7, 4096, 65536])
def test_a_reply_is_understood_in_pieces_of_any_size(piece: int) -> None:
    listed = [package("I", f"größe-{number}", "1-1") for number in range(30 if piece < 9 else 2000)]

    transaction = conversation(JsonPlugin(listed, piece=piece)).transaction()

    assert transaction is not None
    assert [p.name for p in transaction.packages] == [p["name"] for p in listed]


def test_one_request_is_made_and_it_is_documented() -> None:
    plugin = JsonPlugin([package("I", "a", "1-1")])

    conversation(plugin).transaction()

    assert plugin.requests == [
        {
            "op": "get",
            "domain": "trans_packages",
            "args": {"output": ["action", "direction", "name", "evr", "arch"]},
        }
    ]


def test_going_on_says_nothing_more() -> None:
    plugin = JsonPlugin([package("I", "a", "1-1")])
    talk = conversation(plugin)
    talk.transaction()

    assert plugin.outcome(talk.proceed(), RAISING) == ""
    assert len(plugin.requests) == 1


@pytest.mark.parametrize("options", [RAISING, {}])
def test_stopping_ends_dnf_with_the_reason(options: Mapping[str, str]) -> None:
    plugin = JsonPlugin([package("I", "a", "1-1")])
    talk = conversation(plugin)
    talk.transaction()

    status = talk.stop("no snapshot:\nthe cloud is down")

    assert status == STOP_STATUS
    assert plugin.outcome(status, options) == (
        "Action calls for stop: snap-self: no snapshot: the cloud is down"
    )


def test_a_stop_that_cannot_be_said_is_said_by_the_exit_status() -> None:
    plugin = JsonPlugin([package("I", "a", "1-1")])
    talk = conversation(plugin)
    talk.transaction()
    plugin.hear(b"{nonsense")

    assert plugin.outcome(talk.stop("no"), RAISING)


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (("upgrade", "-y"), "dnf5 upgrade -y"),
        (("--setopt=password=s3cret", "upgrade"), "dnf5 --setopt=… upgrade"),
        ((), ""),
    ],
)
def test_the_command_is_read_from_the_process_above(
    arguments: tuple[str, ...], command: str
) -> None:
    plugin = JsonPlugin([package("I", "a", "1-1")])

    transaction = conversation(plugin, None, Processes("/usr/bin/dnf5", *arguments)).transaction()

    assert transaction is not None
    assert (transaction.program, transaction.command) == ("dnf5", command)


@pytest.mark.parametrize(
    ("program", "shown"),
    [
        ("/usr/bin/dnf5daemon-server", "dnf5daemon-server"),
        ("/usr/libexec/packagekitd", "packagekitd"),
        ("/usr/bin/python3.13", "dnf5"),
    ],
)
def test_other_users_of_libdnf5_are_named(program: str, shown: str) -> None:
    plugin = JsonPlugin([package("I", "a", "1-1")])

    transaction = conversation(plugin, None, Processes(program)).transaction()

    assert transaction is not None
    assert (transaction.manager, transaction.program) == ("dnf", shown)


def test_a_release_upgrade_is_seen_by_its_command() -> None:
    plugin = JsonPlugin([package("I", "a", "1-1")])
    processes = Processes("/usr/bin/dnf5", "system-upgrade", "download", "--releasever=43")

    transaction = conversation(plugin, None, processes).transaction()

    assert transaction is not None
    assert transaction.release_upgrade


def test_a_plugin_without_json_is_asked_nothing_and_cannot_be_stopped() -> None:
    plugin = JsonPlugin()
    talk = conversation(plugin, {"SNAP_SELF_DNF5": "plain"})

    transaction = talk.transaction()
    talk.stop("no")

    assert transaction is not None
    assert (transaction.packages, transaction.truncated) == ((), True)
    assert not talk.can_veto
    assert plugin.requests == []


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (b"", "before its reply was whole"),
        (b'{"op":"reply","status":"OK"', "before its reply was whole"),
        (b"hello", "not a JSON object"),
        (b"[1]", "not a JSON object"),
        (b'{"op" "reply"}', "not JSON"),
        (b'{"op": x"}', "not JSON"),
        (b'{"op": "a" "b"}', "not JSON"),
        (b'{"op":"reply","status":"ERROR","message":"Bad\\n attribute"}', "Bad attribute"),
        (b'{"op":"reply","status":"OK"}', "return.trans_packages is not a list"),
        (b'{"status":"OK","return":{"trans_packages":{}}}', "is not a list"),
        (b'{"status":"OK","return":{"trans_packages":[7]}}', "[0] is not an object"),
        (b'{"status":"OK","return":{"trans_packages":[{"action":"I"}]}}', "[0].name is missing"),
    ],
)
def test_what_the_plugin_does_not_say_is_refused(reply: bytes, says: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_listing(ObjectReader(io.BytesIO(reply)).next())

    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ((b'{"a":"}', b'} {"', b"}  "), "}} {"),
        ((rb'{"a":"\"}', rb"\"}", b'"}'), '"}"}'),
        ((rb'{"a":"\\\"}', b'"}'), '\\"}'),
    ],
    ids=["braces", "quotes", "backslashes"],
)
def test_a_string_with_braces_is_no_end(pieces: Sequence[bytes], text: str) -> None:
    assert ObjectReader(Pieces(*pieces)).next() == {"a": text}


def test_two_objects_in_one_read_are_two() -> None:
    reader = ObjectReader(io.BytesIO(b'{"a":1}{"b":2}'))

    assert (reader.next(), reader.next()) == ({"a": 1}, {"b": 2})


class Pieces(io.BytesIO):
    """A stream that gives its pieces one by one."""

    def __init__(self, *pieces: bytes) -> None:
        super().__init__()
        self._pieces = list(pieces)

    def read1(self, size: int | None = -1) -> bytes:
        """Return the next piece."""
        return self._pieces.pop(0) if self._pieces else b""


@given(
    st.dictionaries(st.text(max_size=5), st.text(max_size=9), max_size=4), st.lists(st.integers())
)
def test_an_object_is_the_same_however_it_is_cut(value: dict[str, str], cuts: list[int]) -> None:
    data = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    pieces = [data[a:b] for a, b in itertools.pairwise(places)]

    assert ObjectReader(Pieces(*pieces)).next() == json.loads(data)


def test_the_answer_to_go_on_is_the_exit_status() -> None:
    assert conversation(JsonPlugin()).proceed() == PROCEED_STATUS

"""The frames of libzypp, and what is answered to them."""

from __future__ import annotations

import io
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.hook_outside import FakeOutside, Running
from snap_self.changes.conversation import PROCEED_STATUS, STOP_STATUS
from snap_self.changes.zypp_frames import FrameReader, escape, unescape
from snap_self.changes.zypper import (
    ZypperConversation,
    parse_installed,
    parse_steps,
    silence_limit,
    told_to_skip,
)
from snap_self.model.packages import (
    CHANGE,
    DOWNGRADE,
    INSTALL,
    REINSTALL,
    REMOVE,
    UPGRADE,
    Package,
)

ACK = b"ACK\n\n\0"
BEGIN = b"PLUGINBEGIN\n\n\0"
END = b"COMMITEND\n\n{}\0PLUGINEND\n\n\0_DISCONNECT\n\n\0"
ZYPPER = Running(parent=1, executable="/usr/bin/zypper", arguments=("zypper", "up"))
UNDER_ZYPPER = {7: Running(parent=6), 6: Running(parent=5), 5: ZYPPER}
ENV = {"ZYPP_IS_RUNNING": "5"}


class Pieces(io.RawIOBase):
    """A stream that comes in pieces of one size."""

    def __init__(self, data: bytes, size: int) -> None:
        self._left = data
        self._size = size

    def read1(self, limit: int = -1) -> bytes:
        """Return the next piece."""
        piece, self._left = self._left[: self._size], self._left[self._size :]
        return piece


def step(kind: str | None, name: str, version: str = "1.0", **more: object) -> dict[str, object]:
    """Return one step as libzypp writes it."""
    solvable = {"n": name, "v": version, "r": "1", "a": "noarch", **more}
    return {"solvable": solvable} | ({"type": kind} if kind else {})


def body(*steps: object) -> bytes:
    """Return COMMITBEGIN's body."""
    return json.dumps({"TransactionStepList": steps}).encode()


def commit(*steps: object) -> bytes:
    """Return the frame that announces a commit."""
    return b"COMMITBEGIN\n\n" + body(*steps) + b"\0"


class Talk:
    """A conversation over given input."""

    def __init__(
        self,
        said: bytes,
        *,
        processes: dict[int, Running] | None = None,
        env: dict[str, str] | None = None,
        answers: dict[str, str] | None = None,
        piece: int = 65536,
    ) -> None:
        self.out = io.BytesIO()
        self.err = io.StringIO()
        self.outside = FakeOutside(
            processes=UNDER_ZYPPER if processes is None else processes, answers=answers or {}
        )
        self.conversation = ZypperConversation(
            Pieces(said, piece),  # type: ignore[arg-type]
            self.out,
            self.err,
            ENV if env is None else env,
            self.outside,
        )

    @property
    def answers(self) -> bytes:
        """Return what was answered so far."""
        return self.out.getvalue()


def test_commit_when_announced_tells_packages() -> None:
    steps = (step("+", "curl"), step("-", "old", "3"), step("M", "kernel-default"))
    transaction = Talk(BEGIN + commit(*steps)).conversation.transaction()
    assert transaction is not None
    assert transaction.packages == (
        Package("curl", CHANGE, arch="noarch", new="1.0-1"),
        Package("old", REMOVE, arch="noarch", old="3-1"),
        Package("kernel-default", INSTALL, arch="noarch", new="1.0-1"),
    )


def test_commit_when_announced_tells_command_and_program() -> None:
    transaction = Talk(BEGIN + commit()).conversation.transaction()
    assert transaction is not None
    assert (transaction.manager, transaction.program) == ("zypper", "zypper")
    assert transaction.command == "zypper up"


@pytest.mark.parametrize("words", [("dup",), ("-n", "dist-upgrade", "--allow-vendor-change")])
def test_commit_of_distribution_upgrade_is_release_upgrade(words: tuple[str, ...]) -> None:
    zypper = Running(parent=1, executable="/usr/bin/zypper", arguments=("zypper", *words))
    transaction = Talk(commit(), processes={5: zypper}).conversation.transaction()
    assert transaction is not None
    assert transaction.release_upgrade


def test_commit_of_update_is_no_release_upgrade() -> None:
    transaction = Talk(commit()).conversation.transaction()
    assert transaction is not None
    assert not transaction.release_upgrade


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 65536])
def test_frames_in_any_pieces_are_read_alike(piece: int) -> None:
    talk = Talk(BEGIN + commit(step("+", "curl")) + END, piece=piece)
    assert talk.conversation.transaction() is not None
    assert talk.conversation.proceed() == PROCEED_STATUS
    assert talk.answers == ACK * 5


def test_commit_is_not_answered_before_decision() -> None:
    talk = Talk(BEGIN + commit())
    talk.conversation.transaction()
    assert talk.answers == ACK


def test_keep_alive_sends_one_answer_in_pieces() -> None:
    talk = Talk(commit() + b"_DISCONNECT\n\n\0")
    talk.conversation.transaction()
    for _ in range(3):
        talk.conversation.keep_alive()
    talk.conversation.proceed()
    kept = b"ACK\nx-snap-self-wait:1\nx-snap-self-wait:2\nx-snap-self-wait:3\n\n\0"
    assert talk.answers == kept + ACK


def test_keep_alive_before_commit_is_silent() -> None:
    talk = Talk(BEGIN)
    talk.conversation.keep_alive()
    assert talk.answers == b""


def test_proceed_without_transaction_answers_everything() -> None:
    talk = Talk(BEGIN + commit(step("+", "curl")) + END)
    assert talk.conversation.proceed() == PROCEED_STATUS
    assert talk.answers == ACK * 5


@pytest.mark.parametrize("said", [b"", BEGIN, b"COMMITBEGIN\n\n{}", b"COMMITBEG"])
def test_stream_that_ends_early_announces_nothing(said: bytes) -> None:
    assert Talk(said).conversation.transaction() is None


def test_disconnect_before_commit_announces_nothing() -> None:
    talk = Talk(BEGIN + b"_DISCONNECT\n\n\0" + commit())
    assert talk.conversation.transaction() is None
    assert talk.answers == ACK * 2


def test_unknown_command_is_answered_with_its_name() -> None:
    talk = Talk(b"NEW:ONE\n\n\0" + commit())
    assert talk.conversation.transaction() is not None
    assert talk.answers == b"_ENOMETHOD\nCommand:NEW\\cONE\n\n\0"


def test_content_length_lets_body_hold_nul() -> None:
    frame = FrameReader(io.BytesIO(b"X\ncontent-length:3\n\na\0b\0Y\n\n\0"))
    first, second = frame.next(), frame.next()
    assert first is not None
    assert second is not None
    assert (first.body, second.command) == (b"a\0b", "Y")


@pytest.mark.parametrize(
    "said",
    [b"X\ncontent-length:1\n\nab\0", b"X\ncontent-length:-1\n\n\0", b"X\ncontent-length:x\n\n\0"],
)
def test_content_length_that_is_wrong_is_refused(said: bytes) -> None:
    with pytest.raises(ValueError, match="content-length"):
        FrameReader(io.BytesIO(said)).next()


def test_header_without_colon_is_refused() -> None:
    with pytest.raises(ValueError, match="no colon"):
        FrameReader(io.BytesIO(b"X\nword\n\n\0")).next()


def test_header_is_split_at_first_colon() -> None:
    frame = FrameReader(io.BytesIO(b"X\na\\cb:c:d\\ne\n\n\0")).next()
    assert frame is not None
    assert frame.headers == {"a:b": "c:d\ne"}


@given(st.text())
def test_escape_then_unescape_gives_text_back(text: str) -> None:
    escaped = escape(text)
    assert unescape(escaped) == text
    assert not {"\n", "\r", ":"} & set(escaped)


@pytest.mark.parametrize(("text", "plain"), [("\\x", "\\x"), ("a\\", "a\\"), ("\\\\c", "\\c")])
def test_unescape_of_unknown_escape_keeps_it(text: str, plain: str) -> None:
    assert unescape(text) == plain


@given(st.binary(max_size=60), st.integers(1, 9))
def test_frames_of_anything_end_or_are_refused(said: bytes, piece: int) -> None:
    talk = Talk(said, piece=piece)
    with suppress(ValueError):
        talk.conversation.transaction()
    assert talk.conversation.proceed() == PROCEED_STATUS


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (b"{", "not JSON"),
        (b"", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"{}", "TransactionStepList is not a list"),
        (b"[]", "TransactionStepList is not a list"),
        (body(1), r"TransactionStepList\[0\] is not an object"),
        (body(step("+", "a"), {"type": "+"}), r"TransactionStepList\[1\].solvable.n is not a name"),
        (body({"type": "-", "solvable": {"n": 3}}), r"\[0\].solvable.n is not a name"),
    ],
)
def test_steps_that_cannot_be_read_say_where(text: bytes, where: str) -> None:
    with pytest.raises(ValueError, match=where):
        parse_steps(text)


def test_commit_that_cannot_be_read_is_still_answered() -> None:
    talk = Talk(b"COMMITBEGIN\n\n{\0" + END)
    with pytest.raises(ValueError, match="not JSON"):
        talk.conversation.transaction()
    talk.conversation.proceed()
    assert talk.answers == ACK * 4


def test_steps_without_effect_are_left_out() -> None:
    ignored = (step(None, "kept"), step("?", "new-kind"), step("+", "patch:openSUSE-2026-1"))
    assert parse_steps(body(*ignored)) == []


def test_steps_with_epoch_tell_it() -> None:
    (package,) = parse_steps(body(step("+", "bind", e=2)))
    assert package.new == "2:1.0-1"


def test_steps_without_version_tell_none() -> None:
    (package,) = parse_steps(body({"type": "+", "solvable": {"n": "odd"}}))
    assert package == Package("odd", CHANGE)


@pytest.mark.parametrize("first", ["+", "-"])
def test_steps_of_removal_and_install_are_one_change(first: str) -> None:
    pair = [step("-", "curl", "1"), step("+", "curl", "2")]
    ordered = pair if first == "-" else pair[::-1]
    assert parse_steps(body(*ordered)) == [
        Package("curl", CHANGE, arch="noarch", old="1-1", new="2-1")
    ]


def test_steps_of_kernels_side_by_side_are_all_told() -> None:
    steps = (step("M", "kernel", "3"), step("-", "kernel", "1"), step("-", "kernel", "2"))
    packages = parse_steps(body(*steps))
    assert {(each.action, each.old, each.new) for each in packages} == {
        (INSTALL, None, "3-1"),
        (REMOVE, "1-1", None),
        (REMOVE, "2-1", None),
    }


def test_steps_of_big_upgrade_are_all_told() -> None:
    packages = parse_steps(body(*(step("+", f"lib{n}++.x") for n in range(2000))))
    assert len({each.name for each in packages}) == 2000


@pytest.mark.parametrize(
    "userdata",
    ["snap-self=skip", "ticket=4:2,snap-self=skip", "snap-self:skip;a", "a b,SNAP-SELF=SKIP"],
)
def test_userdata_that_says_skip_skips(userdata: str) -> None:
    begin = f"PLUGINBEGIN\nuserdata:{userdata}\n\n\0".encode()
    transaction = Talk(begin + commit()).conversation.transaction()
    assert transaction is not None
    assert transaction.skip == "zypper --userdata snap-self=skip"


@pytest.mark.parametrize("userdata", ["", "ticket=42", "not-snap-self=skip", "snap-self=skipped"])
def test_userdata_of_others_does_not_skip(userdata: str) -> None:
    assert told_to_skip(userdata) == ""


def test_commit_into_new_btrfs_snapshot_is_skipped() -> None:
    talk = Talk(commit(), env={**ENV, "TRANSACTIONAL_UPDATE": "true"})
    transaction = talk.conversation.transaction()
    assert transaction is not None
    assert "TRANSACTIONAL_UPDATE" in transaction.skip


def test_stop_under_zypper_interrupts_it_and_answers() -> None:
    talk = Talk(commit() + b"PLUGINEND\n\n\0_DISCONNECT\n\n\0")
    talk.conversation.transaction()
    assert talk.conversation.can_veto
    assert talk.conversation.stop("no snapshot") == STOP_STATUS
    assert talk.outside.interrupted == [5]
    assert talk.answers == ACK * 3


@pytest.mark.parametrize(
    ("processes", "env"),
    [
        ({5: Running(parent=1, executable="/usr/libexec/packagekitd")}, ENV),
        ({7: Running(parent=5), 5: Running(parent=1, executable="/usr/bin/ruby.ruby3.4")}, ENV),
        ({5: ZYPPER}, {"ZYPP_IS_RUNNING": "6"}),
        ({5: ZYPPER}, {}),
        ({}, ENV),
        ({n: Running(parent=n - 1) for n in range(20, 5, -1)} | {5: ZYPPER}, ENV),
    ],
    ids=["packagekit", "yast", "other-process", "no-variable", "orphan", "too-far"],
)
def test_stop_under_others_lets_commit_go_on(
    processes: dict[int, Running], env: dict[str, str]
) -> None:
    talk = Talk(commit() + END, processes=processes, env=env)
    talk.conversation.transaction()
    assert not talk.conversation.can_veto
    assert talk.conversation.stop("no snapshot") == PROCEED_STATUS
    assert talk.outside.interrupted == []
    assert "goes on all the same" in talk.outside.terminal[0]
    assert talk.answers == ACK * 4


def test_zypper_that_was_replaced_is_still_zypper() -> None:
    replaced = Running(parent=1, executable="/usr/bin/zypper (deleted)")
    assert Talk(b"", processes={5: replaced}).conversation.can_veto


def test_say_reaches_log_and_terminal() -> None:
    talk = Talk(b"")
    talk.conversation.say("taking a snapshot")
    assert talk.err.getvalue() == "snap-self: taking a snapshot\n"
    assert talk.outside.terminal == ["snap-self: taking a snapshot"]
    assert talk.outside.system_log == ["taking a snapshot"]


def test_transaction_does_not_ask_rpm() -> None:
    talk = Talk(commit(step("+", "curl")))
    talk.conversation.transaction()
    assert talk.outside.asked == []


def test_detail_tells_kinds_of_change_apart() -> None:
    rpm = (
        "up noarch (none):0.9-1\nsame noarch 1.0-1\ndown noarch 1:0-1\nodd x86_64 1:2-3\n"
        "package new is not installed\nkernel noarch 1-1\nkernel noarch 2-1\n"
    )
    names = ("up", "same", "down", "odd", "new", "kernel")
    talk = Talk(commit(*(step("+", name) for name in names)), answers={"rpm": rpm})
    transaction = talk.conversation.transaction()
    assert transaction is not None
    talk.conversation.detail(transaction)
    assert [(each.name, each.action, each.old) for each in transaction.packages] == [
        ("up", UPGRADE, "0.9-1"),
        ("same", REINSTALL, "1.0-1"),
        ("down", DOWNGRADE, "1:0-1"),
        ("odd", INSTALL, None),  # it is installed for another architecture only
        ("new", INSTALL, None),
        ("kernel", CHANGE, None),
    ]


def test_detail_without_rpm_leaves_versions_open() -> None:
    talk = Talk(commit(step("+", "curl")))
    transaction = talk.conversation.transaction()
    assert transaction is not None
    talk.conversation.detail(transaction)
    assert transaction.packages == (Package("curl", CHANGE, arch="noarch", new="1.0-1"),)


@pytest.mark.parametrize(
    "answer", ["", "error: database is locked\n", "package x is not installed\n"]
)
def test_detail_takes_nothing_for_new_of_which_rpm_said_nothing(answer: str) -> None:
    talk = Talk(commit(step("+", "openssh-server")), answers={"rpm": answer})
    transaction = talk.conversation.transaction()
    assert transaction is not None
    talk.conversation.detail(transaction)
    assert [each.action for each in transaction.packages] == [CHANGE]


def test_detail_of_removals_does_not_ask_rpm() -> None:
    talk = Talk(commit(step("-", "curl")))
    transaction = talk.conversation.transaction()
    assert transaction is not None
    talk.conversation.detail(transaction)
    assert talk.outside.asked == []


def test_installed_twice_has_no_one_version() -> None:
    _, several = parse_installed("kernel x86_64 1-1\nkernel x86_64 2-1\nbash x86_64 5-1\n")
    assert several == {("kernel", "x86_64")}


@pytest.mark.parametrize(
    ("env", "limit_s"),
    [
        ({}, 30.0),
        ({"ZYPP_PLUGIN_TIMEOUT": "120"}, 120.0),
        ({"ZYPP_PLUGIN_TIMEOUT": "120", "ZYPP_PLUGIN_RECEIVE_TIMEOUT": "8"}, 8.0),
        ({"ZYPP_PLUGIN_TIMEOUT": "soon"}, 30.0),
    ],
)
def test_silence_limit_follows_environment(env: dict[str, str], limit_s: float) -> None:
    assert silence_limit(env) == limit_s


def test_answer_to_libzypp_that_is_gone_is_dropped() -> None:
    talk = Talk(commit() + END)
    talk.conversation.transaction()
    talk.out.close()
    assert talk.conversation.proceed() == PROCEED_STATUS

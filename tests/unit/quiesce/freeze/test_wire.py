"""Messages of one size, there and back."""

from __future__ import annotations

import select

import pytest

from snap_self.quiesce.freeze.wire import (
    SIZE,
    Cause,
    HeldMount,
    Kind,
    Message,
    WireError,
    decode,
    decode_mount,
)


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.name)
def test_message_of_each_kind_comes_back_the_same(kind: Kind) -> None:
    sent = Message(
        kind, cause=Cause.DEADLINE, index=65535, number=-5, first=2**64 - 1, second=2**63
    )
    assert decode(sent.encode()) == sent


@pytest.mark.parametrize("cause", Cause, ids=lambda cause: cause.name)
def test_each_cause_comes_back_the_same(cause: Cause) -> None:
    assert decode(Message(Kind.DONE, cause=cause).encode()).cause is cause


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.name)
def test_message_of_each_kind_has_the_one_size_and_fits_a_pipe_write(kind: Kind) -> None:
    assert len(Message(kind).encode()) == SIZE <= select.PIPE_BUF


@pytest.mark.parametrize("data", [b"", b"x", bytes(SIZE - 1), bytes(SIZE + 1)], ids=len)
def test_wrong_size_is_refused(data: bytes) -> None:
    with pytest.raises(WireError, match=f"{SIZE} bytes, not {len(data)}"):
        decode(data)


@pytest.mark.parametrize("place", [0, 1], ids=["kind", "cause"])
def test_unknown_kind_or_cause_is_refused(place: int) -> None:
    data = bytearray(Message(Kind.THAW).encode())
    data[place] = 255
    with pytest.raises(WireError, match="unknown kind"):
        decode(bytes(data))


def test_messages_with_other_fields_differ() -> None:
    assert Message(Kind.THAWED, index=1) != Message(Kind.THAWED, index=2)
    assert len({Message(Kind.THAWED, index=1), Message(Kind.THAWED, index=1)}) == 1


def test_repr_names_kind_and_cause() -> None:
    assert "DONE, cause=ASKED" in repr(Message(Kind.DONE, cause=Cause.ASKED))


def test_mount_argument_comes_back_the_same() -> None:
    sent = HeldMount(fd=7, mount_id=31, device=66308, listed_device="0:52", rank=3)
    back = decode_mount(sent.encode())
    assert (back.fd, back.mount_id, back.device, back.listed_device) == (7, 31, 66308, "0:52")
    assert back.rank == 3


@pytest.mark.parametrize(
    "text", ["", "7,31,5,8:1", "7,x,5,8:1,0", "-7,31,5,8:1,0", "7,31,5,8:1,x", "7,31,5,8:1,0,9"]
)
def test_malformed_mount_argument_is_refused(text: str) -> None:
    with pytest.raises(WireError):
        decode_mount(text)

"""What hooks tell people: one line, whatever the names and reasons in it hold."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from fakes.hook_outside import FakeOutside
from snap_self.changes.apt import AptConversation
from snap_self.changes.conversation import Conversation
from snap_self.changes.dnf import DnfConversation
from snap_self.changes.dnf5 import Dnf5Conversation
from snap_self.changes.pacman import PacmanConversation
from snap_self.changes.yum import YumConversation
from snap_self.changes.zypper import ZypperConversation
from snap_self.model.shown import is_printable

KINDS: list[type[Conversation]] = [
    *(AptConversation, DnfConversation, Dnf5Conversation, YumConversation),
    *(ZypperConversation, PacmanConversation),
]
HOSTILE = "linux\x1b[2J\r\nFAKE LINE\u202e\x9b\u2028\udcff"
SEEN = r"linux\x1b[2J\r\nFAKE LINE\u202e\x9b\u2028\xff"


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_name_when_told_then_is_one_printable_line(kind: type[Conversation]) -> None:
    err, outside = io.StringIO(), FakeOutside()
    talk: Any = kind(io.BytesIO(), io.BytesIO(), err, {}, outside)
    talk.say(f"taking a snapshot first ({HOSTILE})")
    assert err.getvalue() == f"snap-self: taking a snapshot first ({SEEN})\n"
    told = [*outside.terminal, *outside.system_log]
    assert all(is_printable(text) and SEEN in text for text in told)


def test_hostile_reason_when_dnf5_is_stopped_then_is_one_printable_line() -> None:
    out = io.BytesIO()
    Dnf5Conversation(io.BytesIO(), out, io.StringIO(), {}, FakeOutside()).stop(HOSTILE)
    message = json.loads(out.getvalue().splitlines()[-1])["args"]["message"]
    assert message == r"snap-self: linux\x1b[2J FAKE LINE\u202e\x9b \xff"

"""What the words of `diff` ask for: ids have no slash, and paths have one."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from snap_self.cli.contents import refuse_contents
from snap_self.cli.diff import make_question
from snap_self.errors import RootNeeded, UsageError
from snap_self.output.streams import Streams, make_streams
from snap_self.usecases.differences import Question


def question(words: Sequence[str], *, everything: bool = False) -> Question:
    return make_question(words, folder=Path("/home/me"), everything=everything)


@pytest.mark.parametrize(
    ("words", "wanted", "other", "paths"),
    [
        ((), "last", "", ()),
        (("s-1",), "s-1", "", ()),
        (("s-1", "s-2"), "s-1", "s-2", ()),
        (("/etc",), "last", "", ("/etc",)),
        (("s-1", "/etc/ssh/", "/srv"), "s-1", "", ("/etc/ssh", "/srv")),
        (("s-1", "/etc", "s-2"), "s-1", "s-2", ("/etc",)),
        (("./a/../b", "../x/y"), "last", "", ("/home/me/b", "/home/x/y")),
        (("//etc//./a", "/etc/a"), "last", "", ("/etc/a",)),
        (("/../../etc",), "last", "", ("/etc",)),
        (("/",), "last", "", ("/",)),
    ],
)
def test_words_are_told_from_each_other_by_their_slash(
    words: Sequence[str], wanted: str, other: str, paths: Sequence[str]
) -> None:
    assert question(words) == Question(wanted=wanted, other=other, paths=tuple(paths))


def test_everything_is_passed_on() -> None:
    assert question((), everything=True).everything


def test_three_ids_are_too_many() -> None:
    with pytest.raises(UsageError, match="a b c are more than two ids"):
        question(("a", "b", "c"))


def streams(*, json: bool = False) -> Streams:
    return make_streams(io.StringIO(), io.StringIO(), env={}, verbosity=0, json=json)


@pytest.mark.parametrize("yes", [True, False])
def test_contents_need_root(monkeypatch: pytest.MonkeyPatch, *, yes: bool) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(RootNeeded, match="diff with a PATH"):
        refuse_contents(streams(), ["/srv"], "snap-self diff /srv", yes=yes)


@pytest.mark.parametrize(
    ("json", "why"), [(False, "there is no terminal"), (True, "with --json nobody is asked")]
)
def test_contents_that_nobody_can_agree_to_tell_the_command_that_does(
    monkeypatch: pytest.MonkeyPatch, why: str, *, json: bool
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    paths, asked = ["/srv", "/home"], "snap-self diff last /srv /home"
    refuse_contents(streams(json=json), paths, asked, yes=True)
    with pytest.raises(UsageError, match=f"content of /srv and 1 more .* and {why}") as caught:
        refuse_contents(streams(json=json), paths, asked, yes=False)
    assert f"add --yes to agree: `{asked} --yes`" in caught.value.hint

"""What `show` says first of a run: what is not in it, and how the lines agree in number."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from fakes.samples import NOW, sample
from snap_self.model.result import Result
from snap_self.model.shown import quoted
from snap_self.output.shown import write_shown
from snap_self.output.streams import make_streams
from snap_self.usecases.show import Lack, Shown

NO_WAY = "nothing below brings back what is there"


def lines_of(*lacks: str) -> list[str]:
    """Return the lines about what is not in a run's snapshots; a colon leads in a reason."""
    out = io.StringIO()
    streams = make_streams(out, io.StringIO(), env={}, verbosity=0, json=False)
    parts = [lack.partition(":") for lack in lacks]
    told = tuple(Lack(what=what, why=why) for what, _, why in parts)
    write_shown(
        streams, replace(sample(Shown, lambda _: "x"), lacks=told, changes=(), since=None), now=NOW
    )
    _, found, after = out.getvalue().partition("Not in it")
    return (found + after).partition("\n\n")[0].splitlines()


def test_set_that_lacks_nothing_says_nothing_of_it() -> None:
    assert lines_of() == []


def test_set_without_a_data_disk_names_it() -> None:
    assert lines_of("/srv") == ["Not in it  /srv", f"{'':11}{NO_WAY}"]


def test_what_lacks_is_grouped_by_its_reason() -> None:
    assert lines_of("/a:not asked for", "/b:it failed", "/c:not asked for") == [
        "Not in it  /a, /c (not asked for)",
        "           /b (it failed)",
        f"           {NO_WAY}",
    ]


def test_set_without_the_root_says_what_that_means() -> None:
    assert lines_of("/srv", "/")[-1] == (
        "           without / the operating system stays as it is now"
    )


def test_many_that_are_lacking_are_counted() -> None:
    line, _ = lines_of(*(f"/srv/{number}" for number in range(9)))
    assert line.endswith("/srv/5 and 3 more")


def test_run_of_which_nothing_is_left_says_so() -> None:
    out = io.StringIO()
    streams = make_streams(out, io.StringIO(), env={}, verbosity=0, json=False)
    write_shown(streams, replace(sample(Shown, lambda _: "x"), snapshots=()), now=NOW)
    assert "\nSnapshot   the cloud shows none of this run" in out.getvalue()


def test_run_of_a_lost_journal_has_its_name_and_text_all_the_same() -> None:
    out = io.StringIO()
    streams = make_streams(out, io.StringIO(), env={}, verbosity=0, json=False)
    shown = sample(Shown, lambda place: place.rpartition(".")[2])
    write_shown(streams, replace(shown, record=None, unknown=False), now=NOW)
    first, *_ = out.getvalue().splitlines()
    assert first == "Run        run_id, before 'before'; this journal has nothing of it"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("os upgrade", "'os upgrade'"),
        ("it's", '"it\'s"'),
        ('say "x"', "'say \"x\"'"),
        ('it\'s "x"', "'it's \"x\"'"),
        ("升级 👩\u200d🚀 \\", "'升级 👩\u200d🚀 \\'"),
        ("a\nb", r"'a\nb'"),
    ],
)
def test_text_in_quotes_is_as_people_wrote_it(text: str, told: str) -> None:
    assert quoted(text) == told


@pytest.mark.parametrize(
    ("result", "said"),
    [(Result.INTERRUPTED, "result not in this journal, which is"), (Result.DONE, "result done")],
)
def test_run_that_was_gone_back_to_tells_what_is_lost(result: Result, said: str) -> None:
    shown = sample(Shown, lambda _: "x")
    assert shown.record is not None
    assert shown.went_back is not None
    assert shown.lost_by is not None
    record = replace(shown.record, result=result)
    out = io.StringIO()
    streams = make_streams(out, io.StringIO(), env={}, verbosity=0, json=False)
    write_shown(streams, replace(shown, record=record), now=NOW)
    text = out.getvalue()
    assert said in text
    assert "\nWent back  execution " in text
    assert f"\nLost       since then disks went back to run {shown.lost_by.run}\n" in text

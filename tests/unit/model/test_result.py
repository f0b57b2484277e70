"""Words of the journal are kept, also those that this version does not know."""

from __future__ import annotations

import pytest

from snap_self.model.result import Result


def test_word_of_another_version_is_kept_as_it_is() -> None:
    other = Result("rolled-back")
    assert other.value == "rolled-back"
    assert other is Result("rolled-back")
    assert other not in tuple(Result)


@pytest.mark.parametrize("value", [7, None, ["done"]])
def test_what_is_no_word_is_no_result(value: object) -> None:
    with pytest.raises(ValueError, match="is not a valid Result"):
        Result(value)


def test_snapshots_may_be_of_an_earlier_run_where_it_was_reused_or_finished() -> None:
    assert [each for each in Result if each.of_earlier] == [Result.REUSED, Result.RESUMED]

"""An application's settings are a word or a table."""

from __future__ import annotations

import pytest

from snap_self.config.parsers import application
from snap_self.errors import RuleError
from snap_self.model.applications import ApplicationSettings, Use


@pytest.mark.parametrize("use", list(Use))
def test_word_says_whether_it_is_used(use: Use) -> None:
    assert application(use.value, "x") == ApplicationSettings(use=use)


def test_table_without_use_means_auto() -> None:
    given = {"socket": "/run/s", "user": "u", "password_file": "/p"}
    assert application(given, "x") == ApplicationSettings(
        use=Use.AUTO, socket="/run/s", user="u", password_file="/p"
    )


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("maybe", "off, auto, on"),
        (True, "off, auto, on"),
        ({"use": "maybe"}, "off, auto, on"),
        ({"sock": "/run/s"}, "known: use, socket, user, password_file"),
        ({"socket": "run/s"}, "begin it with /"),
        ({"password_file": 1}, "a string"),
    ],
)
def test_value_that_breaks_its_rule_is_refused_with_what_is_accepted(
    value: object, words: str
) -> None:
    with pytest.raises(RuleError) as caught:
        application(value, "applications.redis")
    assert words in caught.value.hint
    assert "applications.redis" in caught.value.message

"""What is said of a command that cannot be started."""

from __future__ import annotations

import pytest

from snap_self.model.command import NotStartable
from snap_self.output.command import not_startable


@pytest.mark.parametrize(
    ("argv", "quotes"), [(("upgrade", "--", "./x"), True), (("./x", "--all"), False)]
)
def test_command_not_found_when_hyphens_follow_it_then_the_text_may_lack_quotes(
    argv: tuple[str, ...], *, quotes: bool
) -> None:
    error = not_startable(argv, NotStartable.NOT_FOUND)
    assert ("quotes" in error.hint) is quotes

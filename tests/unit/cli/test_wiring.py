"""What the wiring does for users who are not root."""

from __future__ import annotations

import pytest

from snap_self.cli.wiring import has_marker
from snap_self.errors import RootNeeded


def _denied() -> bool:
    raise PermissionError(13, "Permission denied")


def test_marker_when_its_folder_is_closed_to_this_user_then_root_is_asked_for() -> None:
    with pytest.raises(RootNeeded):
        has_marker(_denied)


@pytest.mark.parametrize("there", [True, False])
def test_marker_when_the_folder_can_be_seen_then_tells_whether_it_is_there(*, there: bool) -> None:
    assert has_marker(lambda: there) is there

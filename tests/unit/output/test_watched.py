"""What is said of the follower: nothing that logind does not keep."""

from __future__ import annotations

from datetime import datetime, timezone

from snap_self.model.report import UploadWatch
from snap_self.output.screen import watched

UNTIL = datetime(2026, 11, 23, 5, 30, tzinfo=timezone.utc)


def test_hold_names_whose_reboot_goes_through_and_how_to_ask_for_one_that_does_not() -> None:
    said = watched(UploadWatch(held=True, until=UNTIL, why=""))
    assert "before systemd 257, root's goes through" in said
    assert "`systemctl reboot --check-inhibitors=yes`" in said


def test_nothing_held_is_said_with_its_reason() -> None:
    said = watched(UploadWatch(held=False, until=None, why="logind does not run here"))
    assert said == "Nothing holds a reboot back meanwhile: logind does not run here."

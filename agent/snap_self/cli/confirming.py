"""What arms a rollback with the main job, or calls it off; loaded by those who ask for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from snap_self.cli.session import Session
from snap_self.model.request import Request

if TYPE_CHECKING:
    from snap_self.cli.outside import Confirmer


def confirming_of(session: Session, request: Request) -> Confirmer | None:
    """Return what arms a rollback; None where none is asked for."""
    if request.confirm_within_s is None:
        return None
    from snap_self.cli.outside import Confirmer, outside_of

    return Confirmer(outside_of(session))

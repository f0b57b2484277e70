"""What the main job is asked to do, after parsing and before anything is known of the machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from snap_self.model.disks import Selection
from snap_self.model.snapshots import Consistency, WaitFor


class OnQuiesceFailure(Enum):
    """What to do when the consistency asked for cannot be reached."""

    CONTINUE = "continue"
    ABORT = "abort"


class FreezeRoot(Enum):
    """Whether the root filesystem may be frozen: while it is, nobody can log in to help."""

    REFUSE = "refuse"
    ALLOW = "allow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The main job's request, every value checked against its rule.

    Args:
        before: the risky change, in the user's words.
        timeout_s: for the wait; the snapshot goes on when it runs out.
        keep_days: retention in whole days, None for ever.
        keep_s: the same in seconds as asked, None for ever; sets the expiry tag.
        name: empty to have one generated.
        description: empty to have one generated.
        reuse_s: accept a good snapshot of the same disks at most this old; None for never.
    """

    before: str
    selection: Selection = field(default_factory=Selection)
    consistency: Consistency = Consistency.FLUSH
    on_quiesce_failure: OnQuiesceFailure = OnQuiesceFailure.CONTINUE
    wait: WaitFor = WaitFor.AVAILABLE
    timeout_s: float = 1800.0
    keep_days: int | None = 14
    keep_s: int | None = 14 * 86400
    name: str = ""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    reuse_s: float | None = None

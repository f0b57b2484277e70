"""What the main job is asked to do, after parsing and before anything is known of the machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from snap_self.model.disks import Selection
from snap_self.model.rules import retention_days
from snap_self.model.snapshots import Consistency, WaitFor

# Who asks where no other is named: somebody at the command line, or a script.
CLI = "cli"


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
        keep_s: retention in seconds as asked, None for ever; sets the expiry tag.
        name: empty to have one generated.
        description: empty to have one generated.
        reuse_s: accept a good snapshot of the same disks at most this old; None for never.
        spread_s: without a terminal it begins later by less than that; 0 for at once.
        change_of: the process that is the change, as a hook names it; empty where none is told.
        confirm_within_s: the disks go back by themselves unless somebody confirms in that time;
            None for never.
        check: the command whose success confirms; empty for none.
        waited_for: a package manager waits for the run, so nothing is asked that it can do without.
        trigger: who asks: ``cli``, ``run`` or a package manager's name.
    """

    before: str
    selection: Selection = field(default_factory=Selection)
    consistency: Consistency = Consistency.FLUSH
    on_quiesce_failure: OnQuiesceFailure = OnQuiesceFailure.CONTINUE
    wait: WaitFor = WaitFor.AVAILABLE
    timeout_s: float = 1800.0
    keep_s: int | None = 14 * 86400
    name: str = ""
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    reuse_s: float | None = None
    waited_for: bool = False
    spread_s: int = 0
    change_of: str = ""
    confirm_within_s: int | None = None
    check: str = ""
    trigger: str = CLI

    @property
    def keep_days(self) -> int | None:
        """Retention in whole days, None for ever."""
        return None if self.keep_s is None else retention_days(self.keep_s)

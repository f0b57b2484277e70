"""Ways back to a snapshot: what a person is told, and the steps as data."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum

# They stand in steps for what is known only once the new disk is made and attached.
NEW_DISK = "NEW_DISK"
NEW_NODE = "/dev/NEW"


class Until(Enum):
    """The state to be seen before the next step.

    The call that has it is made again until everything that it shows has this ``Status``, or
    until nothing has it any more.
    """

    STOPPED = ("Stopped", True)
    AVAILABLE = ("Available", True)
    ATTACHED = ("In_use", True)
    NOT_REINITING = ("ReIniting", False)

    def is_seen(self, statuses: Collection[str]) -> bool:
        """Tell whether these are the statuses to go on with.

        Args:
            statuses: of all that the call was to show; none at all proves nothing.
        """
        status, wanted = self.value
        return bool(statuses) and all((each == status) is wanted for each in statuses)


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudCall:
    """One call of the ECS API.

    Args:
        action: its name (``ResetDisk``).
        params: as the API takes them, several ids as one JSON text.
        until: the state to be seen before the next step, for which this call is repeated; None
            where its answer is enough.
        gives: what stands in later steps for the id in its answer; empty if none needs that.
        why: for people, in fixed words: what is to be done before it; mostly empty.
    """

    action: str
    params: Mapping[str, str]
    until: Until | None = None
    gives: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """A command on the instance itself.

    Args:
        argv: program and arguments, no shell's words.
        why: for people, in fixed words: what to know or to look for; mostly empty.
    """

    argv: tuple[str, ...]
    why: str = ""


Step = CloudCall | Local


class WayKind(Enum):
    """What a way back brings back."""

    # All disks of the run that are attached, while the instance is stopped.
    IN_PLACE = "in-place"
    # The data disks alone, while it runs.
    DATA_DISKS = "data-disks"
    # Nothing: a copy of one disk to look into.
    NEW_DISK = "new-disk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way back.

    Args:
        title: what it does, and to what.
        cautions: what to know before.
        console: the steps in the ECS console.
        steps: the same as calls and commands, each to be done when the one before it has ended.
        after: what to do or to know when it is done.
    """

    kind: WayKind
    title: str
    cautions: tuple[str, ...]
    console: tuple[str, ...]
    steps: tuple[Step, ...]
    after: tuple[str, ...] = ()

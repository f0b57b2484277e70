"""The interfaces between the simulated control plane and what holds the disks' bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol


class StillInUse(OSError):
    """The machine does not let go of a disk that is to be detached.

    Args:
        proved: it is known to be in use; otherwise the machine may merely be slow.
    """

    def __init__(self, text: str, *, proved: bool = True) -> None:
        super().__init__(text)
        self.proved = proved


class Storage(Protocol):
    """What holds the bytes of disks and snapshots; called from one thread at a time."""

    def create_disk(self, disk_id: str, serial: str, size_gib: int) -> str:
        """Make an empty disk and return its device or file path."""
        ...

    def create_disk_from(self, disk_id: str, serial: str, size_gib: int, snapshot_id: str) -> str:
        """Make a disk that begins with a snapshot's content and return its path."""
        ...

    def attach(self, disk_id: str) -> None:
        """Make the disk's device appear to the instance."""
        ...

    def detach(self, disk_id: str) -> None:
        """Make the disk's device vanish from the running instance; its content stays.

        Raises:
            StillInUse: the instance has it mounted, or does not let go of it for now.
        """
        ...

    def pull(self, disk_id: str) -> None:
        """Take the disk from an instance that is off or gone, whatever it was used for."""
        ...

    def delete_disk(self, disk_id: str) -> None:
        """Forget the disk and its content; snapshots of it stay."""
        ...

    def cut(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Fix the content of all disks now, at one instant.

        Args:
            pairs: (disk_id, snapshot_id) of every snapshot to be taken at this instant.
        """
        ...

    def reset_disk(self, disk_id: str, snapshot_id: str) -> None:
        """Give the disk the snapshot's content back."""
        ...

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Forget what a snapshot holds; unknown ids are ignored (it may never have been cut)."""
        ...

    def path_of(self, snapshot_id: str) -> str | None:
        """Return the image file of what was captured, or None."""
        ...


class Power(Protocol):
    """The power switch of the machine that is the own instance."""

    def on(self) -> None:
        """Switch it on; returns before it has booted."""
        ...

    def off(self, *, force: bool) -> None:
        """Switch it off, after it was asked to end unless forced."""
        ...

    def switch(self, step: Callable[[], None]) -> None:
        """Do a step that switches it; where that takes time nothing else waits for it."""
        ...


class NoPower:
    """No machine is behind the instance."""

    def on(self) -> None: ...

    def off(self, *, force: bool) -> None: ...

    def switch(self, step: Callable[[], None]) -> None:
        """Do it at once."""
        step()


class NoStorage:
    """Holds no bytes: for tests of the API alone."""

    def create_disk(self, disk_id: str, serial: str, size_gib: int) -> str:  # noqa: ARG002
        return f"/nonexistent/{disk_id}"

    def create_disk_from(
        self,
        disk_id: str,
        serial: str,  # noqa: ARG002
        size_gib: int,  # noqa: ARG002
        snapshot_id: str,  # noqa: ARG002
    ) -> str:
        return f"/nonexistent/{disk_id}"

    def attach(self, disk_id: str) -> None: ...

    def detach(self, disk_id: str) -> None: ...

    def pull(self, disk_id: str) -> None: ...

    def delete_disk(self, disk_id: str) -> None: ...

    def cut(self, pairs: Sequence[tuple[str, str]]) -> None: ...

    def reset_disk(self, disk_id: str, snapshot_id: str) -> None: ...

    def delete_snapshot(self, snapshot_id: str) -> None: ...

    def path_of(self, snapshot_id: str) -> str | None:  # noqa: ARG002
        return None

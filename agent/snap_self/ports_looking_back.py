"""Protocols for the effects of looking back at a snapshot; adapters in ``system/``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from snap_self.model.awaited import AwaitedChange
    from snap_self.model.copying import CopyOutcome, CopyPlan, LeftOut, Wanted
    from snap_self.model.disk_orders import DiskOrder, OnSale
    from snap_self.model.disks import CloudDisk, Filesystem
    from snap_self.model.ids import DiskId, InstanceId, RunId
    from snap_self.model.looking import Entry
    from snap_self.model.manifest import Manifest
    from snap_self.model.opening import (
        Checked,
        Closed,
        CopyShape,
        CopySigns,
        Held,
        Opened,
        Refusal,
    )
    from snap_self.model.packed import PackedManifest
    from snap_self.model.temporary import CopyRecord, DamagedRecord, KeptFiles
    from snap_self.model.verified import CopiedEtc


class CopyOpener(Protocol):
    """Opens a copy of a filesystem beside its original, and leaves nothing of it behind."""

    def shape_of(self, filesystem: Filesystem, *, subvolume: str = "") -> CopyShape:
        """Return where a filesystem of this machine lies on its disks.

        Args:
            subvolume: of a btrfs: what of it is to be opened (``Mount.root``).

        Raises:
            TopologyError: sysfs does not tell it.
        """
        ...

    def refusal(self, shapes: Sequence[CopyShape]) -> Refusal | None:
        """Return why one of these cannot be opened here; None if all can. Changes nothing."""
        ...

    def hold_back(self, serials: Sequence[str]) -> Held:
        """Tell udev to leave these disks alone, before they are attached; repeat as you like.

        Raises:
            CopyNotOpened: there is a udev and it cannot be told.
        """
        ...

    def device_of(self, serial: str) -> str | None:
        """Return the device node of the disk with that serial; None as long as there is none."""
        ...

    def open(
        self, devices: Mapping[str, str], shape: CopyShape, *, at: str | None, mark: str = ""
    ) -> Opened:
        """Replay the log, mount read-only, and take from the disks what a reboot would find.

        Args:
            devices: serial to device node of the temporary disks, all that the shape needs.
            at: an existing folder where everybody can see it; None: a descriptor alone, which
                ends with this process.
            mark: letters and digits for the names of what is made (LVM's group ``snapself_MARK``);
                empty for the first serial.

        Raises:
            CopyNotOpened: nothing is mounted then.
        """
        ...

    def close(self, opened: Opened) -> Closed:
        """Undo ``open``: what is still used after a while is unmounted lazily."""
        ...

    def close_left(self, devices: Mapping[str, str], at: str | None, *, mark: str = "") -> Closed:
        """Undo what a process that is gone has opened; nothing to undo is fine.

        Args:
            devices: serial to device node of the temporary disks that are still there; empty where
                no device was found: then a disk that does not tell its serial may be it.
            at: the visible mount point it may have made.
            mark: as it was given to ``open``.
        """
        ...

    def signs(self, serial: str, device: str) -> CopySigns:
        """Return what a boot would find on a temporary disk, and where it is in use; only reads.

        Raises:
            CopyNotOpened: it does not answer, or is another disk by now.
        """
        ...

    def let_go(self, serials: Sequence[str]) -> None:
        """Drop the rule of these disks, once their devices are gone; no rule is fine."""
        ...

    def check(self, opened: Opened, *, limit_s: float) -> Checked:
        """Let the filesystem's own checker look at an opened copy, which changes nothing."""
        ...


class CopyStore(Protocol):
    """The journal of snapshots that are opened beside the running system."""

    def save(self, record: CopyRecord) -> None:
        """Put the record safely on disk, in place of the one before.

        Raises:
            StateUnusable: it could not be saved; the record before is still there.
        """
        ...

    def load(self, restore_id: str) -> CopyRecord | None:
        """Return one record, done or not; None if there is none that can be read."""
        ...

    def unfinished(self) -> tuple[CopyRecord, ...]:
        """Return the records of all that may have left something, oldest first.

        Raises:
            StateUnusable: the folder cannot be read.
        """
        ...

    def damaged(self) -> tuple[DamagedRecord, ...]:
        """Return the records of what may be left that cannot be read."""
        ...

    def keep(self, kept: KeptFiles) -> None:
        """Note what a restore replaced.

        Raises:
            StateUnusable: it could not be noted.
        """
        ...

    def kept(self, restore_id: str) -> KeptFiles | None:
        """Return what a restore replaced; None if nothing is known of it."""
        ...


class CopyFacts(Protocol):
    """Looks into an opened copy at what a run has noted of this machine."""

    def etc(self, root: int, inside: str) -> CopiedEtc:
        """Return what /etc of the copy holds; no link is followed out of it.

        Args:
            root: descriptor of the copy's root directory.
            inside: where /etc lies below that, without a leading slash.

        Raises:
            StateUnusable: there is no key to compare contents by.
            OSError: the directory cannot be opened.
        """
        ...

    def holds_manifest(self, root: int, inside: str, run_id: RunId) -> bool | None:
        """Tell whether the copy holds a run's manifest as it is here; None if it is not here.

        Args:
            inside: where the state directory lies below the copy's root.

        Raises:
            StateUnusable: that of here cannot be read.
        """
        ...


class PackageOwners(Protocol):
    """Tells which packages files belong to."""

    def owners(self, paths: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Return the packages of each path, as far as they are told; some of many."""
        ...


class MountPoints(Protocol):
    """Directories at which copies are mounted for people, and what ends them in time."""

    def usual(self, name: str) -> str:
        """Return where a copy of that name is mounted if nobody says another place."""
        ...

    def check(self, path: str) -> bool:
        """Tell whether a directory has to be made.

        Raises:
            PreconditionRefused: nothing can be mounted there.
        """
        ...

    def make(self, path: str) -> None:
        """Make a directory that only root may enter.

        Raises:
            PreconditionRefused: it cannot be made.
        """
        ...

    def remove(self, path: str) -> None:
        """Remove a directory that was made, if nothing is in it; none is fine."""
        ...

    def is_mounted(self, path: str) -> bool:
        """Tell whether anything is mounted there; never waits for what is."""
        ...

    def end_after(self, restore_id: str, seconds: int) -> bool:
        """Have systemd end a copy after that time; tell whether it will."""
        ...

    def end_no_more(self, restore_id: str) -> None:
        """Take that back; nothing to take back is fine."""
        ...


class Tree(Protocol):
    """A tree of files: this machine's, or that of an opened copy under the same paths."""

    def look(self, path: str) -> Entry | None:
        """Return what a path is, which is not followed if it is a link; None if it is not there.

        Raises:
            OSError: it cannot be looked at.
        """
        ...

    def names(self, path: str) -> Sequence[str]:
        """Return the names in a folder, sorted.

        Raises:
            OSError: it cannot be read.
        """
        ...

    def read(self, path: str, most: int) -> bytes:
        """Return what a regular file holds, at most so many bytes and one more.

        Raises:
            OSError: it cannot be read, or is no regular file.
        """
        ...


# Opens the copy of what a run's snapshots hold of these paths, and closes it afterwards; gives None
# where whoever was asked did not want it.
TreeOpener = Callable[["RunId", Sequence[str]], AbstractContextManager[Tree | None]]


class AwaitedChanges(Protocol):
    """Keeps which changes are waited for, until what they made of the machine is noted."""

    def add(self, change: AwaitedChange) -> None:
        """Keep that it is waited for.

        Raises:
            StateUnusable: it could not be kept.
        """
        ...

    def all(self) -> Sequence[AwaitedChange]:
        """Return those that are waited for; what cannot be read counts as none."""
        ...

    def forget(self, change: AwaitedChange) -> None:
        """Wait for it no longer; never raises."""
        ...


class TemporaryDisks(Protocol):
    """Makes disks of snapshots, attaches them, and does away with them again.

    Every operation is asynchronous: the disk's ``status`` tells when it is done. ``deadline_s``
    bounds a call with all its tries; each raises what ``cloud.faults`` makes of a refusal, and
    ``CloudUnreachable`` where no answer came.
    """

    def create_disk(self, order: DiskOrder, *, deadline_s: float | None = None) -> DiskId:
        """Ask for a disk; the same order always names the same disk.

        Raises:
            DiskCategoryRefused: another choice may do.
            TokenReused: the token named another order before; what that made is found by its tags.
        """
        ...

    def attach_disk(
        self,
        disk_id: DiskId,
        instance_id: InstanceId,
        *,
        deadline_s: float | None = None,
        young_s: float = 0.0,
    ) -> None:
        """Attach it, to be released with the instance; one that is attached there is no error.

        Args:
            young_s: for so long a want of permission is waited out, since the tags of a disk just
                made may not be known yet where permissions are decided.

        Raises:
            DiskNotSettled: it is in another state.
            NoDiskSlot, NoHotPlug, DiskCategoryRefused: the instance does not take it.
        """
        ...

    def detach_disk(
        self, disk_id: DiskId, instance_id: InstanceId, *, deadline_s: float | None = None
    ) -> bool:
        """Detach it; return False if it is not attached there, or gone.

        Raises:
            DiskNotSettled: it is in a state, such as being attached, from which it cannot be.
        """
        ...

    def delete_disk(
        self, disk_id: DiskId, *, deadline_s: float | None = None, young_s: float = 0.0
    ) -> None:
        """Delete it; one that is gone already is no error.

        Args:
            young_s: as for ``attach_disk``.

        Raises:
            DiskNotSettled: it is attached still, or in another state; for a while after a detach
                too.
        """
        ...

    def disk(self, disk_id: DiskId, *, deadline_s: float | None = None) -> CloudDisk | None:
        """Return a disk, None if the cloud shows none: gone, not shown yet, or not allowed."""
        ...

    def disks_by_tag(
        self, tags: Mapping[str, str], *, deadline_s: float | None = None
    ) -> tuple[CloudDisk, ...]:
        """Return the disks that carry all of these tags; none proves nothing, as for ``disk``."""
        ...

    def on_sale(
        self, *, zone: str, instance_type: str, deadline_s: float | None = None
    ) -> tuple[OnSale, ...]:
        """Return the categories of data disks that are to be had for such an instance now."""
        ...


class Copier(Protocol):
    """Brings files back from an opened copy, through descriptors of directories only.

    It never follows a symbolic link of the running system, and never goes onto another filesystem.
    What cannot be brought back is told, not raised.
    """

    def plan(
        self, source: int, wanted: Sequence[Wanted], *, to: str | None, exact: bool
    ) -> CopyPlan:
        """Return what ``copy`` would do; change nothing.

        Args:
            source: descriptor of the copy's root directory.
            to: directory below which the whole paths are to go instead of their own place.
            exact: take away what the copy does not have.
        """
        ...

    def copy(
        self,
        source: int,
        wanted: Sequence[Wanted],
        *,
        mark: str,
        to: str | None,
        exact: bool,
        aside: str | None,
        progress: Callable[[int, int], None],
        agreed: Collection[str] | None = None,
        begins: Callable[[CopyPlan], None] = ...,
        ended: Callable[[CopyOutcome], None] = ...,
    ) -> CopyOutcome:
        """Bring back what differs, write it to the disk, and read it again to compare.

        Every file is old or new at any moment, whatever fails. After a signal, call ``tidy``.

        Args:
            mark: goes into the names of temporary files: letters, digits and hyphens.
            aside: directory on the same filesystem to which what is replaced is moved; it is made
                if it is missing. None to keep nothing.
            progress: called with how many are done, and of how many.
            agreed: which paths may be replaced or taken away, since whoever was asked has seen
                them; None for all. What else differs by now is left out.
            begins: called with what will be done by now, before anything is: what it raises ends
                the call.
            ended: called with what was done once anything was, also after a signal; one thing
                more may be kept aside then.
        """
        ...

    def tidy(self, roots: Sequence[str], mark: str) -> int:
        """Remove temporary files with that mark beside and below these paths; return how many."""
        ...

    def undo(
        self,
        kept: Sequence[tuple[str, str]],
        made: Sequence[tuple[str, str]] = (),
        *,
        whole: bool = True,
    ) -> CopyOutcome:
        """Put back what is kept aside, and move away what was made.

        Nothing is lost by it: what is there by now is kept beside, and the outcome tells where, so
        that an undo can be undone. After a kill it can be called again.

        Args:
            kept: ``kept_aside`` of an outcome.
            made: ``made`` of it.
            whole: all of it was done; else some may not have been, and is passed over.
        """
        ...

    def in_use(self, paths: Sequence[str]) -> tuple[LeftOut, ...]:
        """Return the files among these, and below directories, that a process may write to."""
        ...


class ManifestReading(Protocol):
    """A look at what this machine is, which goes on beside whatever its caller does."""

    def end(self, run_id: RunId, instance_id: str, *, limit_s: float) -> PackedManifest:
        """Return what has been read; wait at most that long for the rest, then give it up.

        Never raises: what is not there is told in it.
        """
        ...

    def drop(self) -> None:
        """Give it up; it is no fault if it has ended."""
        ...


class ManifestReader(Protocol):
    """Looks at what this machine is: packages, /etc, units and the like."""

    def begin(self) -> ManifestReading:
        """Begin to look, and return at once; never raises."""
        ...

    def read(self, run_id: RunId, instance_id: str, *, limit_s: float) -> Manifest:
        """Return what it is now, as far as it can be read in that time."""
        ...


class ManifestStore(Protocol):
    """Keeps what the machine was before each run's snapshot, and after the change it was for."""

    def write(self, manifest: Manifest | PackedManifest, *, after: bool = False) -> None:
        """Put it safely on disk.

        Args:
            after: it is of after the change, in place of an earlier one of that kind. One of
                before is written once: a run that is finished or reused later does not change what
                its snapshot holds.

        Raises:
            StateUnusable: it could not be.
        """
        ...

    def read(self, run_id: RunId, *, after: bool = False) -> Manifest | None:
        """Return a run's manifest; None if there is none.

        Raises:
            StateUnusable: it is there and cannot be read, or another user could have written it.
        """
        ...

    def runs(self) -> Sequence[RunId]:
        """Return the runs that have one of either kind, in order.

        Raises:
            StateUnusable: that cannot be found out.
        """
        ...

    def forget_strays(self) -> None:
        """Remove what belongs to no run that there is a record of.

        Call it only while holding the run lock: a run writes its manifest before its record.

        Raises:
            StateUnusable: some of it cannot be removed.
        """
        ...

    def forget(self, run_ids: Collection[RunId]) -> None:
        """Remove what is kept of these runs; it is no fault if there is nothing.

        Raises:
            StateUnusable: some of it cannot be removed.
        """
        ...

"""Which copies are not opened beside their originals, why, and what works instead: pure.

A copy has the ids of its original. Where the kernel or a tool could take one for the other, nothing
is tried on the machine that runs the original.
"""

from __future__ import annotations

from snap_self.model.opening import MOUNTABLE, ONLY_CHECKED, CopyShape, Refusal, RefusalKind

_ELSEWHERE = "On another instance in the same zone, one that does not have the original disks:"
_MAKE = "make a disk from each snapshot of the set and attach them there (console, or aliyun ecs)"
_COPY = "copy what is wanted back with rsync -aHAX or scp, then delete those disks"
_MOUNT = "mount -o ro DEVICE /mnt"
_OPENED_LAYERS = ("mount", "partition", "lvm", "disk")
_TYPES = ", ".join(MOUNTABLE)


def refusal_of(shape: CopyShape, *, btrfs_beside: bool, lvm_usable: bool) -> Refusal | None:
    """Return why this copy is not opened on the machine of its original; None if it is.

    Args:
        btrfs_beside: the kernel mounts a second btrfs of the same id under an id of its own.
        lvm_usable: LVM's programs are there.
    """
    found = _by_layer(shape) or _by_filesystem(shape, btrfs_beside=btrfs_beside)
    if found is None and shape.lvm is not None and not lvm_usable:
        return Refusal(
            kind=RefusalKind.NO_TOOLS,
            what=_what(shape),
            why="it lies on LVM, and LVM's programs are not there or do not start",
            steps=("install the packages lvm2 and dmsetup (device-mapper), then try again",),
        )
    return found


def _by_layer(shape: CopyShape) -> Refusal | None:
    strange = sorted({*shape.layers} - {*_OPENED_LAYERS})
    if "crypt" in strange:
        return _refuse(
            RefusalKind.LUKS,
            shape,
            "it is encrypted (LUKS), and its key is not given to snap-self",
            "open it with its key: cryptsetup open DEVICE snapshot",
            "mount -o ro /dev/mapper/snapshot /mnt",
        )
    if "md" in strange:
        return _refuse(
            RefusalKind.MD,
            shape,
            "it lies on an md array, which could take its copies for missing members",
            "mdadm --assemble --run /dev/md/snapshot DEVICE…, naming the devices",
            "mount -o ro /dev/md/snapshot /mnt",
        )
    if "loop" in strange:
        return Refusal(
            kind=RefusalKind.LAYER,
            what=_what(shape),
            why="it lies in the image of a loop device",
            steps=(
                "bring the image back under another name: snap-self restore ID IMAGE --to FOLDER",
                "mount -o loop,ro FOLDER/IMAGE /mnt",
            ),
        )
    if strange:
        return _refuse(
            RefusalKind.LAYER,
            shape,
            f"it lies on {strange[0]}, of which snap-self opens no copies",
            f"set up {strange[0]} with the copies, then: {_MOUNT}",
        )
    return None


def _by_filesystem(shape: CopyShape, *, btrfs_beside: bool) -> Refusal | None:
    if shape.only_checked and shape.fstype in ONLY_CHECKED:
        return None
    if shape.fstype not in MOUNTABLE:
        why = f"snap-self does not open copies of {shape.fstype}, only of {_TYPES}"
        return _refuse(RefusalKind.FILESYSTEM, shape, why, _MOUNT)
    if shape.members > 1:
        return _refuse(
            RefusalKind.SEVERAL_DEVICES,
            shape,
            f"the {shape.fstype} has parts on {shape.members} devices, and the kernel could join "
            "copies and originals to one",
            f"wait until all of them are attached, then: {_MOUNT}",
        )
    if shape.fstype == "btrfs" and not btrfs_beside:
        why = "this kernel cannot mount a copy of a btrfs beside its original (Linux 6.7 and newer)"
        return _refuse(RefusalKind.OLD_KERNEL, shape, why, _MOUNT)
    return None


def _what(shape: CopyShape) -> str:
    return shape.what or shape.fstype


def _refuse(kind: RefusalKind, shape: CopyShape, why: str, *steps: str) -> Refusal:
    return Refusal(kind=kind, what=_what(shape), why=why, steps=(_ELSEWHERE, _MAKE, *steps, _COPY))

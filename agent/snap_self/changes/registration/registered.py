"""What a probe's findings amount to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from snap_self.model.packages import hook_named
from snap_self.model.registration import (
    Loaded,
    ManagerFault,
    Placed,
    RegisteredFile,
    Registration,
    Rehearsal,
)


def registered(
    hook: str,
    version: str,
    files: Iterable[RegisteredFile],
    loaded: tuple[Loaded, str],
    *,
    mend: str,
    can_veto: bool = True,
    veto: str = "",
    faults: Iterable[ManagerFault] = (),
) -> Registration:
    """Return what was found; what is missing or not read is a fault too.

    Args:
        mend: for files that are in place and are not read.
    """
    files, found = tuple(files), list(faults)
    manager = hook_named(hook).manager
    missing = [file.path for file in files if file.placed is Placed.MISSING]
    if missing and not found:
        found.append(
            ManagerFault(
                text=f"{', '.join(missing)}: not there",
                mend=f"snap-self hook enable {manager}",
            )
        )
    elif loaded[0] is Loaded.NO and not found:
        found.append(ManagerFault(text=f"{hook} does not read our file ({loaded[1]})", mend=mend))
    return Registration(
        hook=hook,
        manager=manager,
        version=version,
        files=files,
        loaded=Loaded.NO if missing else loaded[0],
        loaded_how=loaded[1],
        can_veto=can_veto,
        veto=veto,
        faults=tuple(found),
    )


def unproved(found: Registration, guard: RegisteredFile) -> Registration:
    """Return what is known without a rehearsal: of a changed file, not that it calls us."""
    changed = Placed.CHANGED in {file.placed for file in (*found.files, guard)}
    if found.loaded is not Loaded.YES or not changed:
        return found
    how = f"{found.loaded_how}; what a changed file does was not tried"
    return replace(found, loaded=Loaded.UNKNOWN, loaded_how=how)


def with_rehearsal(
    found: Registration, seen: Rehearsal, guard: RegisteredFile, *, elsewhere: str
) -> Registration:
    """Return what a rehearsal showed, in place of what was asked.

    Args:
        elsewhere: why all hooks do nothing at present; told once for all.
    """
    if found.faults and not seen.reached:
        return replace(found, loaded=Loaded.NO, rehearsal=seen)
    faults = [*found.faults, *_rehearsed_faults(found, seen, guard, elsewhere)]
    return replace(
        found,
        loaded=Loaded.YES if seen.reached else Loaded.NO,
        loaded_how=f"a rehearsal of {found.hook}",
        can_veto=found.can_veto and seen.stopped is True,
        faults=tuple(faults),
        rehearsal=seen,
    )


def _rehearsed_faults(
    found: Registration, seen: Rehearsal, guard: RegisteredFile, elsewhere: str
) -> Iterable[ManagerFault]:
    changed = [f.path for f in (*found.files, guard) if f.placed is Placed.CHANGED]
    restore = f"restore {' and '.join(changed)} from /usr/share/snap-self/hooks"
    mend = restore if changed else "compare the manager's configuration with our file's"
    if not seen.reached:
        said = f" ({seen.why})" if seen.why else ""
        yield ManagerFault(
            text=f"a rehearsal of {found.hook} did not come to our hook{said}", mend=mend
        )
        return
    if found.can_veto and not seen.stopped:
        text = f"{found.hook} does not heed our hook when it stops a change"
        yield ManagerFault(text=text, mend=mend)
    if seen.note is not None and not seen.note.whole:
        text = f"{found.hook} does not tell our hook all packages, so every change counts as risky"
        yield ManagerFault(text=text, mend=mend)
    if seen.note is not None and seen.note.skipped and seen.note.skipped != elsewhere:
        text = f"no change by {found.hook} gets a snapshot: {seen.note.skipped}"
        yield ManagerFault(text=text, mend="look for it in the manager's configuration")

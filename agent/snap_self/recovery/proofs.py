"""How /etc in an opened copy compares with what its run noted before the cut: pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from snap_self.model.differences import TIMED, Change, Doubt, NotCompared, Part, is_regular
from snap_self.model.manifest import FileFact, Manifest
from snap_self.model.verified import CopiedEtc, FileProof
from snap_self.recovery.differences import compare

ETC = "/etc"
# The kernel gives files the time of its last tick, not of now; clocks are set in small steps.
SLACK_NS = 1_000_000_000


def file_proof(noted: Manifest, copied: CopiedEtc, *, manifest_held: bool | None) -> FileProof:
    """Return what the comparison comes to.

    What differs is no fault of the snapshot if it was changed between the noting and the cut; the
    time of change tells, which nobody can set. It is that of the folder for what is gone.
    """
    beside = tuple(path for path in noted.mounts if path.startswith(f"{ETC}/"))
    before = replace(noted, files=_without(noted.files, beside))
    files = _without(copied.files, beside)
    after = Manifest(
        run_id=noted.run_id,
        instance_id=noted.instance_id,
        taken=noted.taken,
        key_id=copied.key_id,
        files=files,
    )
    found = compare(before, after)
    unreadable = {
        name
        for name, fact in files.items()
        if is_regular(fact) and not fact.digest and name in before.files
    }
    doubts = found.doubts(Part.FILES)
    unknown = {name for each in doubts for name in each.names} - unreadable
    limit_ns = int(noted.taken.timestamp() * 1e9) - SLACK_NS
    differing = {change.name: change for change in found.files if change.name not in unreadable}
    changed = {
        name for name, each in differing.items() if _changed_ns(each, copied.changed_ns) >= limit_ns
    }
    both = before.files.keys() & files.keys()
    equal = both - differing.keys() - unreadable - unknown
    return FileProof(
        compared=len(both),
        equal=len(equal),
        by_time=sum(files[name].digest.startswith(TIMED) for name in equal),
        different=tuple(sorted(differing.keys() - changed)),
        changed=tuple(sorted(changed)),
        unreadable=tuple(sorted(unreadable)),
        not_known=tuple(sorted(unknown - differing.keys())),
        manifest_held=manifest_held,
        why="; ".join(filter(None, (*_whys(doubts, beside), copied.faults))),
    )


def _whys(doubts: Iterable[NotCompared], beside: tuple[str, ...]) -> Iterator[str]:
    for each in doubts:
        if each.doubt is Doubt.MISSING:
            yield f"the run could not note all of it: {each.why}"
    if beside:
        yield f"other filesystems are mounted at {', '.join(sorted(beside))}"


def _without(files: Mapping[str, FileFact], mounts: tuple[str, ...]) -> Mapping[str, FileFact]:
    """Return what does not lie on another filesystem that is mounted there."""
    tops = tuple(f"{path}/" for path in mounts)
    return {
        path: fact for path, fact in files.items() if not tops or not f"{path}/".startswith(tops)
    }


def _changed_ns(change: Change[FileFact], changed_ns: Mapping[str, int]) -> int:
    """Return when a name was last changed; of one that is gone when its folder was."""
    name = change.name
    while name not in changed_ns and name != ETC:
        name = name.rpartition("/")[0] or ETC
    return changed_ns.get(name, 0)

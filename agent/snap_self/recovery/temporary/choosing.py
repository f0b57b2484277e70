"""Which kind of disk is made of a snapshot for a short look: pure.

Source: ECS API reference, CreateDisk: ``Size``, ``DiskCategory``, ``PerformanceLevel``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from snap_self.disks.categories import ESSD_FAMILY
from snap_self.model.disk_orders import DiskChoice, OnSale


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """A category, at a level, and the sizes that it comes in."""

    category: str
    level: str = ""
    least_gib: int
    most_gib: int


# The cheapest that serves comes first.
_WANTED = (
    _Kind(category="cloud_essd", level="PL0", least_gib=1, most_gib=65536),
    _Kind(category="cloud_auto", least_gib=1, most_gib=65536),
    _Kind(category="cloud_essd_entry", least_gib=10, most_gib=32768),
)
DEFAULT_LEVEL = "PL1"
# Those that a snapshot's own disk may be of, or that may be all there is.
_OTHERS = (
    _Kind(category="cloud_essd", level="PL1", least_gib=20, most_gib=65536),
    _Kind(category="cloud_efficiency", least_gib=20, most_gib=32768),
    _Kind(category="cloud_ssd", least_gib=20, most_gib=32768),
    _Kind(category="cloud", least_gib=5, most_gib=2000),
    _Kind(category="cloud_regional_disk_auto", least_gib=10, most_gib=65536),
    _Kind(category="cloud_essd", level="PL2", least_gib=461, most_gib=65536),
    _Kind(category="cloud_essd", level="PL3", least_gib=1261, most_gib=65536),
)


def choices(
    *,
    snapshot_gib: int,
    source_category: str,
    source_level: str = "",
    uploading: bool,
    on_sale: Sequence[OnSale] = (),
) -> tuple[DiskChoice, ...]:
    """Return the kinds of disk that can be made of a snapshot, the first to be tried first.

    Each is as small as the snapshot and its category allow.

    Args:
        snapshot_gib: at least 1; the cloud makes no smaller disk of the snapshot.
        source_category, source_level: of the disk that was snapshotted; empty if not known.
        uploading: the snapshot is not accomplished yet.
        on_sale: what the cloud has now; none where it was not asked, or told nothing.
    """
    own = [
        kind
        for kind in _OTHERS
        if kind.category == source_category and kind.level in ("", source_level or DEFAULT_LEVEL)
    ]
    others = [kind for kind in _OTHERS if on_sale and kind.level in ("", DEFAULT_LEVEL)]
    kinds = dict.fromkeys((*_WANTED, *own, *others))
    fitting = (kind for kind in kinds if not uploading or kind.category in ESSD_FAMILY)
    return tuple(_choices(list(_to_be_had(fitting, on_sale)), snapshot_gib))


def _to_be_had(kinds: Iterator[_Kind], on_sale: Sequence[OnSale]) -> Iterator[_Kind]:
    """Yield the kinds that are on sale, in the sizes that are."""
    had = {each.category: each for each in on_sale}
    for kind in kinds:
        if not had:
            yield kind
        elif each := had.get(kind.category):
            least_gib = max(kind.least_gib, each.least_gib)
            most_gib = min(kind.most_gib, each.most_gib or kind.most_gib)
            yield replace(kind, least_gib=least_gib, most_gib=most_gib)


def _choices(kinds: Sequence[_Kind], snapshot_gib: int) -> Iterator[DiskChoice]:
    for kind in kinds:
        size_gib = max(snapshot_gib, kind.least_gib)
        if size_gib <= kind.most_gib:
            yield DiskChoice(category=kind.category, level=kind.level, size_gib=size_gib)

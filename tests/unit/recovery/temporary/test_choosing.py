"""Which kind of disk a snapshot is opened with: table of what is asked and what is tried."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snap_self.disks.categories import ESSD_FAMILY
from snap_self.model.disk_orders import DiskChoice, OnSale
from snap_self.recovery.temporary.choosing import choices

CATEGORIES = ("cloud_essd", "cloud_auto", "cloud_essd_entry", "cloud_efficiency", "cloud_ssd")


def words(found: tuple[DiskChoice, ...]) -> list[str]:
    """Return each choice as ``category/level size``."""
    return [f"{one.category}{f'/{one.level}' if one.level else ''} {one.size_gib}" for one in found]


@pytest.mark.parametrize(
    ("gib", "category", "level", "tried"),
    [
        (40, "cloud_essd", "PL0", ["cloud_essd/PL0 40", "cloud_auto 40", "cloud_essd_entry 40"]),
        (5, "cloud_auto", "", ["cloud_essd/PL0 5", "cloud_auto 5", "cloud_essd_entry 10"]),
        (40, "cloud_essd", "PL1",
         ["cloud_essd/PL0 40", "cloud_auto 40", "cloud_essd_entry 40", "cloud_essd/PL1 40"]),
        (40, "cloud_essd", "",
         ["cloud_essd/PL0 40", "cloud_auto 40", "cloud_essd_entry 40", "cloud_essd/PL1 40"]),
        (500, "cloud_essd", "PL2",
         ["cloud_essd/PL0 500", "cloud_auto 500", "cloud_essd_entry 500", "cloud_essd/PL2 500"]),
        (5, "cloud_efficiency", "",
         ["cloud_essd/PL0 5", "cloud_auto 5", "cloud_essd_entry 10", "cloud_efficiency 20"]),
        (5, "cloud", "", ["cloud_essd/PL0 5", "cloud_auto 5", "cloud_essd_entry 10", "cloud 5"]),
        (40000, "cloud_ssd", "", ["cloud_essd/PL0 40000", "cloud_auto 40000"]),
        (70000, "cloud_ssd", "", []),
        (0, "", "", ["cloud_essd/PL0 1", "cloud_auto 1", "cloud_essd_entry 10"]),
        (40, "a_new_one", "", ["cloud_essd/PL0 40", "cloud_auto 40", "cloud_essd_entry 40"]),
    ],
)  # fmt: skip
def test_kinds_are_tried_from_the_cheapest_to_the_sources_own(
    gib: int, category: str, level: str, tried: list[str]
) -> None:
    found = choices(snapshot_gib=gib, source_category=category, source_level=level, uploading=False)
    assert words(found) == tried


@pytest.mark.parametrize("category", ["cloud_efficiency", "cloud_ssd", "cloud"])
def test_while_it_is_uploaded_only_the_essd_family_is_tried(category: str) -> None:
    found = choices(snapshot_gib=40, source_category=category, uploading=True)
    assert {one.category for one in found} <= set(ESSD_FAMILY)
    assert len(found) == 3


@pytest.mark.parametrize(
    ("on_sale", "tried"),
    [
        ([OnSale(category="cloud_auto")], ["cloud_auto 5"]),
        ([OnSale(category="cloud_auto", least_gib=40)], ["cloud_auto 40"]),
        ([OnSale(category="cloud_auto", least_gib=1, most_gib=4)], []),
        ([OnSale(category="cloud_ssd", least_gib=20, most_gib=32768)], ["cloud_ssd 20"]),
        ([OnSale(category="cloud_essd", least_gib=1)], ["cloud_essd/PL0 5", "cloud_essd/PL1 20"]),
        ([OnSale(category="local_ssd_pro")], []),
        ([], ["cloud_essd/PL0 5", "cloud_auto 5", "cloud_essd_entry 10", "cloud_efficiency 20"]),
    ],
)
def test_what_is_not_on_sale_is_not_tried_and_what_else_is_comes_last(
    on_sale: list[OnSale], tried: list[str]
) -> None:
    found = choices(
        snapshot_gib=5, source_category="cloud_efficiency", uploading=False, on_sale=on_sale
    )
    assert words(found) == tried


@given(
    gib=st.integers(0, 70000),
    category=st.sampled_from(CATEGORIES),
    uploading=st.booleans(),
    sold=st.lists(
        st.builds(
            OnSale,
            category=st.sampled_from(CATEGORIES),
            least_gib=st.integers(0, 100),
            most_gib=st.integers(0, 70000),
        ),
        unique_by=lambda one: one.category,
    ),
)
def test_every_choice_holds_the_snapshot_and_comes_once(
    gib: int, category: str, uploading: bool, sold: list[OnSale]
) -> None:
    found = choices(snapshot_gib=gib, source_category=category, uploading=uploading, on_sale=sold)
    limits = {one.category: one for one in sold}
    assert len({(one.category, one.level) for one in found}) == len(found)
    for one in found:
        assert one.size_gib >= max(gib, 1)
        if sold:
            limit = limits[one.category]
            assert limit.least_gib <= one.size_gib <= (limit.most_gib or one.size_gib)

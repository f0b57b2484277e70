"""Which disks get no snapshot, since the cloud makes none or others write to them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from fakes import recorded_machines as recorded
from snap_self.disks.categories import why_left_out

ANOTHER, THIRD = "i-bp1another", "i-bp1third"


def why(
    category: str = "cloud_essd",
    *,
    instances: Sequence[str] = (recorded.INSTANCE,),
    multi_attach: bool = False,
) -> str:
    item = recorded.described(
        "bp1x", 40, category=category, instances=instances, multi_attach=multi_attach
    )
    (disk,) = recorded.disks_of(recorded.answer_of([item]))
    return why_left_out(disk)


@pytest.mark.parametrize("category", ["cloud", "cloud_essd", "cloud_auto", "cloud_new_kind", ""])
def test_disk_of_another_category_is_tried(category: str) -> None:
    assert why(category) == ""


@pytest.mark.parametrize("category", ["local_ssd_pro", "local_hdd_pro", "ephemeral_ssd"])
def test_local_disk_is_left_out(category: str) -> None:
    assert "local disks" in why(category)


def test_elastic_ephemeral_disk_is_left_out_as_what_it_is() -> None:
    assert "elastic ephemeral" in why("elastic_ephemeral_disk_standard")


def test_disk_that_several_instances_may_write_to_is_left_out() -> None:
    assert "multi-attach" in why(multi_attach=True)
    assert "multi-attach" in why(instances=(recorded.INSTANCE, ANOTHER))
    assert "multi-attach" in why(instances=(recorded.INSTANCE, ANOTHER, THIRD), multi_attach=True)

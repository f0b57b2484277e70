"""Pages of listings, and that a page of many snapshots stays cheap."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ecs_simulator.records import Snapshot
from fakes.simulated_cloud import LIFE, START, TWO_DISKS, SocketlessCloud


def fill(cloud: SocketlessCloud, count: int, **more: Any) -> None:
    for number in range(count):
        values: dict[str, Any] = {"snapshot_id": f"s-{number:05d}", **more}
        cloud.cloud.state.add_snapshot(
            Snapshot(
                number=cloud.cloud.state.next_number(),
                disk_id="d-sys" if number % 2 else "d-data",
                disk_kind="data",
                disk_size_gib=20,
                disk_category="cloud_essd",
                accepted_at=START,
                visible_at=START,
                cut_at=START,
                life=LIFE,
                tags={"k": str(number % 3), "own": "1"},
                **values,
            )
        )


def page(cloud: SocketlessCloud, **params: Any) -> dict[str, Any]:
    return cloud.call("DescribeSnapshots", **params).body


def ids_of(body: dict[str, Any]) -> list[str]:
    return [snapshot["SnapshotId"] for snapshot in body["Snapshots"]["Snapshot"]]


def joined(pages: list[list[str]]) -> list[str]:
    return [name for names in pages for name in names]


def walk(cloud: SocketlessCloud, **params: Any) -> list[list[str]]:
    pages: list[list[str]] = []
    token = ""
    while True:
        body = page(cloud, **params, **({"NextToken": token} if token else {}))
        pages.append(ids_of(body))
        token = body["NextToken"]
        if not token:
            return pages


@pytest.mark.parametrize(
    ("asked", "given"), [(1, 10), (9, 10), (10, 10), (37, 37), (100, 100), (500, 100)]
)
def test_max_results_is_clamped(asked: int, given: int) -> None:
    cloud = SocketlessCloud()
    fill(cloud, 150)
    assert len(ids_of(page(cloud, MaxResults=asked))) == given


def test_tokens_lead_through_everything_once_from_newest_to_oldest() -> None:
    cloud = SocketlessCloud()
    fill(cloud, 25)
    pages = walk(cloud, MaxResults=10)
    assert [len(names) for names in pages] == [10, 10, 5]
    assert joined(pages) == [f"s-{n:05d}" for n in reversed(range(25))]


def test_last_page_when_exactly_full_has_no_token() -> None:
    cloud = SocketlessCloud()
    fill(cloud, 20)
    assert [len(names) for names in walk(cloud, MaxResults=10)] == [10, 10]


def test_snapshot_made_between_pages_does_not_shift_them() -> None:
    cloud = SocketlessCloud()
    fill(cloud, 20)
    first = page(cloud, MaxResults=10)
    fill(cloud, 1, snapshot_id="s-new")
    second = page(cloud, MaxResults=10, NextToken=first["NextToken"])
    assert ids_of(second) == [f"s-{n:05d}" for n in reversed(range(10))]


def test_filters_hold_over_all_pages() -> None:
    cloud = SocketlessCloud()
    fill(cloud, 90)
    names = joined(walk(cloud, MaxResults=10, DiskId="d-sys", Tag__1__Key="k", Tag__1__Value="0"))
    assert names == [f"s-{n:05d}" for n in reversed(range(90)) if n % 2 and n % 3 == 0]


def test_page_numbers_count_everything() -> None:
    cloud = SocketlessCloud()
    fill(cloud, 25)
    body = page(cloud, PageNumber=3, PageSize=10)
    assert (body["TotalCount"], body["PageNumber"], body["NextToken"]) == (25, 3, "")
    assert ids_of(body) == [f"s-{n:05d}" for n in reversed(range(5))]


def test_listing_by_tag_ends_silently_at_the_documented_thousand() -> None:
    cloud = SocketlessCloud()
    fill(cloud, 1005)
    pages = walk(cloud, MaxResults=100, Tag__1__Key="own")
    assert sum(map(len, pages)) == 1000
    assert sum(map(len, walk(cloud, MaxResults=100))) == 1005


def test_listing_by_tag_without_cap_shows_all() -> None:
    cloud = SocketlessCloud(replace(TWO_DISKS, tag_filter_cap=5000))
    fill(cloud, 1005)
    assert sum(map(len, walk(cloud, MaxResults=100, Tag__1__Key="own"))) == 1005


@pytest.mark.parametrize("token", ["x", "caeba0!!", "caeba0W10="])
def test_made_up_token_is_refused(token: str) -> None:
    answer = SocketlessCloud().call("DescribeSnapshots", NextToken=token)
    assert answer.outcome == (400, "InvalidParameter.NextToken")


def test_page_in_the_middle_of_many_begins_where_its_token_says() -> None:
    """The search starts at the token's place in an index, not at the newest snapshot."""
    cloud = SocketlessCloud()
    fill(cloud, 10_000)
    found = cloud.cloud.state.newest_snapshots(before=5_001, tags=[("own", "1")])
    assert [next(found).number, next(found).number] == [5_000, 4_999]


def test_disks_are_paged_too() -> None:
    cloud = SocketlessCloud()
    first = cloud.call("DescribeDisks", PageSize=1, PageNumber=1).body
    second = cloud.call("DescribeDisks", PageSize=1, PageNumber=2).body
    names = [body["Disks"]["Disk"][0]["DiskId"] for body in (first, second)]
    assert sorted(names) == ["d-data", "d-sys"]

"""Pages of a listing: one asked for ahead, never more than allowed, errors where they belong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import pytest

from fakes.clock import FakeClock
from fakes.rpc import FakeRpc
from snap_self.cloud.caller import MOST_IDLE_PAGES, MOST_PAGES
from snap_self.cloud.client import EcsClient
from snap_self.errors import CloudAnswerUnclear, PermissionRefused
from snap_self.model.ids import InstanceId, RegionId
from snap_self.model.snapshots import Credentials
from snap_self.ports import Rpc, RpcFailed

KEYS = Credentials(
    access_key_id="key", access_key_secret="s", security_token="", source="test", expires=None
)


@dataclass(slots=True)
class PagedRpc:
    """Answers with one snapshot a page; the token is the next page's number."""

    pages: int
    asked: list[str] = field(default_factory=list)
    refused: str = ""
    stuck: bool = False

    def call(
        self, action: str, params: Mapping[str, str], *, timeout_s: float, credentials: Credentials
    ) -> Mapping[str, Any]:
        token = params.get("NextToken", "0")
        self.asked.append(token)
        if token == self.refused:
            raise RpcFailed(code="Forbidden.RAM", http_status=403, message="no")
        number = int(token) + (0 if self.stuck and token == "1" else 1)
        shot = {"SnapshotId": f"s-{token}", "Status": "accomplished"}
        following = str(number) if number < self.pages else ""
        return {"Snapshots": {"Snapshot": [shot]}, "NextToken": following}


def client(rpc: Rpc, clock: FakeClock | None = None) -> EcsClient:
    return EcsClient(
        rpc,
        region=RegionId("cn-hangzhou"),
        credentials=lambda _: KEYS,
        clock=clock or FakeClock(datetime(2026, 11, 22, tzinfo=timezone.utc)),
        random=lambda: 0.5,
    )


def test_pages_are_read_in_order() -> None:
    rpc = PagedRpc(pages=5)
    shots = client(rpc).describe_snapshots()
    assert [shot.snapshot_id for shot in shots] == [f"s-{place}" for place in range(5)]
    assert rpc.asked == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("most", [1, 2, 4])
def test_no_page_beyond_the_allowed_is_asked_for(most: int) -> None:
    rpc = PagedRpc(pages=5)
    assert len(client(rpc).describe_snapshots(max_pages=most)) == most
    assert len(rpc.asked) == most


def test_a_later_page_refused_is_refused() -> None:
    rpc = PagedRpc(pages=5, refused="2")
    with pytest.raises(PermissionRefused):
        client(rpc).describe_snapshots()
    assert rpc.asked == ["0", "1", "2"]


def test_a_token_that_comes_twice_ends_the_reading() -> None:
    rpc = PagedRpc(pages=5, stuck=True)
    with pytest.raises(CloudAnswerUnclear, match="same page token"):
        client(rpc).describe_snapshots()
    assert rpc.asked == ["0", "1"]


LISTS = {
    "DescribeDisks": ("Disks", "Disk", "DiskId"),
    "DescribeSnapshots": ("Snapshots", "Snapshot", "SnapshotId"),
    "DescribeSnapshotGroups": ("SnapshotGroups", "SnapshotGroup", "SnapshotGroupId"),
}


class Endless:
    """Names another page for ever.

    Args:
        entries: the numbers of a page's entries.
        takes_s: how long each answer takes.
    """

    def __init__(self, entries: Callable[[int], Sequence[int]], takes_s: float = 0.0) -> None:
        self._entries = entries
        self._takes_s = takes_s
        self.clock = FakeClock()
        self.rpc = FakeRpc(answering=self.answer)

    def answer(self, action: str, params: Mapping[str, str]) -> Mapping[str, Any]:
        page = int(params.get("NextToken", "0"))
        self.clock.advance(self._takes_s)
        outer, inner, name = LISTS[action]
        more = {"Type": "data", "Status": "accomplished"}
        listed = [{name: f"x-{number}", **more} for number in self._entries(page)]
        return {outer: {inner: listed}, "NextToken": str(page + 1)}


LISTINGS: dict[str, Callable[[EcsClient], Sequence[object]]] = {
    "DescribeDisks": lambda cloud: cloud.describe_disks(InstanceId("i-1")),
    "DescribeSnapshots": lambda cloud: cloud.describe_snapshots(),
    "DescribeSnapshotGroups": lambda cloud: cloud.describe_groups(),
}


@pytest.mark.parametrize("listing", LISTINGS)
@pytest.mark.parametrize("later", [(), (1, 2)], ids=["empty-pages", "the-same-page-again"])
def test_list_when_its_pages_show_nothing_new_for_ever_then_what_was_seen_is_all(
    listing: str, later: Sequence[int]
) -> None:
    endless = Endless(lambda page: (1, 2) if page == 0 else later)
    found = LISTINGS[listing](client(endless.rpc, endless.clock))
    assert len(found) == 2
    assert len(endless.rpc.calls) <= MOST_IDLE_PAGES + 1


@pytest.mark.parametrize("listing", LISTINGS)
def test_list_when_some_pages_are_empty_then_goes_on_to_the_next_full_one(listing: str) -> None:
    def entries(page: int) -> Sequence[int]:
        return (page,) if page % MOST_IDLE_PAGES == 0 else ()

    endless = Endless(entries, takes_s=1.0)
    with pytest.raises(CloudAnswerUnclear, match="no end within the time allowed"):
        LISTINGS[listing](client(endless.rpc, endless.clock))
    assert len(endless.rpc.calls) > MOST_IDLE_PAGES * 10


@pytest.mark.parametrize("listing", LISTINGS)
def test_list_when_it_always_has_more_and_is_slow_then_the_deadline_ends_it(listing: str) -> None:
    endless = Endless(lambda page: (page,), takes_s=0.19)
    with pytest.raises(CloudAnswerUnclear, match="no end within the time allowed") as caught:
        LISTINGS[listing](client(endless.rpc, endless.clock))
    assert endless.clock.monotonic() - 1000 < 91
    assert caught.value.hint


@pytest.mark.parametrize("listing", LISTINGS)
def test_list_when_it_always_has_more_at_once_then_its_length_ends_it(listing: str) -> None:
    endless = Endless(lambda page: (page,))
    with pytest.raises(CloudAnswerUnclear, match=f"no end after {MOST_PAGES} pages"):
        LISTINGS[listing](client(endless.rpc, endless.clock))
    assert len(endless.rpc.calls) <= MOST_PAGES + 1


def test_list_when_an_entry_stands_on_two_pages_then_it_is_one() -> None:
    disk = {"DiskId": "d-1", "Type": "data"}
    pages = [{"Disks": {"Disk": [disk]}, "NextToken": token} for token in ("a", "")]
    assert len(client(FakeRpc(*pages)).describe_disks(InstanceId("i-1"))) == 1

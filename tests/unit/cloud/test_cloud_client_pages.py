"""Pages of a listing: one asked for ahead, never more than allowed, errors where they belong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import pytest

from fakes.clock import FakeClock
from snap_self.cloud.client import EcsClient
from snap_self.errors import CloudAnswerUnclear, PermissionRefused
from snap_self.model.ids import RegionId
from snap_self.model.snapshots import Credentials
from snap_self.ports import RpcFailed

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


def client(rpc: PagedRpc) -> EcsClient:
    clock = FakeClock(datetime(2026, 11, 22, tzinfo=timezone.utc))
    return EcsClient(
        rpc,
        region=RegionId("cn-hangzhou"),
        credentials=lambda _: KEYS,
        clock=clock,
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

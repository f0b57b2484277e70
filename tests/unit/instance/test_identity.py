"""Who the metadata service says this instance is, and what makes that unusable."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.http import FakeTransport, nobody
from fakes.instance import SECRET, MetadataService, client
from snap_self.errors import MetadataRefused, MetadataUnreachable, NotOnEcs, SnapSelfError
from snap_self.instance.identity import DOCUMENT, REQUIRED, looks_like_ecs, read_identity
from snap_self.model.snapshots import Identity

FACTS = {
    "instance-id": "i-bp13znx0m0me8cquu",
    "region-id": "cn-hangzhou",
    "zone-id": "cn-hangzhou-i",
    "owner-account-id": "1234567890",
    "instance-type": "ecs.g6e.large",
}
ITEMS = {
    "meta-data/instance-id": "i-bp13znx0m0me8cquu",
    "meta-data/region-id": "cn-hangzhou",
    "meta-data/zone-id": "cn-hangzhou-i",
    "meta-data/owner-account-id": "1234567890",
    "meta-data/instance/instance-type": "ecs.g6e.large",
}


def identity_of(items: dict[str, str], **how: Any) -> Identity:
    return read_identity(client(FakeTransport(MetadataService(items))), **how)


def document(**changes: object) -> dict[str, str]:
    return {DOCUMENT: json.dumps({**FACTS, **changes})}


def said(error: SnapSelfError) -> str:
    return f"{error!r} {error.message} {error.hint} {error.details}"


def test_identity_when_there_is_a_document_then_takes_all_from_it() -> None:
    found = identity_of(document())
    assert (found.instance_id, found.region) == ("i-bp13znx0m0me8cquu", "cn-hangzhou")
    assert (found.zone, found.account) == ("cn-hangzhou-i", "1234567890")
    assert found.instance_type == "ecs.g6e.large"
    assert (found.source, found.mode) == ("identity document", "token")


def test_identity_when_there_is_no_document_then_reads_single_items() -> None:
    found = identity_of(ITEMS)
    assert (found.instance_id, found.zone) == ("i-bp13znx0m0me8cquu", "cn-hangzhou-i")
    assert found.source == "single items"


@pytest.mark.parametrize("empty", [None, ""])
def test_identity_when_the_document_lacks_the_region_then_reads_that_item(
    empty: str | None,
) -> None:
    found = identity_of({**document(**{"region-id": empty}), "meta-data/region-id": "cn-beijing"})
    assert found.region == "cn-beijing"


def test_identity_when_only_the_needed_items_exist_then_leaves_the_rest_empty() -> None:
    needed = {path: ITEMS[path] for path in ("meta-data/instance-id", "meta-data/region-id")}
    found = identity_of(needed)
    assert (found.zone, found.account, found.instance_type) == ("", "", "")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("instance-id", "I-ABC"),
        ("instance-id", "<html>"),
        ("instance-id", 7),
        ("instance-id", "i-abc\n"),
        ("region-id", "cn hangzhou"),
        ("region-id", ["cn-hangzhou"]),
    ],
)
def test_identity_when_the_document_is_malformed_then_names_the_attribute(
    key: str, value: object
) -> None:
    with pytest.raises(MetadataRefused, match=f"{DOCUMENT}: {key} is not"):
        identity_of(document(**{key: value}))


@pytest.mark.parametrize(
    ("changes", "zone", "account"),
    [
        ({"zone-id": "../.."}, "", "1234567890"),
        ({"owner-account-id": 1234}, "cn-hangzhou-i", "1234"),
        ({"owner-account-id": {"id": 1}, "zone-id": ["x"]}, "", ""),
    ],
)
def test_identity_when_an_optional_fact_is_odd_then_the_rest_still_serves(
    changes: dict[str, object], zone: str, account: str
) -> None:
    found = identity_of(document(**changes))
    assert (found.region, found.zone, found.account) == ("cn-hangzhou", zone, account)


@pytest.mark.parametrize("text", ["[]", "null", '"x"', "7"])
def test_identity_when_the_document_is_no_object_then_is_refused(text: str) -> None:
    with pytest.raises(MetadataRefused, match="JSON object"):
        identity_of({DOCUMENT: text})


def test_identity_when_an_item_is_malformed_then_names_the_item() -> None:
    with pytest.raises(MetadataRefused, match="meta-data/region-id is not"):
        identity_of({**ITEMS, "meta-data/region-id": "nowhere!"})


def test_identity_when_disks_are_listed_then_maps_serials() -> None:
    disks = {
        "meta-data/disks/": "bp1a/\nbp1b/",
        "meta-data/disks/bp1a/id": "d-bp1a",
        "meta-data/disks/bp1b/id": "d-bp1b",
    }
    assert identity_of({**document(), **disks}).serial_to_disk == {
        "bp1a": "d-bp1a",
        "bp1b": "d-bp1b",
    }


def test_identity_when_a_disk_entry_is_unusable_then_only_that_one_is_left_out() -> None:
    disks = {
        "meta-data/disks/": "bp1a/\nbp1b/\n../../x/\nbp1c/",
        "meta-data/disks/bp1a/id": "d-bp1a",
        "meta-data/disks/bp1b/id": "no disk id",
    }
    assert identity_of({**document(), **disks}).serial_to_disk == {"bp1a": "d-bp1a"}


def test_identity_when_nobody_answers_and_firmware_is_another_then_not_on_ecs() -> None:
    with pytest.raises(NotOnEcs):
        read_identity(client(FakeTransport(nobody)), product_name="KVM")


@pytest.mark.parametrize("product", [None, "Alibaba Cloud ECS\n"])
def test_identity_when_nobody_answers_on_ecs_then_unreachable(product: str | None) -> None:
    with pytest.raises(MetadataUnreachable):
        read_identity(client(FakeTransport(nobody)), product_name=product)


def test_identity_when_another_service_answers_and_firmware_is_another_then_not_on_ecs() -> None:
    with pytest.raises(NotOnEcs):
        identity_of({}, product_name="")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Alibaba Cloud ECS\n", True), ("Alibaba Cloud ECS Bare", False), ("", False)],
)
def test_looks_like_ecs_when_firmware_speaks_then_compares_whole_name(
    name: str, *, expected: bool
) -> None:
    assert looks_like_ecs(name) is expected


@given(
    st.text()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(list(FACTS)), inner),
    ).map(json.dumps)
)
def test_identity_when_the_document_is_anything_then_only_our_errors(text: str) -> None:
    with contextlib.suppress(MetadataRefused):
        identity_of({DOCUMENT: text})


@given(st.sampled_from(REQUIRED), st.text(max_size=5), st.text(max_size=5))
def test_identity_when_a_value_is_wrong_then_the_error_does_not_show_it(
    key: str, before: str, after: str
) -> None:
    with pytest.raises(MetadataRefused) as caught:
        identity_of(document(**{key: f"{before} {SECRET} {after}"}))
    assert SECRET not in said(caught.value)

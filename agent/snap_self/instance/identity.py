"""Who and where this instance is, according to the metadata service."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import TypeVar

from snap_self.errors import (
    EnvironmentFault,
    MetadataAbsent,
    MetadataRefused,
    MetadataUnreachable,
    NotOnEcs,
)
from snap_self.instance.metadata import MetadataClient
from snap_self.model.ids import DISK_ID, INSTANCE_ID, REGION_ID, DiskId, InstanceId, RegionId
from snap_self.model.snapshots import Identity
from snap_self.threads.pool import side_by_side

DOCUMENT = "dynamic/instance-identity/document"
DISKS = "meta-data/disks"
SIDE_BY_SIDE = 8
ECS_PRODUCT = "Alibaba Cloud ECS"

ITEMS: Mapping[str, str] = {
    "instance-id": "meta-data/instance-id",
    "region-id": "meta-data/region-id",
    "zone-id": "meta-data/zone-id",
    "owner-account-id": "meta-data/owner-account-id",
    "instance-type": "meta-data/instance/instance-type",
}
REQUIRED = ("instance-id", "region-id")
SHAPES: Mapping[str, re.Pattern[str]] = {
    "instance-id": INSTANCE_ID,
    "region-id": REGION_ID,
    "zone-id": re.compile(r"[a-z0-9-]{1,64}"),
    "owner-account-id": re.compile(r"[0-9]{1,32}"),
    "instance-type": re.compile(r"[a-z0-9.-]{1,64}"),
}
_SERIAL = re.compile(r"[0-9A-Za-z_-]{1,64}")

T = TypeVar("T")
Submit = Callable[[str], "Future[str]"]


def looks_like_ecs(dmi_product_name: str) -> bool:
    """Return whether the firmware calls this machine an ECS instance.

    Source: ``/sys/class/dmi/id/product_name``; cloud-init's Aliyun data source tests the same.
    """
    return dmi_product_name.strip() == ECS_PRODUCT


def read_identity(metadata: MetadataClient, *, product_name: str | None = None) -> Identity:
    """Return who and where this instance is.

    The identity document answers everything in one read; what it lacks is read item by item. The
    disks' serial numbers are read in parallel, as far as possible: a missing disk proves nothing.

    Args:
        product_name: the firmware's, if known; it decides between the errors.

    Raises:
        NotOnEcs: no usable answer, and the firmware does not say ECS.
        MetadataUnreachable: the service does not answer.
        MetadataRefused: it refuses, or its answer does not have the documented form.
    """
    try:
        with side_by_side(SIDE_BY_SIDE, "metadata") as pool:
            disks = pool.submit(metadata.list_dir, DISKS)
            document = pool.submit(_document, metadata)
            facts, source = _complete(document.result(), lambda p: pool.submit(metadata.get, p))
            serials = _disk_ids(disks, lambda path: pool.submit(metadata.get, path))
    except (MetadataRefused, MetadataUnreachable) as error:
        if product_name is None or looks_like_ecs(product_name):
            raise
        raise NotOnEcs(
            "this machine is not an Alibaba Cloud ECS instance",
            hint="snap-self runs on the instance whose disks it snapshots. "
            "`snap-self demo` shows it on any machine.",
            details=error.message,
        ) from error
    return Identity(
        instance_id=InstanceId(facts["instance-id"]),
        region=RegionId(facts["region-id"]),
        zone=facts.get("zone-id", ""),
        account=facts.get("owner-account-id", ""),
        instance_type=facts.get("instance-type", ""),
        source=source,
        mode=metadata.mode,
        serial_to_disk=serials,
    )


def _document(metadata: MetadataClient) -> dict[str, str]:
    """Return the facts we use from the document; empty if there is no document."""
    try:
        document = metadata.get_json(DOCUMENT)
    except MetadataAbsent:
        return {}
    if not isinstance(document, dict):
        raise _wrong(DOCUMENT, "a JSON object")
    facts = {}
    for key in ITEMS:
        value = document.get(key)
        if value in (None, ""):
            continue
        # Only a required fact may make the answer unusable; account numbers may be unquoted.
        if key in REQUIRED:
            facts[key] = _checked(f"{DOCUMENT}: {key}", key, value)
        elif SHAPES[key].fullmatch(str(value)):
            facts[key] = str(value)
    return facts


def _complete(known: dict[str, str], submit: Submit) -> tuple[dict[str, str], str]:
    """Read the missing facts from the single items."""
    if all(key in known for key in REQUIRED):
        return known, "identity document"
    reads = {key: submit(ITEMS[key]) for key in ITEMS if key not in known}
    for key, read in reads.items():
        try:
            known[key] = _checked(ITEMS[key], key, read.result())
        except (MetadataRefused, MetadataUnreachable):
            if key in REQUIRED:
                raise
    return known, "single items"


def _disk_ids(listing: Future[tuple[str, ...]], submit: Submit) -> dict[str, DiskId]:
    serials = _tolerated(listing) or ()
    reads = {serial: submit(f"{DISKS}/{serial}/id") for serial in _usable(serials)}
    answers = {serial: _tolerated(read) or "" for serial, read in reads.items()}
    return {serial: DiskId(text) for serial, text in answers.items() if DISK_ID.fullmatch(text)}


def _usable(serials: Iterable[str]) -> list[str]:
    return [serial for serial in dict.fromkeys(serials) if _SERIAL.fullmatch(serial)]


def _tolerated(read: Future[T]) -> T | None:
    try:
        return read.result()
    except EnvironmentFault:
        return None


def _checked(where: str, key: str, value: object) -> str:
    if isinstance(value, str) and SHAPES[key].fullmatch(value):
        return value
    raise _wrong(where, f"of the form {SHAPES[key].pattern}")


def _wrong(where: str, expected: str) -> MetadataRefused:
    return MetadataRefused(
        f"metadata {where} is not {expected}",
        hint="Something other than the ECS metadata service may answer at its address.",
    )

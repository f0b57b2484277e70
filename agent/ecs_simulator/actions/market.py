"""DescribeAvailableResource and DescribePrice, as far as disks are concerned.

Prices are of the order of the published ones, and only good for comparing. Source: the operations'
pages of the ECS API reference.
"""

from __future__ import annotations

from collections.abc import Iterator

from ecs_simulator.actions.base import Call, Json, Operation
from ecs_simulator.actions.disk_making import LEVELS, SIZES_GIB
from ecs_simulator.cloud import Cloud
from ecs_simulator.errors import ApiError
from ecs_simulator.params import Params
from ecs_simulator.records import CATEGORIES

_DESTINATIONS = frozenset(
    {"Zone", "IoOptimized", "InstanceType", "Network", "ddh", "SystemDisk", "DataDisk"}
)
_DISKS = ("SystemDisk", "DataDisk")
_SYSTEM_DISK_GIB = (20, 2048)
# Yuan for a GiB and month; an ESSD's by its level.
_MONTHLY: dict[str, float] = {
    "cloud": 0.3,
    "cloud_efficiency": 0.35,
    "cloud_ssd": 1.0,
    "cloud_auto": 1.0,
    "cloud_essd_entry": 0.35,
    "cloud_regional_disk_auto": 2.0,
    "PL0": 0.5,
    "PL1": 1.0,
    "PL2": 2.0,
    "PL3": 4.0,
}
_MONTH_H = 720


def describe_available_resource(cloud: Cloud, call: Call) -> Json:
    """List what each zone offers."""
    params = call.params
    cloud.check_region(params)
    wanted = params.required("DestinationResource")
    if wanted not in _DESTINATIONS:
        raise ApiError("InvalidParameter.DestinationResource")
    for_instance = params.text("ResourceType", "instance") == "instance"
    if wanted == "SystemDisk" or (wanted == "DataDisk" and for_instance):
        params.required("InstanceType")
    with cloud.state.lock:
        zones = sorted(cloud.zones()) if cloud.here(params) else ()
        named = params.text("ZoneId")
        shown = [
            _zone_json(cloud, params, zone, wanted)
            for zone in call.visible(zones)
            if named in ("", zone)
        ]
    return {"AvailableZones": {"AvailableZone": shown}}


def _zone_json(cloud: Cloud, params: Params, zone: str, wanted: str) -> Json:
    entries = list(_supported(cloud, params, zone, wanted))
    some = any(entry["Status"] == "Available" for entry in entries)
    return {
        "RegionId": cloud.config.region_id,
        "ZoneId": zone,
        **_stock(some),
        "AvailableResources": {
            "AvailableResource": [
                {"Type": wanted, "SupportedResources": {"SupportedResource": entries}}
            ]
        },
    }


def _supported(cloud: Cloud, params: Params, zone: str, wanted: str) -> Iterator[Json]:
    if wanted not in _DISKS:
        for value in _others(cloud, zone, wanted):
            yield {"Value": value, **_stock(some=not cloud.account.sells_nothing(zone))}
        return
    asked = params.text("DataDiskCategory" if wanted == "DataDisk" else "SystemDiskCategory")
    of_type = params.text("InstanceType")
    for category in sorted({*SIZES_GIB, "cloud_essd"} - {*LEVELS}):
        if asked not in ("", category) or category in cloud.refused_by_type(of_type):
            continue
        least, most = SIZES_GIB["PL0" if category == "cloud_essd" else category]
        if wanted == "SystemDisk":
            least, most = max(least, _SYSTEM_DISK_GIB[0]), min(most, _SYSTEM_DISK_GIB[1])
        yield {
            "Value": category,
            "Min": least,
            "Max": most,
            "Unit": "GiB",
            **_stock(some=cloud.account.sells(zone, category)),
        }


def _others(cloud: Cloud, zone: str, wanted: str) -> list[str]:
    instances = cloud.state.instances.values()
    types = sorted({each.instance_type for each in instances if each.zone_id == zone})
    known = {"Zone": [zone], "IoOptimized": ["optimized"], "Network": ["vpc"], "ddh": []}
    return types if wanted == "InstanceType" else known[wanted]


def _stock(some: bool) -> Json:
    return {
        "Status": "Available" if some else "SoldOut",
        "StatusCategory": "WithStock" if some else "WithoutStock",
    }


def describe_price(cloud: Cloud, call: Call) -> Json:
    """Return what disks cost for an hour."""
    params = call.params
    cloud.check_region(params)
    kind = params.text("ResourceType", "instance")
    if kind not in ("instance", "disk", "diskperformance", "bandwidth", "ddh"):
        raise ApiError("InvalidResourceType.ValueNotSupported")
    if kind != "disk":
        raise ApiError("PriceNotFound", "Only disks have a price here.")
    if params.text("PriceUnit", "Hour") != "Hour":
        raise ApiError("InvalidPriceUnit.ValueNotSupported")
    amount = params.integer("Amount", "InvalidAmount.Malformed")
    if amount is not None and not 1 <= amount <= 1000:
        raise ApiError("InvalidAmount.Malformed", status=403)
    disks = params.records("DataDisk") or [{}]
    price = round(sum(_hourly(disk) for disk in disks) * (amount or 1), 6)
    figures = {"OriginalPrice": price, "DiscountPrice": 0.0, "TradePrice": price}
    detail = {"Resource": "dataDisk", **figures, "SubRules": {"Rule": []}}
    return {
        "PriceInfo": {
            "Price": {"Currency": "CNY", **figures, "DetailInfos": {"DetailInfo": [detail]}},
            "Rules": {"Rule": []},
        }
    }


def _hourly(disk: dict[str, str]) -> float:
    category, size = disk.get("Category", ""), disk.get("Size", "")
    level = disk.get("PerformanceLevel", "PL1") if category == "cloud_essd" else ""
    if category not in CATEGORIES or (level or category) not in _MONTHLY:
        raise ApiError("InvalidDataDiskCategory.ValueNotSupported")
    least, most = SIZES_GIB[level or category]
    if not size.isdigit() or not least <= int(size) <= most:
        raise ApiError("InvalidDataDiskSize.ValueNotSupported")
    return int(size) * _MONTHLY[level or category] / _MONTH_H


OPERATIONS = (
    Operation(name="DescribeAvailableResource", run=describe_available_resource, reads=True),
    Operation(name="DescribePrice", run=describe_price),
)

"""Listings of instances, regions and instance types."""

from __future__ import annotations

from collections.abc import Sequence

from ecs_simulator.actions.base import Call, Json, Operation, check_dry_run
from ecs_simulator.clock import iso_minute
from ecs_simulator.cloud import Cloud
from ecs_simulator.errors import ApiError
from ecs_simulator.paging import cut_page, read_page_request
from ecs_simulator.params import Params
from ecs_simulator.ram import Resource
from ecs_simulator.records import Instance
from ecs_simulator.rules import fits, read_tag_filter


def describe_instances(cloud: Cloud, call: Call) -> Json:
    """List instances."""
    params = call.params
    cloud.check_region(params)
    request = read_page_request(params)
    ids = params.json_ids("InstanceIds", "InvalidInstanceIds.Malformed")
    tags = read_tag_filter(params)
    check_dry_run(params)
    with cloud.state.lock:
        here = cloud.state.instances.values() if cloud.here(params) else ()
        found = [
            instance
            for instance in call.visible(here)
            if (ids is None or instance.instance_id in ids)
            and params.text("Status") in ("", instance.status)
            and params.text("InstanceName") in ("", instance.name)
            and fits(instance.tags, tags)
        ]
        numbered = list(enumerate(found))[0 if request.after is None else request.after + 1 :]
        page = cut_page(numbered, request, cap=cloud.config.tag_filter_cap if tags else None)
        entries = [_instance_json(cloud, instance) for instance in page.entries]
    return {**page.head(), "Instances": {"Instance": entries}}


def _instance_json(cloud: Cloud, instance: Instance) -> Json:
    return {
        "InstanceId": instance.instance_id,
        "InstanceName": instance.name,
        "Description": instance.description,
        "HostName": instance.hostname,
        "Status": instance.status,
        "StoppedMode": instance.stopped_mode,
        "InstanceType": instance.instance_type,
        "ImageId": instance.image_id,
        "Cpu": 2,
        "Memory": 8192,
        "OSType": "linux",
        "ZoneId": instance.zone_id,
        "RegionId": cloud.config.region_id,
        "InstanceChargeType": instance.charge_type,
        "DeletionProtection": instance.deletion_protection,
        "InstanceNetworkType": "vpc",
        "SerialNumber": instance.serial_number,
        "CreationTime": iso_minute(instance.created_at),
        "StartTime": iso_minute(instance.started_at),
        "ExpiredTime": "2099-12-31T15:59Z",
        "VpcAttributes": {
            "VpcId": "vpc-bp1simulatedvpc000001",
            "VSwitchId": "vsw-bp1simulatedvsw000001",
            "PrivateIpAddress": {"IpAddress": [instance.private_ipv4]},
        },
        "OperationLocks": {
            "LockReason": [{"LockReason": why, "LockMsg": ""} for why in instance.locks]
        },
        "MetadataOptions": {
            "HttpEndpoint": instance.http_endpoint,
            "HttpTokens": instance.http_tokens,
            "HttpPutResponseHopLimit": 0,
        },
        "Tags": {"Tag": [{"TagKey": k, "TagValue": v} for k, v in instance.tags.items()]},
    }


def describe_instance_status(cloud: Cloud, call: Call) -> Json:
    """List instances with nothing but their status, by page number."""
    params = call.params
    cloud.check_region(params)
    number = params.integer("PageNumber", "InvalidParameter.PageNumber") or 1
    size = params.integer("PageSize", "InvalidParameter.PageSize") or 10
    if number < 1 or not 1 <= size <= 50:
        raise ApiError(
            "InvalidParameter.PageSize" if number >= 1 else "InvalidParameter.PageNumber"
        )
    ids, zone = params.items("InstanceId"), params.text("ZoneId")
    with cloud.state.lock:
        here = cloud.state.instances.values() if cloud.here(params) else ()
        found = [
            {"InstanceId": instance.instance_id, "Status": instance.status}
            for instance in call.visible(here)
            if (not ids or instance.instance_id in ids) and zone in ("", instance.zone_id)
        ]
    page = found[(number - 1) * size : number * size]
    head = {"TotalCount": len(found), "PageNumber": number, "PageSize": size}
    return {**head, "InstanceStatuses": {"InstanceStatus": page}}


def describe_regions(cloud: Cloud, call: Call) -> Json:
    """List regions."""
    names = call.visible((cloud.config.region_id, *cloud.config.other_regions))
    regions = [
        {
            "RegionId": name,
            "LocalName": name,
            "RegionEndpoint": f"ecs.{name}.aliyuncs.com",
            "Status": "available",
        }
        for name in names
    ]
    return {"Regions": {"Region": regions}}


def describe_instance_types(cloud: Cloud, call: Call) -> Json:
    """List the types of the cloud's instances with how many disks each can carry."""
    wanted = call.params.items("InstanceTypes")
    with cloud.state.lock:
        known = {i.instance_type: i.disk_quantity for i in cloud.state.instances.values()}
    types = [
        {
            "InstanceTypeId": name,
            "InstanceTypeFamily": name.rpartition(".")[0],
            "DiskQuantity": quantity,
            "CpuCoreCount": 2,
            "MemorySize": 8.0,
            "NvmeSupport": "unsupported",
        }
        for name, quantity in call.visible(known.items())
        if not wanted or name in wanted
    ]
    return {"InstanceTypes": {"InstanceType": types}, "NextToken": ""}


def one_resource(cloud: Cloud, params: Params) -> Sequence[Resource]:
    """Name the instance of the request."""
    name = params.text("InstanceId")
    instance = cloud.state.instances.get(name)
    return (Resource(kind="instance", name=name, tags=instance.tags if instance else {}),)


def status_resources(cloud: Cloud, params: Params) -> Sequence[Resource]:
    """Name the instances a listing of statuses asks for by id, or all."""
    known = cloud.state.instances
    return [
        Resource(kind="instance", name=name, tags=known[name].tags if name in known else {})
        for name in params.items("InstanceId")
    ] or (Resource(kind="instance"),)


def list_resources(cloud: Cloud, params: Params) -> Sequence[Resource]:
    """Name the instances a listing asks for by id, or all."""
    tags = {key: value or "" for key, value in read_tag_filter(params)}
    ids = params.json_ids("InstanceIds", "InvalidInstanceIds.Malformed")
    if not ids:
        return (Resource(kind="instance", tags=tags),)
    known = cloud.state.instances
    return [
        Resource(kind="instance", name=name, tags=known[name].tags if name in known else tags)
        for name in ids
    ]


OPERATIONS = (
    Operation(
        name="DescribeInstances", run=describe_instances, resources=list_resources, reads=True
    ),
    Operation(
        name="DescribeInstanceStatus",
        run=describe_instance_status,
        resources=status_resources,
        reads=True,
    ),
    Operation(name="DescribeRegions", run=describe_regions, reads=True),
    Operation(name="DescribeInstanceTypes", run=describe_instance_types, reads=True),
)

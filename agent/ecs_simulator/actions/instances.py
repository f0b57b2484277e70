"""Operations on instances, regions and instance types."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
        "Description": "",
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
        "InstanceChargeType": "PostPaid",
        "InstanceNetworkType": "vpc",
        "SerialNumber": instance.serial_number,
        "CreationTime": iso_minute(instance.created_at),
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


def stop_instance(cloud: Cloud, call: Call) -> Json:
    """Begin to stop a running instance."""
    params = call.params
    mode = params.text("StoppedMode") or cloud.config.default_stopped_mode
    if mode not in ("KeepCharging", "StopCharging"):
        raise ApiError("InvalidParameter.StoppedMode", "The specified StoppedMode is not valid.")
    with cloud.state.lock:
        instance = _changeable(cloud, params, "Running")
        check_dry_run(params)
        instance.status = "Stopping"
    force = params.flag("ForceStop")
    _later(cloud, instance, lambda: _stopped(cloud, instance, mode, force=force), back="Running")
    return {}


def _stopped(cloud: Cloud, instance: Instance, mode: str, *, force: bool) -> None:
    if instance is cloud.own_instance:
        cloud.power.off(force=force)
    _arrive(cloud, instance, "Stopped", mode)


def start_instance(cloud: Cloud, call: Call) -> Json:
    """Begin to start a stopped instance."""
    with cloud.state.lock:
        instance = _changeable(cloud, call.params, "Stopped")
        check_dry_run(call.params)
        instance.status = "Starting"
    _later(cloud, instance, lambda: _started(cloud, instance), back="Stopped")
    return {}


def _started(cloud: Cloud, instance: Instance) -> None:
    # First, so that a machine that ends at once is seen as stopped.
    _arrive(cloud, instance, "Running", "Not-applicable")
    if instance is cloud.own_instance:
        cloud.power.on()


def _later(cloud: Cloud, instance: Instance, finish: Callable[[], None], *, back: str) -> None:
    """Finish an operation after its time; a machine that refuses leaves the instance as it was."""

    def run() -> None:
        try:
            finish()
        except (OSError, ValueError, LookupError, RuntimeError) as error:
            cloud.storage_faults.append(f"{instance.status} {instance.instance_id}: {error}")
            _arrive(cloud, instance, back, instance.stopped_mode)

    cloud.agenda.after(cloud.config.instance_operation_s, run)


def _changeable(cloud: Cloud, params: Params, status: str) -> Instance:
    instance = cloud.instance(params.required("InstanceId"))
    if "security" in instance.locks:
        raise ApiError("InstanceLockedForSecurity")
    if instance.status != status:
        raise ApiError("IncorrectInstanceStatus")
    return instance


def _arrive(cloud: Cloud, instance: Instance, status: str, stopped_mode: str) -> None:
    with cloud.state.lock:
        instance.status, instance.stopped_mode = status, stopped_mode


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
    Operation(name="StopInstance", run=stop_instance, resources=one_resource),
    Operation(name="StartInstance", run=start_instance, resources=one_resource),
    Operation(name="DescribeRegions", run=describe_regions, reads=True),
    Operation(name="DescribeInstanceTypes", run=describe_instance_types, reads=True),
)

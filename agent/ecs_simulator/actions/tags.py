"""TagResources, UntagResources and ListTagResources."""

from __future__ import annotations

from collections.abc import Sequence

from ecs_simulator.actions.base import Call, Json, Operation
from ecs_simulator.cloud import Cloud
from ecs_simulator.errors import ApiError
from ecs_simulator.paging import cut_page, read_page_request
from ecs_simulator.params import Params
from ecs_simulator.ram import Resource
from ecs_simulator.records import Disk, Instance, Snapshot
from ecs_simulator.rules import MAX_TAGS, fits, read_tag_filter, read_tags

# Snapshot-consistent groups are not among the types that can be tagged.
_TYPES = ("disk", "instance", "snapshot")
Tagged = Disk | Instance | Snapshot


def _resources_of(cloud: Cloud, kind: str) -> dict[str, Tagged]:
    state = cloud.state
    tables: dict[str, dict[str, Tagged]] = {
        "disk": dict(state.disks),
        "instance": dict(state.instances),
        "snapshot": dict(state.snapshots),
    }
    return tables[kind]


def _kind(params: Params) -> str:
    kind = params.required("ResourceType").lower()
    if kind not in _TYPES:
        raise ApiError("InvalidResourceType.NotFound", "The ResourceType provided does not exist.")
    return kind


def _chosen(cloud: Cloud, params: Params) -> list[Tagged]:
    kind = _kind(params)
    names = params.items("ResourceId")
    if not names:
        raise ApiError("MissingParameter.ResourceId", status=404)
    if len(names) > 50:
        raise ApiError("NumberExceed.ResourceIds", "At most 50 resource ids can be given.")
    table = _resources_of(cloud, kind)
    missing = [name for name in names if name not in table]
    if missing:
        raise ApiError("InvalidResourceId.NotFound", "The specified ResourceIds are not found.")
    return [table[name] for name in names]


def _set_tags(cloud: Cloud, resource: Tagged, tags: dict[str, str]) -> None:
    if isinstance(resource, Snapshot):
        cloud.state.retag_snapshot(resource, tags)
    else:
        resource.tags = tags


def tag_resources(cloud: Cloud, call: Call) -> Json:
    """Add tags to resources, all or none."""
    params = call.params
    cloud.check_region(params)
    if len(params.records("Tag")) > MAX_TAGS:
        raise ApiError("NumberExceed.Tags", "At most 20 tags can be given.")
    tags = read_tags(params)
    with cloud.state.lock:
        chosen = _chosen(cloud, params)
        if not tags:
            raise ApiError("MissingParameter.Tag", status=404)
        for resource in chosen:
            own = {key for key in resource.tags if not key.startswith("acs:")}
            if len(own | set(tags)) > MAX_TAGS:
                raise ApiError("QuotaExceed.Tags")
        for resource in chosen:
            _set_tags(cloud, resource, {**resource.tags, **tags})
    return {}


def untag_resources(cloud: Cloud, call: Call) -> Json:
    """Take tags from resources; the system's own stay."""
    params = call.params
    cloud.check_region(params)
    keys = params.items("TagKey")
    if len(keys) > MAX_TAGS:
        raise ApiError("NumberExceed.Tags", "At most 20 tag keys can be given.")
    everything = params.flag("All") and not keys
    with cloud.state.lock:
        for resource in _chosen(cloud, params):
            left = {
                key: value
                for key, value in resource.tags.items()
                if key.startswith("acs:") or not (everything or key in keys)
            }
            _set_tags(cloud, resource, left)
    return {}


def list_tag_resources(cloud: Cloud, call: Call) -> Json:
    """List the tags of resources, found by id or by tag."""
    params = call.params
    cloud.check_region(params)
    kind = _kind(params)
    names = params.items("ResourceId")
    if len(names) > 50:
        raise ApiError("NumberExceed.ResourceIds", "At most 50 resource ids can be given.")
    if any(record.get("Value") and not record.get("Key") for record in params.records("Tag")):
        raise ApiError("InvalidParameter.TagValue", "A tag value needs a tag key.")
    wanted = read_tag_filter(params)
    filters = params.records("TagFilter")
    if not (names or wanted or filters):
        raise ApiError("MissingParameter.ResourceIds", status=404)
    request = read_page_request(params, floor=50, ceiling=1000)
    with cloud.state.lock:
        table = _resources_of(cloud, kind)
        found = [
            {"ResourceId": name, "ResourceType": kind, "TagKey": key, "TagValue": value}
            for name, resource in call.visible(table.items())
            if (not names or name in names)
            and fits(resource.tags, wanted)
            and all(record.get("TagKey", "") in resource.tags for record in filters)
            for key, value in resource.tags.items()
        ]
    numbered = list(enumerate(found))[0 if request.after is None else request.after + 1 :]
    page = cut_page(numbered, request)
    return {"NextToken": page.next_token, "TagResources": {"TagResource": page.entries}}


def tagged_resources(cloud: Cloud, params: Params) -> Sequence[Resource]:
    """Name each resource of the request."""
    kind = params.text("ResourceType").lower()
    table = _resources_of(cloud, kind) if kind in _TYPES else {}
    names = params.items("ResourceId")
    return [
        Resource(kind=kind or "*", name=name, tags=table[name].tags if name in table else {})
        for name in names
    ] or (Resource(kind="*"),)


OPERATIONS = (
    Operation(name="TagResources", run=tag_resources, resources=tagged_resources),
    Operation(name="UntagResources", run=untag_resources, resources=tagged_resources),
    Operation(name="ListTagResources", run=list_tag_resources, reads=True),
)

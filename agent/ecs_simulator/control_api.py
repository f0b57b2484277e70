"""The control service: it controls a cloud over HTTP, for tests in other processes.

``GET /_simulator/`` lists the paths. Bodies are JSON objects of a :class:`Controls` method's
arguments. It answers on its own socket, never under the API's names.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from ecs_simulator.config import DiskConfig
from ecs_simulator.controls import Controls, life_of, plain
from ecs_simulator.faults import Fault, Throttle
from ecs_simulator.identifiers import check_fields
from ecs_simulator.pace import Fate

PREFIX = "/_simulator/"
Body = dict[str, Any]
Handler = Callable[[Controls, Body], Any]


def answer(
    controls: Controls, urls: Mapping[str, str], *, method: str, path: str, body: bytes
) -> tuple[int, bytes]:
    """Return the status and JSON body of one control request."""
    name = f"{method} {path.removeprefix(PREFIX).strip('/')}"
    if not path.startswith(PREFIX):
        return _json(404, {"error": "not here"})
    if name == "GET ":
        return _json(200, {"paths": sorted(_HANDLERS), "urls": dict(urls)})
    handler = _HANDLERS.get(name)
    if handler is None:
        return _json(404, {"error": f"no such control: {name}", "paths": sorted(_HANDLERS)})
    try:
        given = json.loads(body) if body else {}
        given = given if isinstance(given, dict) else {"items": given}
        check_fields(given)
        result = handler(controls, given)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return _json(400, {"error": f"{type(error).__name__}: {error}"})
    except OSError as error:  # of the storage
        return _json(500, {"error": str(error)})
    return _json(200, {} if result is None else result)


def _json(status: int, value: Any) -> tuple[int, bytes]:
    return status, json.dumps(value, default=plain).encode()


def _add_disk(controls: Controls, body: Body) -> Body:
    owner = body.pop("instance_id", None)
    if "life" in body:
        body["life"] = life_of(body["life"])
    return asdict(controls.add_disk(DiskConfig(**body), instance_id=owner))


def _throttle(controls: Controls, body: Body) -> None:
    controls.set_throttles(*(Throttle(**item) for item in body.get("items", [])))


def _policies(controls: Controls, body: Body) -> None:
    controls.set_policies(body["name"], *body["policies"])


def _clear_calls(controls: Controls, body: Body) -> None:  # noqa: ARG001
    controls.api.calls.clear()
    controls.metadata.calls.clear()
    controls.operations.clear()


def _latencies(controls: Controls, body: Body) -> None:
    controls.set_latencies(body.get("times_s", {}), profile=body.get("profile", "fast"))


def _operations(controls: Controls, body: Body) -> None:
    controls.set_operations(body.get("times_s", {}), profile=body.get("profile", "fast"))


_HANDLERS: dict[str, Handler] = {
    "GET state": lambda c, _: c.dump(),
    "GET calls": lambda c, _: {"calls": [asdict(call) for call in c.calls]},
    "GET metadata-calls": lambda c, _: {"calls": [asdict(call) for call in c.metadata_calls]},
    "DELETE calls": _clear_calls,
    "GET secrets": lambda c, _: {"secrets": sorted(c.secrets())},
    "GET faults": lambda c, _: {"faults": [asdict(fault) for fault in c.api.faults.waiting()]},
    "POST faults": lambda c, body: c.inject(Fault(**body)),
    "DELETE faults": lambda c, _: c.api.faults.clear(),
    "PUT throttles": _throttle,
    "PUT latencies": _latencies,
    "GET operations": lambda c, _: {"operations": [asdict(each) for each in c.operations]},
    "PUT operations": _operations,
    "PUT device-lag": lambda c, body: c.set_device_lag(body["seconds"]),
    "PUT sight-lag": lambda c, body: c.set_sight_lag(body["seconds"]),
    "PUT token-memory": lambda c, body: c.set_token_memory(body["seconds"]),
    "PUT account": lambda c, body: c.set_account(**body),
    "PUT kms-key": lambda c, body: c.set_kms_key(**body),
    "POST fates": lambda c, body: c.befall(Fate(**body)),
    "POST free": lambda c, body: c.free(body["resource_id"]),
    "GET disk-usage": lambda c, _: {"disks": [asdict(each) for each in c.disk_usage()]},
    "GET guest-faults": lambda c, _: {"faults": [asdict(fault) for fault in c.guest_faults]},
    "PUT life": lambda c, body: c.set_life(**body),
    "PUT disk-life": lambda c, body: c.set_disk_life(**body),
    "PUT clock": lambda c, body: c.set_clock_offset(float(body["offset_s"])),
    "PUT clock-skew": lambda c, body: c.set_clock_skew(float(body["skew_s"])),
    "PUT policies": _policies,
    "PUT certificate": lambda c, body: c.set_certificate(body["kind"]),
    "POST expire": lambda c, body: c.expire(body["what"]),
    "PUT instance": lambda c, body: c.set_instance(**body),
    "PUT disk": lambda c, body: c.set_disk(**body),
    "PUT groups": lambda c, body: c.set_group_behaviour(**body),
    "POST disks": _add_disk,
    "DELETE disks": lambda c, body: c.remove_disk(body["disk_id"]),
    "PUT image": lambda c, body: c.mark_image(**body),
    "POST snapshots": lambda c, body: {"snapshot_ids": c.add_snapshots(**body)},
    "DELETE snapshots": lambda c, _: c.delete_snapshots(),
    "POST fail-snapshot": lambda c, body: c.fail_snapshot(body["snapshot_id"]),
    "POST finish-snapshots": lambda c, _: c.finish_snapshots(),
    "POST image-path": lambda c, body: {"path": c.image_path(body["snapshot_id"])},
}

"""The simulator over loopback HTTP, as clients meet it."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from ecs_simulator import Fault, LifeTimes, Simulator
from ecs_simulator.encrypting import SERVICE_KEY
from fakes.simulated_cloud import TWO_DISKS, Signer
from fixtures_simulator import ask_control

QUICK = replace(
    TWO_DISKS,
    life=LifeTimes(cut_s=0.01, available_s=0.01, accomplished_s=0.05),
)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Simulator]:
    with Simulator(QUICK, control_dir=tmp_path) as simulator:
        yield simulator


def connect(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    assert parts.hostname is not None
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)


def signed(simulator: Simulator, action: str, *, method: str = "GET", **params: str) -> str:
    key = simulator.config.keys[0]
    signer = Signer(access_key_id=key.access_key_id, secret=key.access_key_secret)
    given = {"Action": action, "RegionId": "cn-hangzhou", **params}
    return urlencode(signer.sign(given, at=time.time(), method=method))


def exchange(
    connection: http.client.HTTPConnection, method: str, target: str, body: bytes | None = None
) -> tuple[int, bytes]:
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
    connection.request(method, target, body=body, headers=headers)
    response = connection.getresponse()
    return response.status, response.read()


def call(simulator: Simulator, action: str, **params: str) -> tuple[int, dict[str, Any]]:
    with closing(connect(simulator.ecs_url)) as connection:
        status, body = exchange(connection, "GET", f"/?{signed(simulator, action, **params)}")
    return status, json.loads(body)


def control(simulator: Simulator, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    assert simulator.control_socket is not None
    return ask_control(simulator.control_socket, method, path, body)


def wait_until_accomplished(simulator: Simulator) -> list[dict[str, Any]]:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = call(simulator, "DescribeSnapshots")[1]["Snapshots"]["Snapshot"]
        if found and all(snapshot["Status"] == "accomplished" for snapshot in found):
            return list(found)
        time.sleep(0.01)
    raise AssertionError("never accomplished")


@pytest.mark.parametrize("way", ["GET", "POST+query", "POST+form"])
def test_signed_call_in_each_way_is_answered(running: Simulator, way: str) -> None:
    method, _, form = way.partition("+")
    text = signed(running, "DescribeDisks", method=method, DiskName="ä *+~")
    with closing(connect(running.ecs_url)) as connection:
        if form == "form":
            status, body = exchange(connection, method, "/", text.encode())
        else:
            status, body = exchange(connection, method, f"/?{text}")
    assert (status, json.loads(body)["TotalCount"]) == (200, 0)


def test_connection_is_kept_for_many_calls(running: Simulator) -> None:
    with closing(connect(running.ecs_url)) as connection:
        connection.connect()
        socket = connection.sock
        statuses = [
            exchange(connection, "GET", f"/?{signed(running, 'DescribeDisks')}")[0]
            for _ in range(5)
        ]
        assert connection.sock is socket
    assert statuses == [200] * 5


def test_idle_connection_is_closed_where_told_so() -> None:
    with (
        Simulator(replace(QUICK, idle_close_s=0.02)) as simulator,
        closing(connect(simulator.ecs_url)) as connection,
    ):
        exchange(connection, "GET", f"/?{signed(simulator, 'DescribeDisks')}")
        assert connection.sock.recv(1) == b""


def test_start_on_a_port_in_use_fails_and_leaves_nothing_open(running: Simulator) -> None:
    port = urlsplit(running.ecs_url).port
    assert port is not None
    with pytest.raises(OSError, match="in use"):
        Simulator(replace(QUICK, ecs_port=port)).start()


def test_clock_that_is_wrong_leaves_snapshots_at_their_stage(running: Simulator) -> None:
    running.set_life(accomplished_s=1000.0)
    call(running, "CreateSnapshot", DiskId="d-sys")
    running.set_clock_skew(-800)
    (found,) = call(running, "DescribeSnapshots")[1]["Snapshots"]["Snapshot"]
    assert (found["Status"], int(found["Progress"].rstrip("%")) < 50) == ("progressing", True)


def test_clock_moved_on_brings_snapshots_to_their_end(running: Simulator) -> None:
    running.set_life(cut_s=300.0, accomplished_s=300.0)
    call(running, "CreateSnapshot", DiskId="d-sys")
    running.set_clock_offset(400)
    deadline = time.monotonic() + 10
    while not next(iter(running.state.snapshots.values())).cut_at and time.monotonic() < deadline:
        time.sleep(0.005)
    running.set_clock_offset(800)
    assert wait_until_accomplished(running)


def test_snapshot_is_accomplished_by_itself(running: Simulator) -> None:
    status, body = call(running, "CreateSnapshot", DiskId="d-sys")
    (found,) = wait_until_accomplished(running)
    assert (status, found["SnapshotId"]) == (200, body["SnapshotId"])
    assert found["Progress"] == "100%"


@pytest.mark.parametrize("kind", ["lost_reply", "reset"])
def test_dropped_connection_reaches_the_client_as_such(running: Simulator, kind: str) -> None:
    running.inject(Fault(kind=kind, action="CreateSnapshot"))
    with pytest.raises(ConnectionError):
        call(running, "CreateSnapshot", DiskId="d-sys")
    assert len(running.state.snapshots) == (kind == "lost_reply")


def test_truncated_answer_reaches_the_client_as_incomplete(running: Simulator) -> None:
    running.inject(Fault(kind="truncated"))
    with pytest.raises(http.client.IncompleteRead):
        call(running, "DescribeDisks")


def test_bad_gateway_is_html(running: Simulator) -> None:
    running.inject(Fault(kind="html_502"))
    with closing(connect(running.ecs_url)) as connection:
        status, body = exchange(connection, "GET", f"/?{signed(running, 'DescribeDisks')}")
    assert status == 502
    assert body.startswith(b"<html>")


def test_hanging_call_ends_when_the_simulator_stops() -> None:
    simulator = Simulator(QUICK).start()
    simulator.inject(Fault(kind="hang", seconds=3600))
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(call, simulator, "DescribeDisks")
        deadline = time.monotonic() + 10
        while simulator.api.faults.waiting() and time.monotonic() < deadline:
            time.sleep(0.005)
        simulator.stop()
        error = pending.exception(timeout=10)
    assert error is None or isinstance(error, OSError)


def test_retry_while_first_call_with_its_token_hangs_is_being_processed(
    running: Simulator,
) -> None:
    running.inject(Fault(kind="hang", action="CreateSnapshot", when="during", seconds=3600))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(call, running, "CreateSnapshot", DiskId="d-sys", ClientToken="t")
        deadline = time.monotonic() + 10
        while not running.state.snapshots and time.monotonic() < deadline:
            time.sleep(0.005)
        status, body = call(running, "CreateSnapshot", DiskId="d-sys", ClientToken="t")
        running.stopping.set()
        assert first.result(timeout=10)[0] == 200
    assert (status, body["Code"]) == (403, "IdempotentProcessing")


def test_many_clients_at_once_are_all_answered(running: Simulator) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: call(running, "DescribeDisks")[0], range(80)))
    assert answers == [200] * 80


def test_metadata_over_http_needs_token_where_required(running: Simulator) -> None:
    running.set_instance(http_tokens="required")
    path = "/latest/meta-data/instance-id"
    with closing(connect(running.metadata_url)) as connection:
        refused = exchange(connection, "GET", path)[0]
        connection.request(
            "PUT", "/latest/api/token", headers={"X-aliyun-ecs-metadata-token-ttl-seconds": "60"}
        )
        token = connection.getresponse().read().decode()
        connection.request("GET", path, headers={"X-Aliyun-ECS-Metadata-Token": token})
        body = connection.getresponse().read()
    assert (refused, body) == (403, b"i-own")


def test_metadata_fault_strikes_over_http(running: Simulator) -> None:
    running.inject(Fault(kind="error:x:500", action="metadata:/latest"))
    with closing(connect(running.metadata_url)) as connection:
        statuses = [exchange(connection, "GET", "/latest/meta-data/mac")[0] for _ in range(2)]
    assert statuses == [500, 200]


def test_control_lists_its_paths_and_urls(running: Simulator) -> None:
    status, body = control(running, "GET", "")
    assert status == 200
    assert body["urls"]["ecs"] == running.ecs_url
    assert "POST faults" in body["paths"]


def test_control_injects_faults_and_shows_calls(running: Simulator) -> None:
    fault = {"kind": "error:InternalError:500", "action": "DescribeDisks"}
    assert control(running, "POST", "faults", fault)[0] == 200
    assert call(running, "DescribeDisks")[0] == 500
    (logged,) = control(running, "GET", "calls")[1]["calls"]
    assert (logged["action"], logged["status"]) == ("DescribeDisks", 500)


def test_control_adds_and_removes_a_disk(running: Simulator) -> None:
    added = control(running, "POST", "disks", {"disk_id": "d-new", "size_gib": 5})[1]
    assert (added["instance_ids"], added["status"]) == (["i-own"], "In_use")
    assert "d-new" in control(running, "GET", "state")[1]["disks"]
    control(running, "DELETE", "disks", {"disk_id": "d-new"})
    assert "d-new" not in running.state.disks


def test_control_steers_clock_policies_throttles_and_images(running: Simulator) -> None:
    name = call(running, "CreateSnapshot", DiskId="d-sys")[1]["SnapshotId"]
    wait_until_accomplished(running)
    control(running, "PUT", "image", {"snapshot_id": name})
    refused = call(running, "DeleteSnapshot", SnapshotId=name, Force="true")[1]["Code"]
    control(running, "PUT", "policies", {"name": "tester", "policies": []})
    forbidden = call(running, "DeleteSnapshot", SnapshotId=name)[1]["Code"]
    control(running, "PUT", "throttles", [{"limit": 0}])
    throttled = call(running, "DescribeDisks")[1]["Code"]
    control(running, "PUT", "clock", {"offset_s": 3600})
    late = call(running, "DescribeDisks")[1]["Code"]
    assert [refused, forbidden, throttled, late] == [
        *("SnapshotCreatedImage", "Forbidden.RAM", "Throttling", "InvalidTimeStamp.Expired")
    ]


NEW_DISK = {"ZoneId": "cn-hangzhou-i", "DiskCategory": "cloud_essd", "Size": "20"}


def wait_for_status(simulator: Simulator, disk_id: str, status: str) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = call(simulator, "DescribeDisks", DiskIds=f'["{disk_id}"]')[1]["Disks"]["Disk"]
        if found and found[0]["Status"] == status:
            return
        time.sleep(0.01)
    raise AssertionError(f"{disk_id} never {status}")


def test_control_tells_how_long_every_disk_existed(running: Simulator) -> None:
    name = call(running, "CreateDisk", **NEW_DISK)[1]["DiskId"]
    wait_for_status(running, name, "Available")
    call(running, "DeleteDisk", DiskId=name)
    told = control(running, "GET", "disk-usage")[1]["disks"]
    (found,) = [disk for disk in told if disk["disk_id"] == name]
    assert found["deleted_at"] is not None
    assert found["gib_seconds"] == pytest.approx(found["seconds"] * 20)
    assert {disk["disk_id"] for disk in told} == {"d-sys", "d-data", name}


def test_control_steers_operations_and_what_becomes_of_them(running: Simulator) -> None:
    control(running, "POST", "fates", {"action": "CreateDisk", "outcome": "stick"})
    name = call(running, "CreateDisk", **NEW_DISK)[1]["DiskId"]
    assert control(running, "POST", "free", {"resource_id": name})[0] == 200
    wait_for_status(running, name, "Available")
    control(running, "PUT", "operations", {"times_s": {"AttachDisk": 3600}})
    call(running, "AttachDisk", InstanceId="i-own", DiskId=name)
    wait_for_status(running, name, "Attaching")
    assert control(running, "GET", "guest-faults")[1] == {"faults": []}


def test_control_steers_the_account_and_the_lags(running: Simulator) -> None:
    for path, seconds in (("device-lag", None), ("sight-lag", 0.5), ("token-memory", 60)):
        assert control(running, "PUT", path, {"seconds": seconds})[0] == 200
    cloud = running.cloud
    lags = (cloud.device_lag_s, cloud.sight_lag_s, running.api.tokens.memory_s)
    assert lags == (inf, 0.5, 60)
    control(running, "PUT", "account", {"enough_balance": False})
    refused = call(running, "CreateDisk", **NEW_DISK)
    control(running, "PUT", "account", {"enough_balance": True, "default_encryption": True})
    key = {"key_id": SERVICE_KEY, "state": "disabled"}
    control(running, "PUT", "kms-key", key)
    disabled = call(running, "CreateDisk", **NEW_DISK)
    assert [refused[1]["Code"], disabled[1]["Code"]] == [
        "InvalidAccountStatus.NotEnoughBalance",
        "InvalidParameter.KMSKeyId.CMKNotEnabled",
    ]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "nothing", None, 404),
        ("POST", "faults", {"kind": "earthquake"}, 400),
        ("POST", "faults", {"colour": "red"}, 400),
        ("POST", "disks", {"colour": "red"}, 400),
        ("PUT", "instance", {"colour": "red"}, 400),
        ("POST", "expire", {"what": "milk"}, 400),
        ("POST", "fates", {"action": "AttachDisk", "outcome": "explode"}, 400),
        ("POST", "free", {"resource_id": "d-sys"}, 400),
        ("PUT", "kms-key", {"key_id": "key-1", "state": "lost"}, 400),
        ("PUT", "account", {"colour": "red"}, 400),
        ("PUT", "device-lag", {}, 400),
        ("PUT", "certificate", {"kind": "golden"}, 400),
    ],
)
def test_control_refuses_what_it_does_not_know(
    running: Simulator, method: str, path: str, body: Any, status: int
) -> None:
    answer = control(running, method, path, body)
    assert answer[0] == status
    assert answer[1]["error"]


def test_control_is_not_among_the_apis_paths(running: Simulator) -> None:
    with closing(connect(running.ecs_url)) as connection:
        status, body = exchange(connection, "GET", "/_simulator/state")
    assert (status, b"disks" in body) == (400, False)


def test_role_keys_told_to_expire_are_replaced_by_the_metadata_service(
    running: Simulator,
) -> None:
    path = "/latest/meta-data/ram/security-credentials/SnapSelfRole"
    with closing(connect(running.metadata_url)) as connection:
        first = json.loads(exchange(connection, "GET", path)[1])
        control(running, "POST", "expire", {"what": "sts"})
        second = json.loads(exchange(connection, "GET", path)[1])
    assert first["AccessKeyId"] != second["AccessKeyId"]
    assert running.cloud.keys.find(first["AccessKeyId"]).expires_at < running.clock.now()

"""The public SDK ``aliyun-python-sdk-ecs``, unmodified, against the simulated ECS."""

from __future__ import annotations

import json
import logging
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from ecs_simulator import (
    DiskConfig,
    Fault,
    InstanceConfig,
    LifeTimes,
    Simulator,
    SimulatorConfig,
    Throttle,
)
from ecs_simulator.config import AccessKeyConfig

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the SDK's own, of its bundled urllib3 and six
    core = pytest.importorskip("aliyunsdkcore", reason="aliyun-python-sdk-core is not installed")
    from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
    from aliyunsdkcore.auth.credentials import StsTokenCredential
    from aliyunsdkcore.client import AcsClient
    from aliyunsdkcore.http import protocol_type
    from aliyunsdkecs.request.v20140526 import (
        AttachDiskRequest,
        CreateDiskRequest,
        CreateSnapshotGroupRequest,
        CreateSnapshotRequest,
        DeleteDiskRequest,
        DeleteSnapshotGroupRequest,
        DeleteSnapshotRequest,
        DescribeDisksRequest,
        DescribeInstancesRequest,
        DescribeSnapshotGroupsRequest,
        DescribeSnapshotsRequest,
        DetachDiskRequest,
        ListTagResourcesRequest,
        ModifySnapshotAttributeRequest,
        ResetDiskRequest,
        StartInstanceRequest,
        StopInstanceRequest,
        TagResourcesRequest,
        UntagResourcesRequest,
    )

pytestmark = pytest.mark.filterwarnings("ignore:::aliyunsdkcore")

KEY = AccessKeyConfig()
REGION = "cn-hangzhou"
WAIT_S = 20.0
OPENED: list[Any] = []
DISKS = ("d-bp1systemsystemsystem", "d-bp1datadatadatadata1")


@pytest.fixture(autouse=True)
def no_sdk_log(caplog: pytest.LogCaptureFixture) -> None:
    """Keep the SDK's log out of what is captured: it holds signed URLs."""
    caplog.set_level(logging.CRITICAL + 1, logger="aliyunsdkcore")


@pytest.fixture(autouse=True)
def connections() -> Iterator[None]:
    """Close the SDK's connections in the end; it does not itself."""
    yield
    while OPENED:
        OPENED.pop().session.close()


def config() -> SimulatorConfig:
    disks = tuple(DiskConfig(disk_id=disk_id, size_gib=20) for disk_id in DISKS)
    instance = InstanceConfig(instance_id="i-bp1instance1instance1", disks=disks)
    return SimulatorConfig(
        instances=(instance,),
        life=LifeTimes(cut_s=0.01, available_s=0.02, accomplished_s=0.05),
    )


@pytest.fixture
def cloud() -> Iterator[Simulator]:
    with Simulator(config()) as running:
        yield running


class Client:
    """An ``AcsClient`` whose endpoint is pinned the way the SDK offers."""

    def __init__(self, url: str, acs: Any) -> None:
        self._parts = urlsplit(url)
        self.acs = acs

    def call(self, module: Any, **values: Any) -> dict[str, Any]:
        """Send the request of a module, with its setters called, and return the answer."""
        name = module.__name__.rsplit(".", 1)[1]
        request = getattr(module, name)()
        request.set_accept_format("json")
        request.set_endpoint(self._parts.hostname)
        request.set_protocol_type(
            protocol_type.HTTPS if self._parts.scheme == "https" else protocol_type.HTTP
        )
        for key, value in values.items():
            getattr(request, f"set_{key}")(value)
        answer = json.loads(self.acs.do_action_with_exception(request))
        assert isinstance(answer, dict)
        return answer


def client_of(url: str, *, retry: bool = False, **keywords: Any) -> Client:
    if "credential" not in keywords:
        keywords = {"ak": KEY.access_key_id, "secret": KEY.access_key_secret} | keywords
    acs = AcsClient(
        region_id=REGION,
        port=urlsplit(url).port,
        auto_retry=retry,
        timeout=5,
        proxy={"http": None, "https": None},
        **keywords,
    )
    OPENED.append(acs)
    return Client(url, acs)


@pytest.fixture
def client(cloud: Simulator) -> Client:
    return client_of(cloud.ecs_url)


def wait_for(ask: Callable[[], Any]) -> Any:
    """Ask until the answer is true."""
    limit = time.monotonic() + WAIT_S
    while not (answer := ask()):
        assert time.monotonic() < limit, "waited too long"
        time.sleep(0.01)
    return answer


def snapshots(client: Client, **values: Any) -> list[dict[str, Any]]:
    found = client.call(DescribeSnapshotsRequest, **values)["Snapshots"]["Snapshot"]
    assert isinstance(found, list)
    return found


def accomplished(client: Client, *ids: str) -> list[dict[str, Any]]:
    def ask() -> list[dict[str, Any]]:
        found = snapshots(client, SnapshotIds=json.dumps(ids))
        done = [one for one in found if one["Status"] == "accomplished"]
        return done if len(done) == len(ids) else []

    result = wait_for(ask)
    assert isinstance(result, list)
    return result


def create(client: Client, disk_id: str = DISKS[1], **values: Any) -> str:
    return str(client.call(CreateSnapshotRequest, DiskId=disk_id, **values)["SnapshotId"])


def test_disks_and_instance_are_described(client: Client) -> None:
    disks = client.call(DescribeDisksRequest, InstanceId="i-bp1instance1instance1")
    instances = client.call(
        DescribeInstancesRequest, InstanceIds=json.dumps(["i-bp1instance1instance1"])
    )
    assert {disk["DiskId"] for disk in disks["Disks"]["Disk"]} == set(DISKS)
    assert instances["Instances"]["Instance"][0]["Status"] == "Running"


def test_snapshot_is_made_polled_and_deleted(client: Client) -> None:
    snapshot_id = create(client, SnapshotName="before-upgrade", RetentionDays=3)
    [made] = accomplished(client, snapshot_id)
    assert (made["SnapshotName"], made["Progress"], made["RetentionDays"]) == (
        "before-upgrade",
        "100%",
        3,
    )
    client.call(DeleteSnapshotRequest, SnapshotId=snapshot_id)
    wait_for(lambda: not snapshots(client, SnapshotIds=json.dumps([snapshot_id])))


def test_group_is_made_polled_and_deleted(client: Client) -> None:
    made = client.call(
        CreateSnapshotGroupRequest,
        InstanceId="i-bp1instance1instance1",
        DiskIds=list(DISKS),
        Name="both",
        Tags=[{"Key": "owner", "Value": "test"}],
    )
    group_id = made["SnapshotGroupId"]

    def ask() -> Any:
        answer = client.call(DescribeSnapshotGroupsRequest, SnapshotGroupIds=[group_id])
        [group] = answer["SnapshotGroups"]["SnapshotGroup"]
        return group if group["Status"] == "accomplished" else None

    group = wait_for(ask)
    members = group["Snapshots"]["Snapshot"]
    assert {member["SourceDiskId"] for member in members} == set(DISKS)
    client.call(DeleteSnapshotGroupRequest, SnapshotGroupId=group_id)
    wait_for(lambda: not snapshots(client))


def test_same_client_token_makes_one_snapshot(client: Client) -> None:
    first = create(client, ClientToken="token-1")
    assert create(client, ClientToken="token-1") == first


def test_lost_reply_and_the_sdk_s_own_retry_make_one_snapshot(cloud: Simulator) -> None:
    client = client_of(cloud.ecs_url, retry=True)
    cloud.inject(Fault(kind="lost_reply", action="CreateSnapshot"))
    create(client, ClientToken="token-1")
    assert len(snapshots(client)) == 1


def test_tags_are_put_on_listed_and_taken_off(client: Client) -> None:
    snapshot_id = create(client, Tags=[{"Key": "a", "Value": "1"}])
    on = {"ResourceIds": [snapshot_id], "ResourceType": "snapshot"}
    client.call(TagResourcesRequest, Tags=[{"Key": "b", "Value": "2"}], **on)
    client.call(UntagResourcesRequest, TagKeys=["a"], **on)
    listed = client.call(ListTagResourcesRequest, **on)["TagResources"]["TagResource"]
    assert [(tag["TagKey"], tag["TagValue"]) for tag in listed] == [("b", "2")]


def test_retention_is_changed_once_accomplished(client: Client) -> None:
    snapshot_id = create(client, RetentionDays=2)
    accomplished(client, snapshot_id)
    client.call(ModifySnapshotAttributeRequest, SnapshotId=snapshot_id, RetentionDays=9)
    assert snapshots(client)[0]["RetentionDays"] == 9


def test_disk_is_made_from_a_snapshot_attached_and_removed(client: Client) -> None:
    snapshot_id = create(client)
    accomplished(client, snapshot_id)
    disk_id = client.call(
        CreateDiskRequest,
        ZoneId="cn-hangzhou-i",
        SnapshotId=snapshot_id,
        DiskCategory="cloud_essd",
    )["DiskId"]

    def until(status: str) -> None:
        def ask() -> bool:
            answer = client.call(DescribeDisksRequest, DiskIds=json.dumps([disk_id]))
            return [disk["Status"] for disk in answer["Disks"]["Disk"]] == [status]

        wait_for(ask)

    until("Available")
    client.call(AttachDiskRequest, InstanceId="i-bp1instance1instance1", DiskId=disk_id)
    until("In_use")
    client.call(DetachDiskRequest, InstanceId="i-bp1instance1instance1", DiskId=disk_id)
    until("Available")
    client.call(DeleteDiskRequest, DiskId=disk_id)


def disk_status(client: Client, disk_id: str) -> str:
    answer = client.call(DescribeDisksRequest, DiskIds=json.dumps([disk_id]))
    return str(answer["Disks"]["Disk"][0]["Status"])


def test_disk_is_reset_while_the_instance_is_stopped(client: Client) -> None:
    snapshot_id = create(client)
    accomplished(client, snapshot_id)
    reset = {"DiskId": DISKS[1], "SnapshotId": snapshot_id}
    with pytest.raises(ServerException) as refused:
        client.call(ResetDiskRequest, **reset)
    client.call(StopInstanceRequest, InstanceId="i-bp1instance1instance1")

    def status() -> str:
        answer = client.call(DescribeInstancesRequest)
        return str(answer["Instances"]["Instance"][0]["Status"])

    wait_for(lambda: status() == "Stopped")
    client.call(ResetDiskRequest, **reset)
    wait_for(lambda: disk_status(client, DISKS[1]) == "In_use")
    client.call(StartInstanceRequest, InstanceId="i-bp1instance1instance1")
    wait_for(lambda: status() == "Running")
    assert refused.value.get_error_code() == "IncorrectInstanceStatus"


def test_wrong_secret_is_told_by_the_sdk_s_reading_of_the_message(cloud: Simulator) -> None:
    client = client_of(cloud.ecs_url, secret="wrong")
    with pytest.raises(ServerException) as caught:
        client.call(DescribeDisksRequest)
    assert caught.value.get_error_code() == "InvalidAccessKeySecret"


def test_unknown_key_is_a_server_exception(cloud: Simulator) -> None:
    client = client_of(cloud.ecs_url, ak="LTAIunknown")
    with pytest.raises(ServerException) as caught:
        client.call(DescribeDisksRequest)
    assert caught.value.get_error_code() == "InvalidAccessKeyId.NotFound"


def test_unknown_disk_is_a_server_exception_with_request_id(client: Client) -> None:
    with pytest.raises(ServerException) as caught:
        create(client, disk_id="d-bp1unknown")
    assert caught.value.get_error_code() == "InvalidDiskId.NotFound"
    assert (caught.value.get_http_status(), len(caught.value.get_request_id())) == (404, 36)


@pytest.mark.parametrize("kind", ["reset", "lost_reply"])
def test_broken_connection_is_a_client_exception(
    cloud: Simulator, client: Client, kind: str
) -> None:
    cloud.inject(Fault(kind=kind, action="DescribeDisks"))
    with pytest.raises(ClientException) as caught:
        client.call(DescribeDisksRequest)
    assert caught.value.get_error_code() == "SDK.HttpError"


def test_html_502_is_an_unknown_server_error(cloud: Simulator, client: Client) -> None:
    cloud.inject(Fault(kind="html_502", action="DescribeDisks"))
    with pytest.raises(ServerException) as caught:
        client.call(DescribeDisksRequest)
    assert (caught.value.get_error_code(), caught.value.get_http_status()) == (
        "SDK.UnknownServerError",
        502,
    )


def test_throttled_call_is_a_server_exception(cloud: Simulator, client: Client) -> None:
    cloud.set_throttles(Throttle(limit=0, code="Throttling.User", status=400))
    with pytest.raises(ServerException) as caught:
        client.call(DescribeDisksRequest)
    assert caught.value.get_error_code() == "Throttling.User"


def role_credential(cloud: Simulator) -> Any:
    keys = cloud.metadata.answer(
        "GET", "/latest/meta-data/ram/security-credentials/SnapSelfRole", {}
    )
    role = json.loads(keys.body)
    return StsTokenCredential(role["AccessKeyId"], role["AccessKeySecret"], role["SecurityToken"])


def test_role_credentials_are_accepted(cloud: Simulator) -> None:
    client = client_of(cloud.ecs_url, credential=role_credential(cloud))
    assert len(client.call(DescribeDisksRequest)["Disks"]["Disk"]) == 2


def test_expired_role_credentials_are_refused(cloud: Simulator) -> None:
    client = client_of(cloud.ecs_url, credential=role_credential(cloud))
    cloud.expire("sts")
    with pytest.raises(ServerException) as caught:
        client.call(DescribeDisksRequest)
    assert caught.value.get_error_code() == "InvalidSecurityToken.Expired"


@pytest.fixture
def tls_cloud(tmp_path: Path) -> Iterator[Simulator]:
    tls = pytest.importorskip("ecs_simulator.tls", reason="cryptography is not installed")
    with Simulator(config(), tls=tls.make_contexts(tmp_path / "tls", ["127.0.0.1"])) as running:
        yield running


def test_https_works_with_the_authority_given(tls_cloud: Simulator, tmp_path: Path) -> None:
    client = client_of(tls_cloud.ecs_tls_url, verify=str(tmp_path / "tls" / "ca.pem"))
    assert len(client.call(DescribeDisksRequest)["Disks"]["Disk"]) == 2


def test_https_works_with_the_sdk_s_environment_variable(
    tls_cloud: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALIBABA_CLOUD_CA_BUNDLE", str(tmp_path / "tls" / "ca.pem"))
    client = client_of(tls_cloud.ecs_tls_url)
    assert len(client.call(DescribeDisksRequest)["Disks"]["Disk"]) == 2


@pytest.mark.parametrize("kind", ["untrusted", "expired", "wrong_name"])
def test_bad_certificate_is_a_client_exception(
    tls_cloud: Simulator, tmp_path: Path, kind: str
) -> None:
    tls_cloud.set_certificate(kind)
    client = client_of(tls_cloud.ecs_tls_url, verify=str(tmp_path / "tls" / "ca.pem"))
    with pytest.raises(ClientException) as caught:
        client.call(DescribeDisksRequest)
    assert caught.value.get_error_code() == "SDK.HttpError"
    assert "SSLCertVerificationError" in str(caught.value)
    assert tls_cloud.calls == []

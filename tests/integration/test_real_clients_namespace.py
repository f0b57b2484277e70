"""Programs that know one address only, 100.100.100.200, in a network namespace where it is ours.

Each runs unmodified in a process of its own: the newer SDK with its credential chain in token mode,
the older SDK's role credential in plain mode, and cloud-init's data source.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from fixtures_simulator import SimulatorProcess, simulator_running

pytestmark = [pytest.mark.root, pytest.mark.own_root]
SYSTEM_PYTHON = "/usr/bin/python3"
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIsimulated tester"
ENTER = 'ip link set lo up && ip address add 100.100.100.200/32 dev lo && exec "$@"'
Describe = dict[str, Any]
Start = Callable[..., SimulatorProcess]


def needs(*modules: str) -> pytest.MarkDecorator:
    missing = [name for name in modules if find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return what starts a simulator at the metadata service's own address and port."""
    for name in ("unshare", "nsenter", "ip"):
        if shutil.which(name) is None:
            pytest.skip(f"needs the program {name}")
    if subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True).returncode:
        pytest.skip("network namespaces cannot be made here")
    opened = []

    def begin(**instance: Any) -> SimulatorProcess:
        described = {
            "instances": [
                {"hostname": "web-1", "public_keys": {"tester": PUBLIC_KEY}, **instance},
            ],
            "disks": [{"size_gib": 20}, {"size_gib": 40}],
        }
        (tmp_path / "cloud.json").write_text(json.dumps(described))
        running = simulator_running(
            *("--config", str(tmp_path / "cloud.json"), "--storage", "none"),
            *("--host", "100.100.100.200", "--metadata-port", "80"),
            wrapper=("unshare", "--net", "sh", "-c", ENTER, "sh"),
        )
        opened.append(running)
        return running.__enter__()

    try:
        yield begin
    finally:
        for running in opened:
            running.__exit__(None, None, None)


def run_inside(
    cloud: SimulatorProcess,
    program: str,
    *arguments: str,
    python: str = sys.executable,
    prefix: tuple[str, ...] = (),
    env: dict[str, str] | None = None,
) -> Describe:
    """Run a Python program beside the simulator and return the JSON object it ends with."""
    namespace = ("nsenter", f"--net=/proc/{cloud.pid}/ns/net", "--")
    clean = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8", **(env or {})}
    done = subprocess.run(
        [*namespace, *prefix, python, "-W", "ignore", "-c", textwrap.dedent(program), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=clean,
        cwd="/",
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(result, dict)
    return result


NEWER_SDK = """
    import json, os, sys, time
    from alibabacloud_credentials.client import Client as Credential
    from alibabacloud_credentials.models import Config as CredentialConfig
    from alibabacloud_ecs20140526.client import Client
    from alibabacloud_ecs20140526 import models
    from alibabacloud_tea_openapi.models import Config

    address, instance_id = sys.argv[1:3]
    credential = Credential(CredentialConfig(type="ecs_ram_role", disable_imds_v1=True))
    client = Client(Config(credential=credential, region_id="cn-hangzhou", endpoint=address,
                           protocol="http"))
    disks = client.describe_disks(models.DescribeDisksRequest(
        region_id="cn-hangzhou", instance_id=instance_id)).body.disks.disk
    group = client.create_snapshot_group(models.CreateSnapshotGroupRequest(
        region_id="cn-hangzhou", instance_id=instance_id, name="both",
        disk_id=[disk.disk_id for disk in disks],
        tag=[models.CreateSnapshotGroupRequestTag(key="k", value="v v*~")],
    )).body.snapshot_group_id
    for _ in range(500):
        found = client.describe_snapshot_groups(models.DescribeSnapshotGroupsRequest(
            region_id="cn-hangzhou", snapshot_group_id=[group],
        )).body.snapshot_groups.snapshot_group[0]
        if found.status == "accomplished":
            break
        time.sleep(0.02)
    deleted = client.delete_snapshot_group(models.DeleteSnapshotGroupRequest(
        region_id="cn-hangzhou", snapshot_group_id=group)).body.operation_progress_set
    single = client.create_snapshot(models.CreateSnapshotRequest(
        disk_id=disks[0].disk_id, snapshot_name="single", retention_days=2)).body.snapshot_id
    try:
        client.delete_snapshot(models.DeleteSnapshotRequest(snapshot_id="s-unfit", force=True))
        client.create_snapshot(models.CreateSnapshotRequest(disk_id="d-unknown"))
        code = ""
    except Exception as error:
        code = error.code
    left = client.describe_snapshots(models.DescribeSnapshotsRequest(region_id="cn-hangzhou"))
    print(json.dumps({
        "disks": len(disks), "status": found.status, "members": len(found.snapshots.snapshot),
        "code": code, "single": single,
        "left": [one.snapshot_id for one in left.body.snapshots.snapshot],
        "outcomes": [one.operation_status for one in deleted.operation_progress],
        "provider": credential.get_credential().provider_name,
    }))
    sys.stdout.flush()
    os._exit(0)  # its refresh thread would wait
"""


@needs("alibabacloud_ecs20140526", "alibabacloud_credentials", "alibabacloud_tea_openapi")
@pytest.mark.parametrize("tokens", ["required", "optional"])
def test_newer_sdk_with_role_credentials_in_token_mode(start: Start, tokens: str) -> None:
    cloud = start(http_tokens=tokens)
    result = run_inside(cloud, NEWER_SDK, urlsplit(cloud.ecs_url).netloc, cloud.instance_id)
    assert (result["disks"], result["members"], result["status"]) == (2, 2, "accomplished")
    assert result["code"] == "InvalidDiskId.NotFound"
    assert (result["outcomes"], result["provider"]) == (["Success"] * 2, "ecs_ram_role")
    assert result["left"] == [result["single"]]


OLDER_SDK = """
    import json, sys
    from aliyunsdkcore.auth.credentials import EcsRamRoleCredential
    from aliyunsdkcore.client import AcsClient
    from aliyunsdkecs.request.v20140526.DescribeDisksRequest import DescribeDisksRequest

    host, port = sys.argv[1:3]
    client = AcsClient(region_id="cn-hangzhou", credential=EcsRamRoleCredential("SnapSelfRole"),
                       port=int(port), auto_retry=False)
    request = DescribeDisksRequest()
    request.set_endpoint(host)
    try:
        answer = json.loads(client.do_action_with_exception(request))
        print(json.dumps({"disks": len(answer["Disks"]["Disk"])}))
    except Exception as error:
        print(json.dumps({"error": type(error).__name__, "status": getattr(error, "code", None)}))
"""


@needs("aliyunsdkcore", "aliyunsdkecs")
def test_older_sdk_s_role_credential_works_in_plain_mode(start: Start) -> None:
    cloud = start(http_tokens="optional")
    address = urlsplit(cloud.ecs_url)
    result = run_inside(cloud, OLDER_SDK, str(address.hostname), str(address.port))
    assert result == {"disks": 2}


@needs("aliyunsdkcore", "aliyunsdkecs")
def test_older_sdk_s_role_credential_fails_where_tokens_are_required(start: Start) -> None:
    cloud = start(http_tokens="required")
    address = urlsplit(cloud.ecs_url)
    result = run_inside(cloud, OLDER_SDK, str(address.hostname), str(address.port))
    assert result["status"] == 403


# cloud-init looks for the product name in /sys/class/dmi/id, or else asks dmidecode; in what
# systemd-detect-virt calls a container it does neither.
CLOUD_INIT = """
    import json, logging, sys
    from cloudinit import distros, helpers, sources, util
    from cloudinit.sources import DataSourceAliYun

    logging.basicConfig(level=logging.WARNING)
    folder = sys.argv[1]
    paths = helpers.Paths({"cloud_dir": folder + "/cloud", "run_dir": folder + "/run"})
    config = {"datasource_list": ["AliYun"],
              "datasource": {"AliYun": {"timeout": 5, "max_wait": 10}}}
    distro = distros.fetch("debian")("debian", config, paths)
    source = DataSourceAliYun.DataSourceAliYun(config, distro, paths)
    found = source.get_data()
    print(json.dumps({
        "found": found, "instance_id": source.get_instance_id(),
        "hostname": source.get_hostname().hostname
        if hasattr(source.get_hostname(), "hostname") else source.get_hostname(),
        "keys": source.get_public_ssh_keys(), "userdata": str(source.get_userdata_raw() or ""),
        "cloud": source.cloud_name, "metadata": source.metadata,
    }, default=str))
"""
HAS_CLOUD_INIT = Path("/usr/lib/python3/dist-packages/cloudinit").is_dir()


def pretend_to_be_ecs(folder: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return a command prefix and variables under which the machine's product is ECS."""
    programs = folder / "bin"
    programs.mkdir()
    answers = {"dmidecode": "echo 'Alibaba Cloud ECS'", "systemd-detect-virt": "exit 1"}
    for name, answer in answers.items():
        (programs / name).write_text(f"#!/bin/sh\n{answer}\n")
        (programs / name).chmod(0o755)
    env = {"PATH": f"{programs}:{os.environ['PATH']}"}
    real = Path("/sys/class/dmi/id/product_name")
    if not real.exists():
        return (), env
    (folder / "product_name").write_text("Alibaba Cloud ECS\n")
    bind = f'mount --bind {folder}/product_name {real} && exec "$@"'
    return ("unshare", "--mount", "sh", "-c", bind, "sh"), env


@pytest.fixture
def crawl(start: Start, tmp_path: Path) -> Callable[..., tuple[SimulatorProcess, Describe]]:
    if not HAS_CLOUD_INIT:
        pytest.skip("cloud-init is not installed (Debian package cloud-init)")

    def run(**instance: Any) -> tuple[SimulatorProcess, Describe]:
        cloud = start(**instance)
        prefix, env = pretend_to_be_ecs(tmp_path)
        found = run_inside(
            cloud, CLOUD_INIT, str(tmp_path), python=SYSTEM_PYTHON, prefix=prefix, env=env
        )
        return cloud, found

    return run


def test_cloud_init_finds_the_instance(
    crawl: Callable[..., tuple[SimulatorProcess, Describe]],
) -> None:
    cloud, found = crawl()
    assert (found["found"], found["cloud"]) == (True, "aliyun")
    assert found["instance_id"] == cloud.instance_id
    assert (found["metadata"]["region-id"], found["metadata"]["zone-id"]) == (
        "cn-hangzhou",
        "cn-hangzhou-i",
    )
    assert (found["hostname"], found["keys"]) == ("web-1", [PUBLIC_KEY])


def test_cloud_init_reads_the_user_data(
    crawl: Callable[..., tuple[SimulatorProcess, Describe]],
) -> None:
    _, found = crawl(user_data="#!/bin/sh\necho hello\n")
    assert "echo hello" in found["userdata"]


def test_cloud_init_crawls_no_role_credentials(
    crawl: Callable[..., tuple[SimulatorProcess, Describe]],
) -> None:
    _, found = crawl()
    assert "AccessKeySecret" not in json.dumps(found["metadata"])

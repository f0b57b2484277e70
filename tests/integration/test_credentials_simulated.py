"""The credential chain against the simulated metadata service and STS over real sockets."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ecs_simulator import (
    AccessKeyConfig,
    DiskConfig,
    InstanceConfig,
    RoleConfig,
    Simulator,
    SimulatorConfig,
)
from fakes.loopback import serving
from snap_self.cloud.client import EcsClient
from snap_self.cloud.credentials.chain import default_provider
from snap_self.cloud.credentials.sources import Surroundings
from snap_self.cloud.endpoint import parse_override
from snap_self.cloud.rpc import SdkRpc
from snap_self.errors import (
    CredentialsRefused,
    CredentialsUnusable,
    NoCredentials,
    PermissionRefused,
    SnapSelfError,
)
from snap_self.instance.metadata import MetadataClient
from snap_self.model.ids import DiskId, RegionId
from snap_self.model.snapshots import SnapshotOrder
from snap_self.ports import HttpRequest, HttpResponse
from snap_self.system.clock import SystemClock
from snap_self.system.commands import SystemCommands
from snap_self.system.net.http import RequestsTransport
from snap_self.system.textfile import read_text_file

KEY_ID = "LTAI5tSimulatedUserKey01"
KEY_SECRET = "simulatedUserSecretForTests001"
OIDC_TOKEN = "eyJhbGciOiJSUzI1NiJ9.simulated"
ARN = "acs:ram::1234567890123456:role/"
DENY: dict[str, Any] = {"Version": "1", "Statement": []}
CONFIG = SimulatorConfig(
    instances=(InstanceConfig(),),
    keys=(
        AccessKeyConfig(access_key_id=KEY_ID, access_key_secret=KEY_SECRET),
        AccessKeyConfig(
            access_key_id="LTAI5tWithoutRights1",
            access_key_secret="s",
            user="poor",
            policies=(DENY,),
        ),
        AccessKeyConfig(
            access_key_id="LTAI5tSwitchedOff001", access_key_secret="s", user="off", active=False
        ),
    ),
    roles=(RoleConfig(), RoleConfig(name="Second"), RoleConfig(name="Guarded", external_id="ext")),
    oidc_tokens={OIDC_TOKEN: "provider"},
)


@pytest.fixture(scope="module")
def cloud() -> Iterator[Simulator]:
    with Simulator(CONFIG) as running:
        yield running


@pytest.fixture
def transport() -> Iterator[RequestsTransport]:
    made = RequestsTransport()
    yield made
    made.close()


@pytest.fixture
def around(cloud: Simulator, transport: RequestsTransport, tmp_path: Path) -> Surroundings:
    return around_of(cloud, transport, tmp_path)


def around_of(
    cloud: Simulator, transport: RequestsTransport, home: Path, **env: str
) -> Surroundings:
    clock = SystemClock()
    return Surroundings(
        env=env,
        home=str(home),
        read=read_text_file,
        transport=transport,
        commands=SystemCommands(),
        clock=clock,
        metadata=MetadataClient(transport, clock, base_url=cloud.metadata_url, plain_allowed=False),
        sts_endpoint=cloud.ecs_url,
    )


def write_profile(home: str, *profiles: dict[str, Any]) -> None:
    folder = Path(home) / ".aliyun"
    folder.mkdir()
    named = [{"name": "default", **profile} for profile in profiles]
    path = folder / "config.json"
    path.write_text(json.dumps({"current": "default", "profiles": named}))
    path.chmod(0o600)


def said(error: SnapSelfError) -> str:
    return f"{error!r}{error.message}{error.hint}{error.details}"


def test_role_when_bound_then_its_keys_are_those_the_cloud_knows(
    around: Surroundings, cloud: Simulator
) -> None:
    found = default_provider(around).get()
    assert found.source == "instance role SnapSelfRole"
    assert {found.access_key_secret, found.security_token} <= cloud.secrets()


def test_role_when_rotated_then_a_forced_renewal_gets_the_new_keys(
    around: Surroundings, cloud: Simulator
) -> None:
    provider = default_provider(around)
    old = provider.get()
    cloud.metadata.rotate_role()
    assert provider.get().access_key_id == old.access_key_id
    assert provider.get(force=True).access_key_id != old.access_key_id


def test_role_when_replaced_while_a_client_works_then_its_next_call_is_the_new_role_s(
    transport: RequestsTransport, tmp_path: Path
) -> None:
    poor = RoleConfig(policies=(DENY,))
    disk = DiskConfig(disk_id="d-bp1rolereplaced000000")
    config = SimulatorConfig(
        instances=(InstanceConfig(disks=(disk,)),), roles=(poor, RoleConfig(name="Second"))
    )
    order = SnapshotOrder(
        disk_ids=(DiskId(disk.disk_id),),
        grouped=False,
        name="before-upgrade",
        description="",
        tags={},
        retention_days=1,
        client_token="token-1",
    )
    with Simulator(config) as cloud:
        provider = default_provider(around_of(cloud, transport, tmp_path))
        with closing(SdkRpc(parse_override(cloud.ecs_url), region="cn-hangzhou")) as rpc:
            client = EcsClient(
                rpc,
                region=RegionId("cn-hangzhou"),
                credentials=lambda force: provider.get(force=force),
                clock=SystemClock(),
                random=lambda: 0.5,
            )
            with pytest.raises(PermissionRefused):
                client.create_snapshot(order, deadline_s=10)
            cloud.set_instance(role="Second")
            made = client.create_snapshot(order, deadline_s=10)
        assert made in cloud.state.snapshots
        assert provider.source == "instance role Second"


def test_role_when_none_is_bound_then_the_chain_ends_without_keys(
    transport: RequestsTransport, tmp_path: Path
) -> None:
    config = SimulatorConfig(instances=(InstanceConfig(role=""),))
    with Simulator(config) as bare, pytest.raises(NoCredentials) as caught:
        default_provider(around_of(bare, transport, tmp_path)).get()
    assert "no RAM role is bound to this instance" in " ".join(caught.value.details)


def test_assume_role_when_signed_by_us_then_the_simulated_sts_accepts(
    around: Surroundings, cloud: Simulator
) -> None:
    write_profile(
        around.home,
        {
            "mode": "RamRoleArn",
            "access_key_id": KEY_ID,
            "access_key_secret": KEY_SECRET,
            "ram_role_arn": f"{ARN}Guarded",
            "ram_session_name": "night",
            "external_id": "ext",
            "policy": '{"Version": "1", "Statement": [] , "ü*~ +/": 1}',
        },
    )
    provider = default_provider(around)
    assert provider.get().security_token in cloud.secrets()
    assert dict(provider.trail)["~/.aliyun/config.json"].startswith(
        "profile default, mode RamRoleArn: used, key …"
    )


def test_assume_role_when_chained_from_the_instance_role_then_works(
    around: Surroundings,
) -> None:
    write_profile(
        around.home,
        {"mode": "ChainableRamRoleArn", "source_profile": "base", "ram_role_arn": f"{ARN}Second"},
        {"name": "base", "mode": "EcsRamRole"},
    )
    assert default_provider(around).get().source == "config.json profile default"


@pytest.mark.parametrize(
    ("key_id", "secret", "role", "kind"),
    [
        (KEY_ID, "wrong", "Second", CredentialsRefused),
        ("LTAI5tUnknownKey0001", KEY_SECRET, "Second", CredentialsRefused),
        ("LTAI5tSwitchedOff001", "s", "Second", CredentialsRefused),
        ("LTAI5tWithoutRights1", "s", "Second", PermissionRefused),
        (KEY_ID, KEY_SECRET, "Guarded", PermissionRefused),
        (KEY_ID, KEY_SECRET, "Nobody", CredentialsUnusable),
    ],
    ids=["wrong secret", "unknown", "inactive", "no rights", "no external id", "no role"],
)
def test_assume_role_when_refused_then_the_error_says_which_kind(
    around: Surroundings, key_id: str, secret: str, role: str, kind: type[SnapSelfError]
) -> None:
    write_profile(
        around.home,
        {
            "mode": "RamRoleArn",
            "access_key_id": key_id,
            "access_key_secret": secret,
            "ram_role_arn": f"{ARN}{role}",
        },
    )
    with pytest.raises(kind) as caught:
        default_provider(around).get()
    assert type(caught.value) is kind
    assert key_id not in said(caught.value)
    assert KEY_SECRET not in said(caught.value)


def test_oidc_when_the_token_is_known_then_gives_the_roles_keys(
    cloud: Simulator, transport: RequestsTransport, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(f"{OIDC_TOKEN}\n")
    around = around_of(
        cloud,
        transport,
        tmp_path,
        ALIBABA_CLOUD_ROLE_ARN=f"{ARN}Second",
        ALIBABA_CLOUD_OIDC_PROVIDER_ARN="acs:ram::1234567890123456:oidc-provider/provider",
        ALIBABA_CLOUD_OIDC_TOKEN_FILE=str(token),
    )
    assert default_provider(around).get().source == "role Second"


def test_oidc_when_the_token_is_unknown_then_stops_without_showing_it(
    cloud: Simulator, transport: RequestsTransport, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("eyJforeign")
    around = around_of(
        cloud,
        transport,
        tmp_path,
        ALIBABA_CLOUD_ROLE_ARN=f"{ARN}Second",
        ALIBABA_CLOUD_OIDC_PROVIDER_ARN="acs:ram::1234567890123456:oidc-provider/provider",
        ALIBABA_CLOUD_OIDC_TOKEN_FILE=str(token),
    )
    with pytest.raises(CredentialsUnusable, match=r"AuthenticationFail\.OIDCToken") as caught:
        default_provider(around).get()
    assert "eyJforeign" not in said(caught.value)


def test_external_when_a_real_program_prints_keys_then_they_are_used(
    around: Surroundings, tmp_path: Path
) -> None:
    program = tmp_path / "get keys"
    keys = {"mode": "AK", "access_key_id": KEY_ID, "access_key_secret": KEY_SECRET}
    program.write_text(f"#!/bin/sh\necho '{json.dumps(keys)}'\n")
    program.chmod(0o700)
    write_profile(around.home, {"mode": "External", "process_command": f"'{program}'"})
    assert default_provider(around).get().access_key_secret == KEY_SECRET


def test_key_uri_when_an_agent_on_loopback_answers_then_its_keys_are_used(
    cloud: Simulator, transport: RequestsTransport, tmp_path: Path
) -> None:
    def relay(request: HttpRequest) -> HttpResponse:
        found = cloud.metadata.answer(
            "GET", "/latest/meta-data/ram/security-credentials/SnapSelfRole", {}
        )
        return HttpResponse(status=found.status, headers={}, body=found.body)

    with serving(relay) as server:
        around = around_of(
            cloud,
            transport,
            tmp_path,
            ALIBABA_CLOUD_ECS_METADATA_DISABLED="true",
            ALIBABA_CLOUD_CREDENTIALS_URI=f"{server.url}/keys?token=x",
        )
        assert default_provider(around).get().source == "ALIBABA_CLOUD_CREDENTIALS_URI"

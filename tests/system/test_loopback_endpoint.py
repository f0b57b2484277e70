"""Plain HTTP on loopback: nothing is sent to what another user listens with."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import closing

import pytest
from listeners import NOBODY, listening

from agent_runner import AgentRunner
from ecs_simulator import Simulator
from fakes.rpc import KEYS
from snap_self.cloud.endpoint import parse_override
from snap_self.cloud.rpc import SdkRpc
from snap_self.model.endpoint import NoWay
from snap_self.ports import HttpFailed, HttpRequest, RpcFailed
from snap_self.system.applications.peers import PeerRefused, check_peer
from snap_self.system.net.http import RequestsTransport

pytestmark = pytest.mark.root

# Where another user listens, and the address that is asked.
PLACES = [
    ("127.0.0.1", "127.0.0.1"),
    ("127.0.0.2", "127.0.0.2"),
    ("0.0.0.0", "127.0.0.1"),
    ("::1", "[::1]"),
    ("::", "[::1]"),
    ("::", "127.0.0.1"),
    ("::", "[::ffff:127.0.0.1]"),
]
SAID = f"is served by user id {NOBODY}, not by root"


def by_requests(url: str) -> Exception:
    transport = RequestsTransport()
    with closing(transport), pytest.raises(HttpFailed) as caught:
        transport.send(HttpRequest(method="PUT", url=f"{url}/latest/api/token", body=b"secret"))
    assert caught.value.lasting
    assert "ss -ltnp" in caught.value.hint
    return caught.value


def by_sdk(url: str) -> Exception:
    with (
        closing(SdkRpc(parse_override(url), region="cn-hangzhou")) as rpc,
        pytest.raises(RpcFailed) as caught,
    ):
        rpc.call("DescribeDisks", {}, timeout_s=10, credentials=KEYS)
    assert (caught.value.lasting, caught.value.maybe_done) == (True, False)
    assert caught.value.way is NoWay.OTHER_USER
    return caught.value


@pytest.mark.parametrize("ask", [by_requests, by_sdk])
@pytest.mark.parametrize(("host", "address"), PLACES)
def test_request_when_another_user_listens_then_no_byte_of_it_is_sent(
    host: str, address: str, ask: Callable[[str], Exception]
) -> None:
    with listening(host) as other:
        error = ask(f"http://{address}:{other.port}")
        assert set(other.received()) <= {""}
    assert SAID in str(error)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::"])
def test_connection_when_root_listens_then_is_accepted(host: str) -> None:
    with listening(host, wrapper=()) as own:
        asked = "127.0.0.1" if host == "::" else host
        with socket.create_connection((asked, own.port), 5) as connection:
            check_peer(connection)


def test_connection_when_root_takes_the_port_after_it_then_is_refused_still() -> None:
    with listening("127.0.0.1", manner="once") as other:
        connection = socket.create_connection(("127.0.0.1", other.port), 5)
        other.wait_until_accepted()
        with (
            closing(connection),
            socket.create_server(("127.0.0.1", other.port)),
            pytest.raises(PeerRefused, match=SAID),
        ):
            check_peer(connection)


def test_connection_when_another_user_takes_the_port_after_it_then_stays_accepted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as own:
        port = own.getsockname()[1]
        connection = socket.create_connection(("127.0.0.1", port), 5)
        accepted, _ = own.accept()
    with closing(connection), closing(accepted), listening("127.0.0.1", port=port):
        check_peer(connection)


def test_connection_when_nobody_accepts_it_then_is_not_taken_for_roots() -> None:
    with listening("127.0.0.1", manner="never") as other:
        connection = socket.create_connection(("127.0.0.1", other.port), 0.3)
        with closing(connection), pytest.raises(PeerRefused, match="accepts no connection") as it:
            check_peer(connection)
    assert not it.value.lasting


def test_metadata_when_another_user_answers_then_is_told_with_status_four(
    agent: AgentRunner, simulator: Simulator
) -> None:
    with listening("127.0.0.1") as other:
        runner = agent.against(simulator).with_env(
            SNAP_SELF_METADATA_URL=f"http://127.0.0.1:{other.port}"
        )
        result = runner.run("list", "--json")
        assert set(other.received()) <= {""}
    assert (result.status, result.json["error"]["code"]) == (4, "metadata-unreachable")
    assert SAID in result.json["error"]["message"]
    assert "ss -ltnp" in result.json["error"]["hint"]


def test_api_when_another_user_answers_then_is_told_with_status_ten(
    agent: AgentRunner, simulator: Simulator
) -> None:
    with listening("::") as other:
        runner = agent.against(simulator).with_env(
            SNAP_SELF_ECS_ENDPOINT=f"http://127.0.0.1:{other.port}"
        )
        result = runner.run("list", "--json")
        assert set(other.received()) <= {""}
    assert (result.status, result.json["error"]["code"]) == (10, "cloud-unreachable")
    assert SAID in result.json["error"]["message"]


@pytest.mark.parametrize("variable", ["ALIBABA_CLOUD_CREDENTIALS_URI", "SNAP_SELF_STS"])
def test_keys_when_another_user_would_give_them_then_are_not_asked_for(
    agent: AgentRunner, simulator: Simulator, variable: str
) -> None:
    with listening("127.0.0.1") as other:
        url = f"http://127.0.0.1:{other.port}"
        env = {"ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true", variable: f"{url}/keys"}
        if variable == "SNAP_SELF_STS":
            (agent.state / "token").write_text("token")
            env = {
                "SNAP_SELF_NETWORK_STS_ENDPOINT": url,
                "ALIBABA_CLOUD_ROLE_ARN": "acs:ram::1:role/x",
                "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": "acs:ram::1:oidc-provider/x",
                "ALIBABA_CLOUD_OIDC_TOKEN_FILE": str(agent.state / "token"),
            }
        result = agent.against(simulator).with_env(**env).run("list", "--json")
        assert set(other.received()) <= {""}
    assert (result.status, result.json["error"]["code"]) == (10, "cloud-unreachable")
    assert SAID in result.json["error"]["message"]

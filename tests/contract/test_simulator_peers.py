"""Who may ask a simulator: its own user and root. Real connections of other users are refused."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ecs_simulator import Simulator
from ecs_simulator.peers import Peers, in_tables, users_of
from ecs_simulator.servers import HttpIn, HttpOut, Listener, Service
from ecs_simulator.tls import make_contexts
from fakes.simulated_cloud import TWO_DISKS
from fixtures_simulator import simulator_running
from other_user import NOBODY, run_as

pytestmark = pytest.mark.root
ROLE = "/latest/meta-data/ram/security-credentials/SnapSelfRole"
# Each way to put a request; it tells what came back of it.
ASK = """
    import json, socket, struct, sys
    way, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    request = f"GET {path} HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n".encode()
    family, address = socket.AF_INET, "127.0.0.1"
    if way == "mapped":
        family, address = socket.AF_INET6, "::ffff:127.0.0.1"
    answers = []
    for _ in range(int(sys.argv[4])):
        with socket.socket(family) as connection:
            connection.connect((address, port))
            if way == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            answers.append("")
            try:
                connection.sendall(request)
                if way in ("close", "reset"):
                    continue
                if way == "half":
                    connection.shutdown(socket.SHUT_WR)
                while piece := connection.recv(65536):
                    answers[-1] += piece.decode("latin-1")
            except OSError:
                pass
    print(json.dumps(answers))
"""
# A connection that is closed with a request unread may be reset before the refusal is read.
REFUSED = {"403", ""}
HANDSHAKE = """
    import json, socket, ssl, sys
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as plain:
            with context.wrap_socket(plain) as connection:
                print(json.dumps(connection.version()))
    except OSError as error:
        print(json.dumps(type(error).__name__))
"""

CONNECT = """
    import json, os, socket, sys
    os.chdir(os.path.dirname(sys.argv[1]))
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.path.basename(sys.argv[1]))
        try:
            connection.sendall(b"GET /_simulator/ HTTP/1.1\\r\\n\\r\\n")
        except OSError:
            pass
        print(json.dumps(connection.recv(4096).decode()))
"""


def port_of(url: str) -> str:
    return str(urlsplit(url).port)


def statuses(answers: list[str]) -> set[str]:
    return {answer[9:12] for answer in answers}


@pytest.fixture
def running() -> Iterator[Simulator]:
    with Simulator(TWO_DISKS) as simulator:
        yield simulator


@pytest.mark.parametrize("way", ["plain", "mapped", "half"])
def test_other_user_gets_no_answer_but_a_refusal(running: Simulator, way: str) -> None:
    for url, path in ((running.metadata_url, ROLE), (running.ecs_url, "/?Action=DescribeDisks")):
        answers = run_as(ASK, way, port_of(url), path, "3")
        assert statuses(answers) <= REFUSED
        assert "AccessKey" not in "".join(answers)
    assert (running.calls, running.metadata_calls) == ([], [])


@pytest.mark.parametrize("way", ["close", "reset"])
def test_request_of_another_user_who_has_gone_already_is_not_acted_upon(
    running: Simulator, way: str
) -> None:
    # The kernel lists what a process has left as root's.
    for url, path in ((running.metadata_url, ROLE), (running.ecs_url, "/?Action=DescribeDisks")):
        run_as(ASK, way, port_of(url), path, "300")
    with closing(HTTPConnection("127.0.0.1", int(port_of(running.metadata_url)))) as connection:
        connection.request("GET", "/latest/meta-data/instance-id")
        assert connection.getresponse().status == 200
    assert [call.action for call in running.metadata_calls] == ["GET /latest/meta-data/instance-id"]
    assert running.calls == []


def test_other_user_gets_no_handshake(tmp_path: Path) -> None:
    contexts = make_contexts(tmp_path, ["127.0.0.1"])
    with Simulator(TWO_DISKS, tls=contexts) as simulator:
        told = run_as(HANDSHAKE, port_of(simulator.ecs_tls_url))
        own = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        port = int(port_of(simulator.ecs_tls_url))
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            own.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
        ):
            assert secured.version()
    assert not str(told).startswith("TLS")


@pytest.mark.parametrize(
    ("uid", "expected"), [(NOBODY, {"200"}), (0, {"200"}), (NOBODY - 1, REFUSED)]
)
def test_owner_and_root_are_answered_and_a_third_user_is_not(uid: int, expected: set[str]) -> None:
    owned_by_nobody = Peers(uids=frozenset((0, NOBODY)))
    service = Service(
        answer=lambda _: HttpOut(status=200, body=b"{}"), admits=owned_by_nobody.admits
    )
    listener = Listener(("127.0.0.1", 0), service)
    listener.start()
    try:
        for way in ("plain", "mapped", "half"):
            answers = run_as(ASK, way, str(listener.port), "/", "2", uid=uid)
            assert statuses(answers) <= expected
    finally:
        listener.stop()


def test_socket_of_the_control_service_asks_the_kernel_who_connects() -> None:
    seen: list[HttpIn] = []

    def answer(request: HttpIn) -> HttpOut:
        seen.append(request)
        return HttpOut(status=200, body=b"{}")

    # Everybody can enter its folder here, which is not so where a simulator makes it.
    with tempfile.TemporaryDirectory(prefix="long" * 25) as folder:
        place = Path(folder) / "control.sock"
        place.parent.chmod(0o755)
        listener = Listener(place, Service(answer=answer, admits=Peers().admits))
        listener.start()
        try:
            place.chmod(0o666)
            told = run_as(CONNECT, str(place))
        finally:
            listener.stop()
    assert told.startswith("HTTP/1.1 403 ")
    assert seen == []


NAMESPACES = """
    ip link add sim0 type veth peer name out0 netns {out}
    ip address add 192.0.2.1/24 dev sim0 && ip link set sim0 up
    nsenter --net=/proc/{out}/ns/net sh -c \
        'ip address add 192.0.2.2/24 dev out0 && ip link set out0 up && ip link set lo up'
"""


@pytest.mark.parametrize(("options", "expected"), [(("192.0.2.0/24",), {"200"}), ((), REFUSED)])
def test_other_machine_is_answered_only_where_the_simulator_was_told_so(
    options: tuple[str, ...], expected: set[str]
) -> None:
    for name in ("ip", "nsenter", "unshare"):
        if shutil.which(name) is None:
            pytest.skip(f"needs the program {name}")
    # The other machine is a network namespace, joined to the simulator's own by a pair of devices.
    argv = ["unshare", "--net", "sh", "-c", "echo; exec sleep 100"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline()
        enter = f'ip link set lo up; {NAMESPACES.format(out=other.pid)}\nexec "$@"'
        trusted = [word for network in options for word in ("--trust-peers-from", network)]
        try:
            with simulator_running(
                *("--storage", "none", "--no-https", "--host", "192.0.2.1", *trusted),
                wrapper=("unshare", "--net", "sh", "-ec", enter, "sh"),
            ) as cloud:
                ask = ASK.replace('"127.0.0.1"', '"192.0.2.1"')
                words = ("plain", port_of(cloud.metadata_url), "/latest/meta-data/instance-id", "2")
                outside = ("nsenter", f"--net=/proc/{other.pid}/ns/net", "--")
                inside = ("nsenter", f"--net=/proc/{cloud.pid}/ns/net", "--")
                from_outside = run_as(ask, *words, inside=outside)
                of_another_user_here = run_as(ask, *words, inside=inside)
                of_root_here = run_as(ask, *words, inside=inside, uid=0)
        finally:
            other.kill()
    assert statuses(from_outside) <= expected
    assert statuses(of_another_user_here) <= REFUSED
    assert statuses(of_root_here) == {"200"}


@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1"])
def test_kernels_answer_and_its_tables_name_the_same_user(running: Simulator, address: str) -> None:
    ours = (ip_address("127.0.0.1"), int(port_of(running.ecs_url)))
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as connection:
        connection.connect((address, ours[1]))
        theirs = (ours[0], connection.getsockname()[1])
        assert users_of(theirs, ours) == in_tables(theirs, ours) == {os.geteuid()}
    assert users_of(theirs, ours) == in_tables(theirs, ours) == frozenset()
    nowhere = (ours[0], 1)
    assert users_of(nowhere, ours) == in_tables(nowhere, ours) == frozenset()

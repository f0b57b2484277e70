"""People are told by a process of its own: real servers that check, real programs, real files."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from agent_runner import CHECKOUT, AgentResult, AgentRunner
from authorities import TestAuthority
from ecs_simulator.simulator import Simulator
from fakes.chat_robots import ChatRobot, DingTalk, Feishu, WeCom
from fakes.loopback import LoopbackServer, serving, speaking
from json_schemas import hold
from recorded_job import made_up_options
from snap_self.ports import HttpRequest, HttpResponse

# How a connection ends that the other side gives up is the kernel's choice.
BROKEN = ("broke off", "Connection reset by peer")
pytestmark = [pytest.mark.root, pytest.mark.own_root]
TOKEN, SECRET = "t0ken5f2c", "SECs3cret77"
LIMIT_S = 90.0
ROBOTS: Mapping[str, Callable[[], ChatRobot]] = {
    "dingtalk": lambda: DingTalk(token=TOKEN, secret=SECRET),
    "feishu": lambda: Feishu(token=TOKEN, secret=SECRET),
    "wecom": lambda: WeCom(token=TOKEN),
}
# A /dev with a log of the test's own, a /run and an /etc/snap-self that nobody else sees.
INSIDE = """set -e
for each in null full zero random urandom; do
    : >"$0/dev/$each"; mount --bind "/dev/$each" "$0/dev/$each"
done
mount --bind "$0/dev" /dev
mount --bind "$0/run" /run
mount -t overlay -o "lowerdir=$0/etc:/etc" overlay /etc
exec "$@"
"""
START = """
import os, sys
sys.path[:0] = [os.environ["AGENT"]]
from datetime import datetime, timezone
from snap_self.cli.wiring import load_settings
from snap_self.model.occurrences import Occasion, Occurrence
from snap_self.system.watching.notifier import Notifiers
settings = load_settings(os.environ).notify
now = datetime(2026, 11, 22, tzinfo=timezone.utc)
told = [Occurrence(kind=Occasion(word), at=now, text="the cloud refused", run_id="RUN-1")
        for word in sys.argv[1:]]
before = set(sys.modules)
Notifiers(settings, os.environ)(told)
print(sorted(set(sys.modules) - before))
"""
# One process each, as a run tells of its begin and of its end.
START_EACH = START.replace(
    "Notifiers(settings, os.environ)(told)",
    "tell = Notifiers(settings, os.environ)\n[tell([x]) for x in told]",
)


@dataclass
class World:
    """A machine's view of its own: its log, its configuration, its memory of messages."""

    base: Path
    agent: AgentRunner
    log: socket.socket
    logged: list[str] = field(default_factory=list)

    def configure(self, **keys: object) -> None:
        lines = [f"{name} = {json.dumps(value)}" for name, value in keys.items()]
        text = "[notify]\n" + "".join(f"{line}\n" for line in lines)
        (self.base / "etc/snap-self/config.toml").write_text(text, encoding="utf-8")

    def secret(self, name: str, text: str, mode: int = 0o600) -> str:
        path = self.base / name
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        return str(path)

    def program(self, text: str, mode: int = 0o755) -> str:
        path = self.base / "tell"
        path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        path.chmod(mode)
        return str(path)

    def read_log(self) -> str:
        """Return all that was logged until now."""
        while True:
            try:
                self.logged.append(self.log.recv(65536).decode("utf-8", "replace"))
            except BlockingIOError:
                return "\n".join(self.logged)

    def starts(self, *kinds: str, program: str = START) -> subprocess.CompletedProcess[str]:
        """Have people told of such events by a process that ends at once."""
        return subprocess.run(
            [*self.agent.wrapper, sys.executable, "-I", "-c", program, *kinds],
            env={**self.agent.environment(), "AGENT": str(CHECKOUT / "agent")},
            capture_output=True,
            text=True,
            check=True,
            timeout=LIMIT_S,
        )

    def tests(self, *options: str) -> AgentResult:
        return self.agent.run("notify", "--test", *options)


@pytest.fixture
def world(agent: AgentRunner) -> Iterator[World]:
    # Root trusts nothing below a folder in which others may make files, so not in /tmp as it is.
    with TemporaryDirectory(prefix="notify-", dir="/root") as made:
        base = Path(made)
        for name in ("dev", "run", "etc/snap-self"):
            (base / name).mkdir(parents=True)
        own = ("unshare", "--mount", "--propagation", "private", "sh", "-c", INSIDE, made)
        if subprocess.run([*own, "true"], capture_output=True, check=False).returncode:
            pytest.skip("this machine gives no mount namespace with an overlay")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as log:
            log.bind(str(base / "dev/log"))
            yield World(base=base, agent=agent.with_wrapper(*own), log=log)


def until(seen: Callable[[], object], what: str) -> None:
    """Wait for a state, up to a limit."""
    end = time.monotonic() + LIMIT_S
    while not seen():
        assert time.monotonic() < end, f"not seen: {what}"
        time.sleep(0.05)


@contextmanager
def robot_at(world: World, name: str) -> Iterator[tuple[ChatRobot, LoopbackServer]]:
    kind = ROBOTS[name]()
    with serving(kind) as server:
        world.configure(
            robot=name,
            robot_url_file=world.secret("url", f"{kind.url(server.url)}\n"),
            robot_secret_file=world.secret("secret", SECRET) if kind.secret else "",
        )
        yield kind, server


def without_secrets(*texts: str) -> None:
    for text in texts:
        assert TOKEN not in text
        assert SECRET not in text


@pytest.mark.parametrize("name", ROBOTS)
def test_robot_is_told_by_a_process_that_nobody_waits_for(world: World, name: str) -> None:
    with robot_at(world, name) as (kind, _):
        # It returns although the process goes on: that holds none of these pipes.
        world.starts("failed")
        until(lambda: kind.texts, "the message")
        world.starts("asked")
        until(lambda: "less than ten minutes" in world.read_log(), "that it was held back")
    assert "the cloud refused" in kind.texts[0]
    assert "RUN-1" in kind.texts[0]
    assert len(kind.texts) == 1
    assert kind.refused == []
    without_secrets(world.read_log())


@pytest.mark.parametrize("name", ROBOTS)
def test_refusal_with_http_status_200_is_read(world: World, name: str) -> None:
    with robot_at(world, name) as (kind, _):
        kind.a_minute = 0
        result = world.tests("--json", "--verbose")
    hold(result.json, "notify")
    assert (result.status, result.json["result"]) == (4, "failed")
    (told,) = result.json["told"]
    assert (told["status"], told["answer"]) == (200, kind.limited)
    without_secrets(result.out, result.err)


def test_process_goes_on_when_its_starters_service_ends(world: World) -> None:
    with robot_at(world, "wecom") as (kind, _):
        world.starts("failed")
        # As systemd does to all that is left, maybe before the process can say anything.
        for pid in _notifiers(world):
            os.kill(pid, signal.SIGTERM)
        until(lambda: kind.texts, "the message")


def _notifiers(world: World) -> list[int]:
    """Return the processes of this world that tell people."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            words = (each / "cmdline").read_bytes().split(b"\0")
            env = (each / "environ").read_bytes()
        except OSError:
            continue
        if b"--occurrences" in words and str(world.agent.state).encode() in env:
            found.append(int(each.name))
    return found


def test_processes_that_have_told_are_no_zombies_while_a_command_runs(
    world: World, simulator: Simulator, tmp_path: Path
) -> None:
    out, go = world.base / "out", world.base / "go"
    tell = world.program(f"echo $SNAP_SELF_EVENT >>{out}")
    world.configure(command=[tell], on=["begun", "made"])
    waits = ("sh", "-c", f"while [ ! -e {go} ]; do sleep 0.1; done")
    job = made_up_options(simulator, tmp_path)
    with world.agent.against(simulator).start("run", *job, "--", *waits) as running:
        until(lambda: out.exists() and "made" in out.read_text(encoding="utf-8"), "the end")
        until(lambda: _zombies_of(running.pid) == [], "the end of those that have told")
        assert running.process.poll() is None
        go.touch()
        assert running.wait().status == 0


def _zombies_of(parent: int) -> list[int]:
    """Return a process's children that have ended, or are about to: all but the command."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            state, ppid = (
                (each / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[:2]
            )
            words = (each / "cmdline").read_bytes()
        except OSError:
            continue
        if int(ppid) == parent and (state == "Z" or b"--occurrences" in words):
            found.append(int(each.name))
    return found


def test_nobody_to_tell_starts_nothing_and_imports_nothing(world: World) -> None:
    world.configure(command=[])
    assert world.starts("failed", "frozen").stdout == "[]\n"
    world.configure(command=["/bin/true"], on=["uploaded"])
    assert world.starts("failed", "frozen").stdout == "[]\n"


def test_https_with_an_authority_of_ones_own(world: World) -> None:
    authority = TestAuthority(world.base)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.issue("robot", ["127.0.0.1", "localhost"]))
    kind = ROBOTS["wecom"]()
    with serving(kind, context) as server:
        port = server.server_port
        url = world.secret("url", kind.url(f"https://localhost:{port}"))
        world.configure(robot="wecom", robot_url_file=url)
        refused = world.tests()
        ca_bundle = str(authority.file)
        world.agent = world.agent.with_env(SNAP_SELF_NETWORK_CA_BUNDLE=ca_bundle)
        taken = world.tests()
    assert refused.status == 4
    assert "certificate" in refused.out
    assert taken.status == 0, taken.out
    assert len(kind.texts) == 1
    without_secrets(refused.out, refused.err, taken.out)


def _elsewhere(request: HttpRequest) -> HttpResponse:
    headers = {"Location": f"{request.url}/elsewhere"}
    return HttpResponse(status=302, headers=headers, body=request.url.encode())


def _broken(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=502, headers={}, body=request.url.encode())


@pytest.mark.parametrize(
    ("handler", "word"), [(_elsewhere, "redirect"), (_broken, "HTTP status 502")]
)
def test_ping_answered_otherwise_is_told_without_its_url(
    world: World, handler: Callable[[HttpRequest], HttpResponse], word: str
) -> None:
    with serving(handler) as server:
        url = world.secret("ping", f"{server.url}/{TOKEN}")
        world.configure(ping_url_file=url)
        world.starts("failed")
        until(lambda: word in world.read_log(), word)
        result = world.tests("--verbose")
        assert server.connections == 2
    assert result.status == 4
    without_secrets(result.out, result.err, world.read_log())


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ([b""], ("no whole answer in",)),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"], BROKEN),
        ([b"\x16\x03 this is no HTTP\r\n\r\n"], BROKEN),
    ],
)
def test_server_that_hangs_or_breaks_off_is_told(
    world: World, pieces: list[bytes], words: tuple[str, ...]
) -> None:
    with speaking(iter(pieces)) as url:
        world.configure(robot="wecom", robot_url_file=world.secret("url", f"{url}/?key={TOKEN}"))
        result = world.tests()
    assert result.status == 4
    assert any(word in result.out for word in words)
    without_secrets(result.out, result.err)


def test_port_where_nobody_listens_is_told(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as once:
        port = once.getsockname()[1]
    world.configure(ping_url_file=world.secret("ping", f"http://127.0.0.1:{port}/{TOKEN}"))
    result = world.tests()
    assert "Connection refused" in result.out
    without_secrets(result.out, result.err)


@pytest.mark.parametrize(
    ("text", "mode", "word"),
    [
        ("https://h.example/" + TOKEN, 0o644, "can be read by others (mode 0644)"),
        ("https://h.example/" + TOKEN, 0o622, "can be changed by others"),
        ("", 0o600, "holds nothing"),
        (f"https://h.example/{TOKEN}\nhttps://h.example/{TOKEN}\n", 0o600, "holds 2 lines"),
        (f"http://h.example/{TOKEN}", 0o600, "would be read on the way"),
        (f"{TOKEN}", 0o600, "holds no URL"),
    ],
)
def test_file_that_is_not_as_it_must_be_is_told_by_doctor_and_the_log(
    world: World, text: str, mode: int, word: str
) -> None:
    world.configure(ping_url_file=world.secret("ping", text, mode))
    world.starts("failed")
    until(lambda: word in world.read_log(), word)
    result = world.agent.with_env(
        SNAP_SELF_METADATA_URL="http://127.0.0.1:9", SNAP_SELF_CREDENTIALS_ROLE="none"
    ).run("doctor", "--json")
    (found,) = [each for each in result.json["checks"] if each["check"] == "notify"]
    assert (found["verdict"], word in found["text"]) == ("warn", True)
    without_secrets(result.out, result.err, world.read_log())


def test_file_of_another_user_is_not_used(world: World) -> None:
    path = world.secret("ping", f"https://h.example/{TOKEN}")
    os.chown(path, 65534, 65534)
    world.configure(ping_url_file=path)
    assert "belongs to user id 65534" in world.tests().out


def test_command_gets_the_event(world: World) -> None:
    out = world.base / "out"
    tell = world.program(f"cat >{out}.new; env >>{out}.new; mv {out}.new {out}")
    world.configure(command=[tell])
    world.agent = world.agent.with_env(ALIBABA_CLOUD_ACCESS_KEY_SECRET=SECRET)
    world.starts("failed")
    until(out.exists, "what the command wrote")
    text = out.read_text(encoding="utf-8")
    event = json.loads(text.split("\n")[0])
    assert (event["event"], event["run"], event["schema"]) == ("failed", "RUN-1", 1)
    assert "SNAP_SELF_EVENT=failed" in text
    without_secrets(text)


@pytest.mark.parametrize("ending", ["exit 0", "kill -9 $PPID"])
def test_end_is_told_after_a_begin_that_takes_long(world: World, ending: str) -> None:
    out = world.base / "out"
    tell = world.program(
        f"[ $SNAP_SELF_EVENT = failed ] || sleep 2\necho $SNAP_SELF_EVENT >>{out}\n"
        f"[ $SNAP_SELF_EVENT = failed ] || {ending}"
    )
    world.configure(command=[tell], on=["begun", "failed"])
    world.starts("begun", "failed", program=START_EACH)
    assert not out.exists(), "the starter waited"
    until(lambda: out.exists() and "failed" in out.read_text(encoding="utf-8"), "the end")
    assert out.read_text(encoding="utf-8").split() == ["begun", "failed"]


@pytest.mark.parametrize(
    ("text", "mode", "word"),
    [
        ("echo t0ken5f2c; exit 3", 0o755, "ended with 3"),
        ("kill -9 $$", 0o755, "ended by signal 9"),
        ("true", 0o777, "can be changed by others"),
        ("true", 0o644, "Permission denied"),
    ],
)
def test_command_that_fails_is_told_by_the_log(
    world: World, text: str, mode: int, word: str
) -> None:
    world.configure(command=[world.program(text, mode)])
    world.starts("failed")
    until(lambda: word in world.read_log(), word)
    without_secrets(world.read_log())


def test_command_that_is_missing_is_told(world: World) -> None:
    world.configure(command=[str(world.base / "nosuch")])
    assert "No such file" in world.tests().out


def test_command_that_hangs_is_killed_with_what_it_started(world: World) -> None:
    pids = world.base / "pids"
    world.configure(command=[world.program(f"sleep 1000 & echo $! $$ >{pids}; sleep 1000")])
    world.starts("failed")
    until(lambda: "was killed" in world.read_log(), "that it was killed")
    numbers = [int(each) for each in pids.read_text(encoding="utf-8").split()]
    assert len(numbers) == 2
    until(lambda: not any(_runs(each) for each in numbers), "the end of its group")


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split(")")[1].split()[0] != "Z"
    except OSError:
        return False


def test_robot_nobody_named_is_not_loaded(world: World) -> None:
    probe = (
        "import sys; sys.argv[:] = ['snap-self', 'notify', '--occurrences']\n"
        "import os; sys.path[:0] = [os.environ['AGENT']]\n"
        "from snap_self.cli.notify import run_notifier\n"
        "run_notifier()\n"
        "print([each for each in ('requests', 'urllib3', 'ssl') if each in sys.modules])\n"
    )
    event = {"happened": [{"kind": "failed", "at": "2026-11-22T00:00:00+00:00", "text": "x"}]}
    world.configure(command=["/bin/true"])
    done = subprocess.run(
        [*world.agent.wrapper, sys.executable, "-I", "-c", probe],
        env={**world.agent.environment(), "AGENT": str(CHECKOUT / "agent")},
        input=json.dumps(event),
        capture_output=True,
        text=True,
        check=True,
        timeout=LIMIT_S,
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("arguments", "status", "word"),
    [
        (("notify",), 2, "notify --test"),
        (("notify", "--occurrences"), 2, "notify --test"),
        (("notify", "--test"), 3, "nobody"),
    ],
)
def test_notify_without_what_it_needs_says_what(
    agent: AgentRunner, arguments: tuple[str, ...], status: int, word: str
) -> None:
    result = agent.run(*arguments)
    assert result.status == status
    assert word in result.err

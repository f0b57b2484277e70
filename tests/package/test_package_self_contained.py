"""The built tree where the system's own Python and C library were moved away."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from built_packages import project_version, self_contained_tree

from agent_runner import AgentResult, AgentRunner
from fixtures_simulator import SimulatorProcess, simulator_running

HELPER = Path(__file__).with_name("hidden_system.py")
WAYS = ("python", "damaged", "gone")
TIMER_S = 60
LIMIT_S = 60.0

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: mount namespaces, loop devices"),
]


@dataclass(frozen=True)
class Hidden:
    """Starts the built agent where something is hidden from it."""

    agent: AgentRunner
    tree: Path
    scratch: Path

    def runner(self, hide: str, program: str = "", **environment: str) -> AgentRunner:
        """Return what runs it, or another program of the tree, so."""
        what = {"tree": str(self.tree), "hide": hide, "scratch": str(self.scratch)}
        description = json.dumps({**what, "program": program, "environment": environment})
        return self.agent.with_wrapper(sys.executable, "-IS", str(HELPER), description)

    def python(self, hide: str, code: str) -> AgentResult:
        """Run a program text with its interpreter, as the agent starts it."""
        return self.runner(hide, "/opt/snap-self/bin/python3").run("-ISBc", code)

    def hide_from(self, pid: int, what: str) -> None:
        """Hide it from an agent that runs already."""
        description = json.dumps({"hide": what, "scratch": str(self.scratch)})
        argv = [sys.executable, "-IS", str(HELPER), description, "--enter", str(pid)]
        subprocess.run(argv, check=True, timeout=LIMIT_S)


@pytest.fixture
def hidden(agent: AgentRunner, tmp_path: Path) -> Hidden:
    """Build the tree, unless it is there."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Hidden(agent, self_contained_tree(), scratch)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[SimulatorProcess]:
    """Run a cloud with an ext4 disk, mounted; whatever happens it is thawed."""
    mount = tmp_path / "ext4"
    disk = f"size=1,category=cloud_essd,fs=ext4,mount={mount}"
    with simulator_running("--storage", "loop", "--no-https", "--disk", disk) as process:
        timer = subprocess.Popen(
            ["sh", "-c", 'sleep "$0"; fsfreeze --unfreeze "$1"', str(TIMER_S), str(mount)],
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(timer.pid, 9)
            timer.wait()
            subprocess.run(
                ["fsfreeze", "--unfreeze", mount], stderr=subprocess.DEVNULL, check=False
            )


@pytest.mark.parametrize("way", WAYS)
def test_helper_really_hides_the_systems_python(hidden: Hidden, way: str) -> None:
    tried = "import subprocess as s; print(s.run(['/usr/bin/python3', '-c', '']).returncode)"
    result = hidden.python(way, tried)
    assert result.status == 1
    assert "FileNotFoundError" in result.err or "PermissionError" in result.err


@pytest.mark.parametrize("way", ["damaged", "gone"])
def test_helper_really_breaks_the_systems_programs(hidden: Hidden, way: str) -> None:
    tried = "import subprocess as s; print(s.run(['/bin/true']).returncode)"
    result = hidden.python(way, tried)
    assert result.out != "0\n"


@pytest.mark.parametrize("way", WAYS)
def test_version_is_told_without_the_systems_python_and_libraries(hidden: Hidden, way: str) -> None:
    result = hidden.runner(way).run("--version")
    assert (result.status, result.out) == (0, f"snap-self {project_version()}\n")


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_snapshot_with_a_freeze_and_list_work_without_them(
    hidden: Hidden, cloud: SimulatorProcess, way: str
) -> None:
    agent = hidden.runner(way).against(cloud)
    made = agent.run("--before", "the upgrade", "--consistency", "filesystem", "--json")
    assert made.status == 0, made.err
    assert made.json["consistency"]["reached"] == "filesystem"
    listed = agent.run("list", "--json")
    assert listed.status == 0, listed.err
    assert [group["before"] for group in listed.json["snapshots"]] == ["the upgrade"]


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_agent_that_runs_while_they_go_away_ends_its_work(
    hidden: Hidden, cloud: SimulatorProcess, way: str
) -> None:
    agent = hidden.runner("nothing").against(cloud)
    cloud.control("PUT", "latencies", {"times_s": {"DescribeDisks": 2.0}})
    job = ("--before", "the upgrade", "--consistency", "filesystem", "--json")
    with agent.start(*job) as running:
        wait_for_call(cloud, "DescribeDisks")
        hidden.hide_from(running.pid, way)
        result = running.wait()
    assert result.status == 0, result.err
    assert result.json["consistency"]["reached"] == "filesystem"


def wait_for_call(cloud: SimulatorProcess, action: str) -> None:
    """Return when the API was asked for it."""
    end = time.monotonic() + LIMIT_S
    while action not in [c["action"] for c in cloud.control("GET", "calls")["calls"]]:
        assert time.monotonic() < end, f"{action} was never called"
        time.sleep(0.02)


@pytest.mark.slow
def test_command_that_takes_the_agent_itself_away_keeps_its_exit_status(
    hidden: Hidden, cloud: SimulatorProcess
) -> None:
    agent = hidden.runner("nothing").against(cloud)
    away = "mount -t tmpfs none /opt/snap-self/lib; exit 3"
    result = agent.run("run", "--before", "the removal", "--", "/bin/sh", "-c", away)
    assert result.status == 3, result.err
    assert "a bug in snap-self" not in result.err


def test_interpreter_maps_nothing_from_outside_its_tree(hidden: Hidden) -> None:
    code = (
        "import ssl, ctypes, hashlib, lzma, bz2, uuid, sys, socket\n"
        "sys.path.append(sys.prefix + '/lib/python%d.%d/site-packages' % sys.version_info[:2])\n"
        "import psutil, cryptography.x509, psycopg, psycopg_binary.pq\n"
        "lines = open('/proc/self/maps').read().split()\n"
        "print(*sorted({word for word in lines if word.startswith('/')}), sep='\\n')"
    )
    result = hidden.python("python", code)
    assert result.status == 0, result.err
    outside = [line for line in result.out.splitlines() if not line.startswith("/opt/snap-self/")]
    assert [line for line in outside if "locale" not in line and "gconv" not in line] == []


def test_callers_library_path_and_python_path_lead_nowhere(hidden: Hidden, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    trap.mkdir()
    for name in ("libc.so.6", "libssl.so.3", "libz.so.1", "json.py", "sitecustomize.py"):
        (trap / name).write_text("raise SystemExit('the trap was read')")
    traps = {"LD_LIBRARY_PATH": str(trap), "PYTHONPATH": str(trap), "PYTHONHOME": str(trap)}
    result = hidden.runner("python", **traps).run("--version")
    assert (result.status, result.err) == (0, "")


def test_what_the_agent_starts_inherits_no_library_path(hidden: Hidden) -> None:
    code = "import os, subprocess; subprocess.run(['/usr/bin/env'])"
    result = hidden.python("python", code)
    names = {line.partition("=")[0] for line in result.out.splitlines()}
    assert "PATH" in names
    assert [name for name in names if name.startswith(("LD_", "OPENSSL_", "SSL_"))] == []
    assert [name for name in names if name.startswith("PYTHON")] == ["PYTHONPATH"]  # the runner's


RESOLVER = """
import ctypes, os, socket, struct, threading
libc = ctypes.CDLL(None)
assert libc.unshare(0x40000000) == 0  # a network of its own, with nothing in it
control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
import fcntl
fcntl.ioctl(control, 0x8914, struct.pack("16sh", b"lo", 1) + bytes(14))  # SIOCSIFFLAGS: up
def lay(text, place):
    with open("/run/laid" + place.replace("/", "-"), "w") as file: file.write(text)
    assert libc.mount(file.name.encode(), place.encode(), None, 4096, None) == 0  # MS_BIND
hosts = "hosts: mymachines resolve [!UNAVAIL=return] no_such_module files dns"
lay(hosts + "\\npasswd: sss files\\n", "/etc/nsswitch.conf")
lay("127.0.0.7 by-files.test\\n", "/etc/hosts")
lay("nameserver 127.0.0.1\\n", os.path.realpath("/etc/resolv.conf"))
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
def serve():
    while True:
        asked, who = server.recvfrom(512)
        end = asked.index(b"\\0", 12) + 5
        four = asked[end - 4:end - 2] == b"\\0\\1"
        head = asked[:2] + struct.pack(">5H", 0x8180, 1, int(four), 0, 0) + asked[12:end]
        answer = b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\1\\0\\4\\x7f\\0\\0\\x09"
        server.sendto(head + (answer if four else b""), who)
threading.Thread(target=serve, daemon=True).start()
for name in ("by-files.test", "by-dns.test"):
    print(socket.getaddrinfo(name, 443, type=socket.SOCK_STREAM)[0][4][0])
import pwd
print(pwd.getpwuid(0).pw_name)
"""


@pytest.mark.parametrize("way", ["python", "gone"])
def test_names_are_resolved_by_files_and_dns_whatever_modules_the_system_names(
    hidden: Hidden, way: str
) -> None:
    result = hidden.python(way, RESOLVER)
    assert (result.out.split(), result.err) == (["127.0.0.7", "127.0.0.9", "root"], "")


def test_certificate_authorities_are_brought_along(hidden: Hidden) -> None:
    code = (
        "import ssl, sys\n"
        "sys.path.append(sys.prefix + '/lib/python%d.%d/site-packages' % sys.version_info[:2])\n"
        "import certifi, os\n"
        "context = ssl.create_default_context(cafile=certifi.where())\n"
        "print(certifi.where(), len(context.get_ca_certs()) > 50)"
    )
    result = hidden.python("gone", code)
    assert result.status == 0, result.err
    where, enough = result.out.split()
    assert where.startswith("/opt/snap-self/lib/")
    assert enough == "True"

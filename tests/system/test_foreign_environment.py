"""No variable that survives to root decides what root loads, runs or writes."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_runner import AgentRunner
from ecs_simulator import DiskConfig, InstanceConfig, Simulator, SimulatorConfig
from fixtures_simulator import SimulatorProcess

pytestmark = pytest.mark.root
AGENT = Path(__file__).parents[2] / "agent"

# What the agent or its guard looks up by name, and what a planted folder could guess.
PROGRAMS = (
    *("apt-config", "apt-get", "dnf", "dnf5", "zypper", "pacman", "yum", "rpm", "dpkg"),
    *("systemctl", "systemd-inhibit", "systemd-run", "timeout", "sh", "bash", "env", "cat", "cp"),
    *(
        "mkfs.ext4",
        "mount",
        "umount",
        "losetup",
        "fsfreeze",
        "blkid",
        "lsblk",
        "findmnt",
        "dmsetup",
    ),
    *("lvs", "mdadm", "btrfs", "cryptsetup", "python3", "python", "aliyun", "sync", "snap-self"),
)
# TLS with this configuration can be had with nobody: no server signs like that any more.
NO_TLS = """openssl_conf = whole
[whole]
ssl_conf = for_tls
[for_tls]
system_default = limits
[limits]
SignatureAlgorithms = DSA+SHA224
"""


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """Return a folder of programs that note that they were run."""
    folder = tmp_path / "planted"
    folder.mkdir()
    for name in PROGRAMS:
        program = folder / name
        program.write_text(f"#!/bin/sh\necho {name} >>{tmp_path}/ran\nexit 1\n", encoding="utf-8")
        program.chmod(0o755)
    return folder


def ran(folder: Path) -> str:
    noted = folder.parent / "ran"
    return noted.read_text(encoding="utf-8") if noted.exists() else ""


@pytest.fixture
def tls_cloud(tmp_path: Path) -> Iterator[Simulator]:
    """Run a cloud that speaks TLS, its authority in ``tls/ca.pem``."""
    tls = pytest.importorskip("ecs_simulator.tls", reason="cryptography is not installed")
    config = SimulatorConfig(instances=(InstanceConfig(disks=(DiskConfig(size_gib=40),)),))
    with Simulator(config, tls=tls.make_contexts(tmp_path / "tls", ["127.0.0.1"])) as running:
        yield running


@pytest.mark.parametrize(
    "command",
    [("doctor",), ("hook", "status"), ("plan",), ("list",), ("--before", "x"), ("thaw",)],
    ids=" ".join,
)
def test_programs_are_found_in_the_systems_folders_only(
    agent: AgentRunner, loop_cloud: SimulatorProcess, planted: Path, command: tuple[str, ...]
) -> None:
    runner = agent.against(loop_cloud).with_env(
        PATH=f"{planted}:{os.environ['PATH']}", SNAP_SELF_FREEZE_ROOT="allow"
    )
    runner.run(*command)
    assert ran(planted) == ""


def test_hook_finds_programs_in_the_systems_folders_only(agent: AgentRunner, planted: Path) -> None:
    runner = agent.with_env(PATH=f"{planted}:{os.environ['PATH']}")
    runner.run("hook", "apt", stdin=b"VERSION 3\n\nlibc6 1 < 2 none : /tmp/x.deb\n")
    assert ran(planted) == ""


def test_openssl_is_configured_by_the_system_only(
    agent: AgentRunner, tls_cloud: Simulator, tmp_path: Path
) -> None:
    config = tmp_path / "openssl.cnf"
    config.write_text(NO_TLS, encoding="utf-8")
    authority = tmp_path / "tls" / "ca.pem"
    runner = agent.with_env(
        SNAP_SELF_METADATA_URL=tls_cloud.metadata_url,
        SNAP_SELF_ECS_ENDPOINT=tls_cloud.ecs_tls_url,
        SNAP_SELF_NETWORK_CA_BUNDLE=str(authority),
        OPENSSL_CONF=str(config),
    )
    assert runner.run("list").status == 0
    # The control: whoever heeds the variable has no TLS.
    probe = (
        "import ssl, sys, urllib.request; "
        "trusted = ssl.create_default_context(cafile=sys.argv[2]); "
        "urllib.request.urlopen(sys.argv[1], context=trusted)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe, tls_cloud.ecs_tls_url, str(authority)],
        env={"OPENSSL_CONF": str(config)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "ssl.SSLError" in done.stderr


def test_keys_of_tls_sessions_are_written_nowhere(
    agent: AgentRunner, tls_cloud: Simulator, tmp_path: Path
) -> None:
    keys, authority = tmp_path / "keys", tmp_path / "tls" / "ca.pem"
    runner = agent.with_env(
        SNAP_SELF_METADATA_URL=tls_cloud.ecs_tls_url,  # any server that speaks TLS
        SNAP_SELF_NETWORK_CA_BUNDLE=str(authority),
        SSLKEYLOGFILE=str(keys),
    )
    runner.run("list")
    assert not keys.exists()


def test_command_that_is_run_gets_the_environment_as_it_was(
    agent: AgentRunner, simulator: Simulator, tmp_path: Path
) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    program = folder / "my-upgrade"
    program.write_text("#!/bin/sh\nenv\n", encoding="utf-8")
    program.chmod(0o755)
    given = {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "SSLKEYLOGFILE": str(tmp_path / "keys"),
        "PGHOST": "db",
        "TMPDIR": str(tmp_path),
    }
    done = (
        agent.against(simulator)
        .with_env(**given)
        .run("run", "--before", "x", "--on-snapshot-failure", "run", "--", "my-upgrade")
    )
    assert done.status == 0, done.err
    got = dict(line.partition("=")[::2] for line in done.out.splitlines())
    assert given.items() <= got.items()
    assert "PYTHONPATH" in got


def test_program_in_place_of_the_system_bus_is_not_run(agent: AgentRunner, planted: Path) -> None:
    if not shutil.which("systemd-inhibit"):
        pytest.skip("needs systemd-inhibit")
    address = f"unixexec:path={planted}/snap-self"
    ask = "from snap_self.system.inhibitor import _start; _start('x').wait()"
    code = f"from snap_self.system.environment import clean_environment as c; c(); {ask}"
    paths = f"import sys; sys.path[:0] = [{str(AGENT)!r}]; "
    for words in (code, ask):
        argv = [sys.executable, "-I", "-c", paths + words]
        subprocess.run(argv, env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": address}, check=False)
        # The control: the uncleaned environment has it run.
        assert (ran(planted) != "") is (words == ask)


def test_macros_of_the_callers_home_are_not_heeded_by_rpm(
    agent: AgentRunner, tmp_path: Path
) -> None:
    if not shutil.which("rpm") or not shutil.which("dnf"):
        pytest.skip("needs rpm and dnf")
    home, mark = tmp_path / "home", tmp_path / "ran"
    home.mkdir()
    (home / ".rpmmacros").write_text(f"%_dbpath %(touch {mark}; echo /var/lib/rpm)\n")
    agent.with_env(HOME=str(home)).run("hook", "status")
    assert not mark.exists()
    # The control.
    subprocess.run(["rpm", "-E", "%{_dbpath}"], env={**os.environ, "HOME": str(home)}, check=True)
    assert mark.exists()


def test_texts_of_a_users_are_not_printed_for_ours(agent: AgentRunner, tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    (texts / "LC_MESSAGES").mkdir(parents=True)
    (texts / "LC_MESSAGES" / "messages.mo").write_bytes(catalogue({"": "", "Options": "PLANTED"}))
    done = agent.with_env(LANGUAGE=str(texts)).run("--help")
    assert "PLANTED" not in done.out


def catalogue(texts: dict[str, str]) -> bytes:
    """Return a catalogue of texts (GNU gettext, "The Format of GNU MO Files")."""
    ids, values, tables = b"", b"", [b"", b""]
    start = 28 + 16 * len(texts)
    whole = sum(len(each.encode()) + 1 for each in texts)
    for original, text in sorted(texts.items()):
        tables[0] += struct.pack("<2I", len(original), start + len(ids))
        tables[1] += struct.pack("<2I", len(text), start + whole + len(values))
        ids += original.encode() + b"\0"
        values += text.encode() + b"\0"
    numbers = (0x950412DE, 0, len(texts), 28, 28 + 8 * len(texts), 0, start)
    return struct.pack("<7I", *numbers) + b"".join(tables) + ids + values

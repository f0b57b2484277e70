"""Debian's own monitoring tools on loopback, and what they say of what we leave for them."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

MONITORING = Path(__file__).resolve().parent.parent / "packaging/monitoring"
PLUGINS = Path("/usr/lib/nagios/plugins")
LIMIT_S = 90.0
Found = TypeVar("Found")


def tool(name: str, package: str, *, folder: Path | None = None) -> str:
    """Return the path of a program of a Debian package, or skip aloud."""
    found = shutil.which(name, path=str(folder) if folder else None)
    if found is None:
        pytest.skip(f"needs {name} of Debian's package {package}")
    return found


def promtool(*arguments: str, given: str = "", cwd: Path | None = None) -> str:
    """Run promtool, which must find nothing wrong, and return what it says."""
    done = subprocess.run(
        [tool("promtool", "prometheus"), *arguments],
        input=given,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        cwd=cwd,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def wait_for(look: Callable[[], Found | None], what: str) -> Found:
    """Return what is found at last; fail where it is not within the limit."""
    until = time.monotonic() + LIMIT_S
    while time.monotonic() < until:
        with_it = look()
        if with_it is not None:
            return with_it
        time.sleep(0.2)
    raise AssertionError(f"not within {LIMIT_S:g} s: {what}")


def fetch(url: str) -> str | None:
    """Return a page of loopback; None while nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            text: str = answer.read().decode()
            return text
    except (urllib.error.URLError, ConnectionError):
        return None


@contextmanager
def served(argv: Sequence[str], log: Path, ready: Callable[[], str | None]) -> Iterator[None]:
    """Run a server while the block runs."""
    with log.open("wb") as said:
        process = subprocess.Popen(argv, stdout=said, stderr=said, stdin=subprocess.DEVNULL)
    try:
        wait_for(ready, f"{argv[0]} answers: {log.read_text(errors='replace')[-500:]}")
        yield
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def node_exporter(folder: Path, log: Path) -> Iterator[str]:
    """Serve a folder's files by the textfile collector alone; gives the address."""
    address = f"127.0.0.1:{free_port()}"
    program = tool("prometheus-node-exporter", "prometheus-node-exporter")
    argv = [
        program,
        "--collector.disable-defaults",
        "--collector.textfile",
        f"--collector.textfile.directory={folder}",
        f"--web.listen-address={address}",
    ]
    with served(argv, log, lambda: fetch(f"http://{address}/metrics")):
        yield address


@contextmanager
def prometheus(target: str, rules: Path, folder: Path) -> Iterator[Callable[[str], Any]]:
    """Scrape one target every second and evaluate rules; gives what asks its API."""
    address = f"127.0.0.1:{free_port()}"
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [{"job_name": "node", "static_configs": [{"targets": [target]}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
    argv = [
        tool("prometheus", "prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address={address}",
    ]

    def ask(path: str) -> Any:
        answer = fetch(f"http://{address}/api/v1/{path}")
        return None if answer is None else json.loads(answer)["data"]

    with served(argv, folder / "prometheus.log", lambda: fetch(f"http://{address}/-/ready")):
        yield ask

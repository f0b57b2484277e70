"""What the fleet's template for installing has a machine run, with the real apt and dnf."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from built_packages import need
from repository_clients import Apt, Client, Dnf, client_running
from repository_rig import Bench, made

from fakes.fleet_oos import FleetRegion

pytestmark = [pytest.mark.root, pytest.mark.own_root, pytest.mark.slow]

Done = subprocess.CompletedProcess[str]
# The tiny packages hold no agent: it says what the package manager's database says.
AGENT = """\
#!/bin/sh
version=$(dpkg-query -W -f '${Version}' snap-self 2>/dev/null) ||
    version=$(rpm -q --qf '%{VERSION}' snap-self) || exit 1
echo "snap-self ${version%-1}"
"""
SOURCES = "/etc/apt/sources.list.d/snap-self.sources"
APT = SOURCES, "/etc/apt/keyrings/snap-self.gpg"
DNF = "/etc/yum.repos.d/snap-self.repo", "/etc/pki/rpm-gpg/RPM-GPG-KEY-snap-self"
ONLY_APT = pytest.mark.parametrize("client", [Apt], ids=["apt"], indirect=True)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Write nothing."""


@pytest.fixture
def address(bench: Bench) -> Iterator[str]:
    """Serve a repository of the versions 1.0, 1.01 and 2.0; give its URL."""
    packages = [
        *bench.packages.both("1.01"),
        bench.packages.deb("2.0-1"),
        bench.packages.rpm("2.0"),
    ]
    made(bench.ring, "--key", bench.key, "--output", bench.output, *packages)
    handler = partial(_Quiet, directory=str(bench.output))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


@pytest.fixture(params=[Apt, Dnf], ids=["apt", "dnf"])
def client(request: pytest.FixtureRequest, bench: Bench, tmp_path: Path) -> Iterator[Client]:
    """Run a machine with a package manager, and no apt where it is dnf's."""
    need(request.param.PROGRAM, "curl")
    with client_running(request.param, tmp_path / "machine") as running:
        running.have_shell(bench.packages)
        agent = running.machine.path("/usr/bin/snap-self")
        agent.write_text(AGENT, "utf-8")
        agent.chmod(0o755)
        if request.param is Dnf:
            running.done("rm -f /usr/bin/apt-get /usr/bin/dpkg-query")
        yield running


def install(client: Client, bench: Bench, address: str, version: str) -> Done:
    """Run the template's script."""
    key = hashlib.sha256((bench.output / "snap-self.asc").read_bytes()).hexdigest()
    source = {"repositoryUrl": address, "keyUrl": f"{address}/snap-self.asc", "keySha256": key}
    region = FleetRegion("i-1")
    region.go("install", version=version, **source)
    ((_, command),) = region.guest.begun
    return client.machine.run("sh", "-c", command.content.decode())


def files(client: Client) -> dict[str, bytes]:
    """Return the settings that are there."""
    paths = [client.machine.path(name) for name in (*APT, *DNF)]
    return {path.name: path.read_bytes() for path in paths if path.exists()}


def test_install_when_the_version_is_there_then_exactly_that_is_installed(
    client: Client, bench: Bench, address: str
) -> None:
    for version in ("1.0", "1.01", "2.0"):
        done = install(client, bench, address, version)
        assert done.returncode == 0, done.stdout + done.stderr
        assert client.version().removesuffix("-1") == version
        assert f'"result": "done", "changed": true, "version": "{version}"' in done.stdout
    if isinstance(client, Apt):
        assert files(client)["snap-self.gpg"] == (bench.output / "snap-self.gpg").read_bytes()


@pytest.mark.parametrize("before", [True, False], ids=["settings there", "none there"])
def test_install_when_the_version_is_not_there_then_all_is_as_it_was(
    client: Client, bench: Bench, address: str, before: bool
) -> None:
    own = APT if isinstance(client, Apt) else DNF
    for name in own if before else ():
        client.done(f"mkdir -p $(dirname {name}); echo '# mine' >{name}")
    there = files(client)
    done = install(client, bench, address, "1")
    assert done.returncode == 1, done.stdout + done.stderr
    assert '"result": "failed"' in done.stdout
    assert (client.version(), files(client)) == ("", there)


@ONLY_APT
def test_install_when_the_lists_cannot_be_trusted_then_apt_still_works(
    client: Client, bench: Bench, address: str
) -> None:
    (bench.output / "deb/dists/stable/InRelease").write_text("forged\n")
    (bench.output / "deb/dists/stable/Release.gpg").unlink(missing_ok=True)
    done = install(client, bench, address, "1.0")
    assert '"changed": false' in done.stdout
    assert '"code": "not-updated"' in done.stdout
    assert files(client) == {}
    client.done("apt-get update")


@ONLY_APT
def test_install_when_another_file_names_the_repository_then_nothing_is_done(
    client: Client, bench: Bench, address: str
) -> None:
    client.done(f"echo 'deb {address}/deb stable main' >/etc/apt/sources.list.d/ours.list")
    done = install(client, bench, address, "1.0")
    assert '"code": "other-source"' in done.stdout
    assert files(client) == {}

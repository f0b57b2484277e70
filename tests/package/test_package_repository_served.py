"""The real apt, dnf and zypper on a repository of ours: what they install, and what they refuse."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from built_packages import deb, need, project_version, rpm
from repository_clients import URL, Apt, Client, Dnf, Zypper, client_running
from repository_rig import (
    RPM_HERE,
    Bench,
    forge_packages_list,
    forge_primary,
    list_rpms_anew,
    made,
    spoil,
)

pytestmark = [pytest.mark.root, pytest.mark.own_root, pytest.mark.slow]

Done = subprocess.CompletedProcess[str]


@pytest.fixture(params=[Apt, Dnf, Zypper], ids=["apt", "dnf", "zypper"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Client]:
    """Run a machine with a package manager."""
    need(request.param.PROGRAM, "faketime")
    with client_running(request.param, tmp_path / "machine") as running:
        yield running


ONLY_APT = pytest.mark.parametrize("client", [Apt], ids=["apt"], indirect=True)
ONLY_RPM = pytest.mark.parametrize("client", [Dnf, Zypper], ids=["dnf", "zypper"], indirect=True)


@pytest.fixture
def shop(bench: Bench) -> Bench:
    """Return a repository of version 1.0 that is told to be where the machines find it."""
    return publish(bench, "--url", URL)


def publish(bench: Bench, *arguments: str | Path) -> Bench:
    """Run the script for the repository."""
    made(bench.ring, "--key", bench.key, "--output", bench.output, *arguments)
    return bench


def rpms(bench: Bench) -> Path:
    """Return the folder of the packages for this machine."""
    return bench.output / "rpm" / RPM_HERE


def trusting(client: Client, bench: Bench) -> Client:
    """Return the client with the repository and its key in place."""
    client.serve(bench.output)
    client.trust()
    return client


def accepted(client: Client, done: Done, version: str) -> None:
    """Check that it did what it was asked for."""
    assert done.returncode == 0, done.stdout + done.stderr
    assert client.version() == version


def refused(client: Client, done: Done, why: str, *, version: str = "") -> None:
    """Check that it did not, and for this reason; a pattern for what it said."""
    assert re.search(why, done.stdout + done.stderr), done.stdout + done.stderr
    assert client.version() == version
    if version == "":
        assert done.returncode != 0, done.stdout + done.stderr


# --- as it should be -------------------------------------------------------------------------


def test_package_is_installed_upgraded_and_taken_back(client: Client, shop: Bench) -> None:
    trusting(client, shop)
    accepted(client, client.install(), "1.0")
    client.serve(publish(shop, *shop.packages.both("2.0")).output)
    accepted(client, client.sh(client.UPGRADE), "2.0")
    accepted(client, client.sh(client.DOWNGRADE), "1.0")


def test_built_package_is_installed(client: Client, bench: Bench) -> None:
    need("patchelf", "strip")
    shutil.rmtree(bench.output)
    publish(bench, "--url", URL, deb(), rpm())
    client.have_shell(bench.packages)
    done = trusting(client, bench).install()
    assert done.returncode == 0, done.stdout + done.stderr
    assert client.version().split("-")[0] == project_version()
    shown = client.machine.run("snap-self", "--version")
    assert shown.stdout.strip() == f"snap-self {project_version()}"


def test_after_a_change_of_keys_machines_that_have_both_go_on(client: Client, shop: Bench) -> None:
    publish(shop, "--also-key", shop.other)
    trusting(client, shop)
    accepted(client, client.install(), "1.0")
    made(
        shop.ring,
        *("--key", shop.other, "--also-key", shop.key, "--output", shop.output),
        *shop.packages.both("2.0"),
    )
    client.serve(shop.output)
    accepted(client, client.sh(client.UPGRADE), "2.0")


# --- keys ------------------------------------------------------------------------------------


def test_signature_of_another_key_is_refused(client: Client, shop: Bench) -> None:
    trusting(client, shop)
    shutil.rmtree(shop.output)
    made(
        shop.ring,
        *("--key", shop.other, "--output", shop.output, "--url", URL),
        *shop.packages.both("1.0"),
    )
    client.serve(shop.output)
    refused(client, client.install(), client.UNKNOWN)


def test_key_that_has_expired_is_refused_and_by_zypper_told(client: Client, shop: Bench) -> None:
    trusting(client, shop)
    done = client.install(later="+2000 days")
    if client.EXPIRED:
        refused(client, done, client.EXPIRED)
    else:
        accepted(client, done, "1.0")
        assert "(EXPIRED)" in done.stdout


def test_key_that_has_not_expired_yet_is_accepted_later(client: Client, shop: Bench) -> None:
    trusting(client, shop)
    accepted(client, client.install(later="+400 days"), "1.0")


# --- lists -----------------------------------------------------------------------------------


@ONLY_APT
def test_changed_list_of_debian_packages_is_refused(client: Client, shop: Bench) -> None:
    trusting(client, shop)
    forge_packages_list(shop.output)
    client.serve(shop.output)
    refused(client, client.install(), client.BAD)


@ONLY_APT
def test_changed_release_is_refused(client: Client, shop: Bench) -> None:
    trusting(client, shop)
    release = shop.output / "deb/dists/stable/InRelease"
    text = release.read_text()
    release.write_text(text.replace("Suite: stable", "Suite: stab1e"))
    assert release.read_text() != text
    client.serve(shop.output)
    refused(client, client.install(), "BADSIG")


@ONLY_APT
def test_lists_past_their_time_are_refused_whatever_the_machine_says(
    client: Client, shop: Bench
) -> None:
    trusting(client, publish(shop, "--valid-for", "7"))
    off = """echo 'Acquire::Check-Valid-Until "false";' >/etc/apt/apt.conf.d/90off"""
    client.done(off)
    refused(client, client.install(later="+8 days"), "is expired")
    accepted(client, client.install(later="+6 days"), "1.0")


@ONLY_RPM
def test_changed_list_of_rpm_packages_is_refused(client: Client, shop: Bench) -> None:
    trusting(client, shop)
    forge_primary(rpms(shop))
    client.serve(shop.output)
    refused(client, client.install(), client.BAD)


# --- packages --------------------------------------------------------------------------------


def test_changed_package_is_refused(client: Client, shop: Bench) -> None:
    trusting(client, shop)
    for package in (*shop.output.glob("deb/pool/*"), *rpms(shop).glob("*.rpm")):
        spoil(package)
    client.serve(shop.output)
    refused(client, client.install(), client.OTHER_CONTENT)


@ONLY_RPM
@pytest.mark.parametrize("signer", ["nobody", "other"])
def test_package_without_the_keys_signature_is_refused_in_lists_that_have_it(
    client: Client, shop: Bench, signer: str
) -> None:
    trusting(client, shop)
    (package,) = rpms(shop).glob("*.rpm")
    package.write_bytes(shop.packages.rpm("1.0").read_bytes())
    if signer == "other":
        sign = ["rpmsign", "--define", f"_gpg_name {shop.other}"]
        sign += ["--define", f"__gpg {shutil.which('gpg')}", "--addsign", str(package)]
        subprocess.run(sign, env=shop.ring.environment, check=True, capture_output=True)
    list_rpms_anew(rpms(shop), shop.ring, key=shop.key)
    client.serve(shop.output)
    refused(client, client.install(), client.UNSIGNED)

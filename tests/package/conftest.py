"""Worlds for tests with the machine's own apt."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from apt_world import Base, Cloud, World, cloud_running, make_base, world_running
from built_packages import need
from dnf_world import RPM_PROGRAMS, make_dnf_base
from pacman_world import make_pacman_base
from repository_rig import PROGRAMS as REPOSITORY_PROGRAMS
from repository_rig import Bench, workshop
from zypper_world import PROGRAMS as ZYPPER_PROGRAMS
from zypper_world import make_zypper_base

from run_directory import RunDirectory


@pytest.fixture(scope="session")
def apt_base(tmp_path_factory: pytest.TempPathFactory, run_directory: RunDirectory) -> Base:
    """Make what all worlds share."""
    if not shutil.which("apt-get"):
        pytest.skip("no apt-get here; these tests need Debian or Ubuntu")
    return make_base(tmp_path_factory.mktemp("base"), run_directory)


@pytest.fixture(scope="session")
def apt_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Run a simulated cloud with two loop disks."""
    with cloud_running(tmp_path_factory.mktemp("disks")) as running:
        yield running


@pytest.fixture
def cloud(apt_cloud: Cloud) -> Cloud:
    """Return the cloud as if nothing had been done in it."""
    apt_cloud.begin_anew()
    return apt_cloud


@pytest.fixture
def world(
    apt_base: Base, cloud: Cloud, tmp_path: Path, run_directory: RunDirectory
) -> Iterator[World]:
    """Run a machine with apt, our hook and the agent."""
    with world_running(apt_base, cloud, tmp_path / "world", run_directory) as running:
        yield running


@pytest.fixture(scope="session")
def dnf_base(tmp_path_factory: pytest.TempPathFactory, run_directory: RunDirectory) -> Base:
    """Make what all worlds with dnf share."""
    missing = [program for program in RPM_PROGRAMS if not shutil.which(program)]
    if missing:
        pytest.skip(f"not here: {', '.join(missing)} (Debian: dnf, rpm, createrepo-c)")
    return make_dnf_base(tmp_path_factory.mktemp("dnf"), run_directory)


@pytest.fixture(scope="session")
def zypper_base(tmp_path_factory: pytest.TempPathFactory, run_directory: RunDirectory) -> Base:
    """Make what all worlds with zypper share."""
    missing = [program for program in ZYPPER_PROGRAMS if not shutil.which(program)]
    if missing:
        pytest.skip(f"not here: {', '.join(missing)} (Debian: zypper, rpm, createrepo-c)")
    return make_zypper_base(tmp_path_factory.mktemp("zypper"), run_directory)


@pytest.fixture(scope="session")
def pacman_base(tmp_path_factory: pytest.TempPathFactory, run_directory: RunDirectory) -> Base:
    """Make what all worlds with pacman share."""
    if not shutil.which("pacman"):
        pytest.skip("not here: pacman (Debian: pacman-package-manager)")
    return make_pacman_base(tmp_path_factory.mktemp("pacman"), run_directory)


@pytest.fixture(scope="module")
def first_bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Make keys and a signed repository of version 1.0 once."""
    need(*REPOSITORY_PROGRAMS)
    with workshop(tmp_path_factory.mktemp("workshop")) as made:
        yield made


@pytest.fixture
def bench(first_bench: Bench, tmp_path: Path) -> Bench:
    """Return a copy of the repository, alone in a folder."""
    place = tmp_path / "place"
    place.mkdir()
    shutil.copytree(first_bench.output, place / "repository")
    return replace(first_bench, place=place)

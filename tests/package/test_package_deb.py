"""The real .deb with this machine's real dpkg and apt: installed, upgraded, removed, purged.

The package goes through its life once; what there is to see is noted at each station, and the tests
look at the notes. Whatever happens the machine is left as it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from built_packages import NEXT_VERSION, deb, need, project_version
from debian_repository import Deb

from json_schemas import described, hold

NAME = "snap-self"
LIMIT_S = 300.0
STATE_FILE = Path("/var/lib/snap-self/runs/kept-by-removal.json")
CONFIG = Path("/etc/snap-self/config.toml")
OWN_CONFIG = Path("/etc/snap-self/conf.d/50-mine.toml")
GUARD = Path("/etc/snap-self/hook-guard")
APT_CONF = Path("/etc/apt/apt.conf.d/65snap-self")
WANTED = Path("/etc/systemd/system/sysinit.target.wants/snap-self-thaw.service")
MARK = "# changed by the administrator\n"
METRICS = Path("/var/lib/snap-self-test.prom")
WATCHED = f'[metrics]\ntextfile = "{METRICS}"\n'
PRERM = "/var/lib/dpkg/info/snap-self.prerm"
SEARCHED = ("/etc", "/opt", "/usr", "/var", "/lib/systemd")
OTHERS = Deb(name="snap-self-test-tool", version="1.0")

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: packages are installed"),
]


def run(*argv: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [str(word) for word in argv],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"}
        | {"DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def apt(verb: str, *what: str | Path) -> subprocess.CompletedProcess[str]:
    """Run apt-get; another one on this machine is waited for."""
    return run("apt-get", "-y", "-q", "-o", "DPkg::Lock::Timeout=300", verb, *what)


def status() -> str:
    """Return what dpkg says of the package; empty where it has never heard of it."""
    return run("dpkg-query", "-W", "-f", "${db:Status-Status}", NAME).stdout


def traces() -> set[str]:
    """Return every path on this machine that bears our name."""
    found = set()
    for top in SEARCHED:
        for folder, folders, files in os.walk(top):
            ours = {name for name in (*folders, *files) if "snap-self" in name}
            found |= {f"{folder}/{name}" for name in ours}
            folders[:] = [name for name in folders if name not in ours]
    return found


@dataclass(frozen=True)
class Archive:
    """What a package says that it holds."""

    files: dict[str, tuple[int, str]]
    links: dict[str, str]

    @classmethod
    def of(cls, path: Path) -> Archive:
        """Read a package."""
        pipe = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(path)], stdout=subprocess.PIPE)
        files, links = {}, {}
        with pipe, tarfile.open(fileobj=pipe.stdout, mode="r|") as tar:
            for member in tar:
                place = member.name.lstrip(".")
                assert (member.uid, member.gid) == (0, 0), place
                if member.isfile():
                    content = tar.extractfile(member)
                    assert content is not None
                    files[place] = (member.mode, hashlib.md5(content.read()).hexdigest())
                elif member.issym():
                    links[place] = member.linkname
        return cls(files, links)


def on_disk(archive: Archive) -> Archive:
    """Return what the machine has at the places of an archive's files."""
    there = [Path(place) for place in archive.files if Path(place).exists()]
    files = {
        str(path): (path.stat().st_mode & 0o7777, hashlib.md5(path.read_bytes()).hexdigest())
        for path in there
    }
    linked = [Path(place) for place in archive.links if Path(place).is_symlink()]
    links = {str(path): str(path.readlink()) for path in linked}
    return Archive(files, links)


def below_opt() -> set[str]:
    """Return all files below our folder."""
    return {str(path) for path in Path("/opt/snap-self").rglob("*") if not path.is_dir()}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[set[str]]:
    """Return what the machine has of us before; take away afterwards what came."""
    need("dpkg-deb", "apt-get")
    if status() or Path("/opt/snap-self").exists() or Path("/etc/snap-self").exists():
        pytest.skip("snap-self is installed on this machine; it is left alone")
    before = traces()
    try:
        yield before
    finally:
        run("dpkg", "--purge", "--force-remove-reinstreq", NAME)
        run("dpkg", "--purge", OTHERS.name)
        for path in traces() - before:
            if Path(path).is_dir() and not Path(path).is_symlink():
                shutil.rmtree(path)
            else:
                Path(path).unlink()


@dataclass(frozen=True)
class Installed:
    """What there was to see when it was freshly installed."""

    apt: subprocess.CompletedProcess[str]
    packed: Archive
    placed: Archive
    verify: str
    version: subprocess.CompletedProcess[str]
    said: str
    doctor: subprocess.CompletedProcess[str]
    units: tuple[bool, bool]
    state: bool
    below_opt: set[str]


@pytest.fixture(scope="module")
def installed(machine: set[str]) -> Installed:
    """Install the package, and use it a little."""
    package = deb()
    done = apt("install", package)
    state = Path("/var/lib/snap-self").exists()
    packed = Archive.of(package)
    return Installed(
        apt=done,
        packed=packed,
        placed=on_disk(packed),
        verify=run("dpkg", "--verify", NAME).stdout,
        version=run("/usr/bin/snap-self", "--version"),
        said=run("/usr/bin/snap-self", "--version", "--json").stdout,
        doctor=run("/usr/bin/snap-self", "doctor"),
        units=(WANTED.is_symlink(), bool(list(WANTED.parents[1].glob("*/snap-self-prune*")))),
        state=state,
        below_opt=below_opt(),
    )


def test_installing_places_every_file_as_it_is_packed(installed: Installed) -> None:
    assert installed.apt.returncode == 0, installed.apt.stderr
    assert installed.placed == installed.packed
    assert installed.verify == ""


def test_package_depends_on_nothing() -> None:
    fields = run("dpkg-deb", "--field", deb(), "Depends", "Pre-Depends", "Recommends").stdout
    assert fields == ""


def test_installed_command_runs(installed: Installed) -> None:
    assert installed.version.stdout == f"snap-self {project_version()}\n"
    # On no machine of the cloud the doctor says so; a broken installation says something else.
    assert "Traceback" not in installed.doctor.stderr
    assert installed.doctor.returncode != 127


def test_installed_command_says_what_its_installed_schema_describes(installed: Installed) -> None:
    folder = "/usr/share/snap-self/schema/"
    placed = {place for place in installed.packed.files if place.startswith(folder)}
    assert placed == {f"{folder}{name}.schema.json" for name in described()}
    hold(json.loads(installed.said), "version")


def test_running_it_writes_nothing_below_opt(installed: Installed) -> None:
    packed = {*installed.packed.files, *installed.packed.links}
    assert installed.below_opt == {place for place in packed if place.startswith("/opt/")}


def test_installing_switches_on_the_thaw_at_boot_and_not_the_pruning(installed: Installed) -> None:
    assert installed.units == (True, False)


def test_installing_makes_no_snapshot_and_no_state(installed: Installed) -> None:
    assert installed.state is False


@dataclass(frozen=True)
class Upgraded:
    """What there was to see after the upgrade."""

    apt: subprocess.CompletedProcess[str]
    version: str
    config: str
    own_config: bool
    packed: Archive
    placed: Archive
    below_opt: set[str]
    metrics: bool


@pytest.fixture(scope="module")
def upgraded(installed: Installed) -> Upgraded:
    """Change the configuration, then upgrade; apt now runs our own hook."""
    CONFIG.write_text(CONFIG.read_text() + MARK)
    OWN_CONFIG.write_text(MARK + WATCHED)
    run("/usr/bin/snap-self", "metrics", "--refresh")
    package = deb(NEXT_VERSION)
    done = apt("install", package)
    packed = Archive.of(package)
    return Upgraded(
        apt=done,
        version=run("dpkg-query", "-W", "-f", "${Version}", NAME).stdout,
        config=CONFIG.read_text(),
        own_config=OWN_CONFIG.exists(),
        packed=packed,
        placed=on_disk(packed),
        below_opt=below_opt(),
        metrics=METRICS.is_file(),
    )


def test_upgrade_replaces_the_files(upgraded: Upgraded) -> None:
    assert upgraded.apt.returncode == 0, upgraded.apt.stderr
    assert upgraded.version == f"{NEXT_VERSION}-1"
    differing = {
        place
        for place, what in upgraded.packed.files.items()
        if upgraded.placed.files.get(place) != what
    }
    assert differing == {str(CONFIG)}


def test_upgrade_leaves_nothing_of_the_old_version(upgraded: Upgraded) -> None:
    packed = {*upgraded.packed.files, *upgraded.packed.links}
    assert upgraded.below_opt == {place for place in packed if place.startswith("/opt/")}


def test_upgrade_keeps_a_changed_configuration(upgraded: Upgraded) -> None:
    assert upgraded.config.endswith(MARK)
    assert upgraded.own_config


def test_upgrade_leaves_the_metrics(upgraded: Upgraded) -> None:
    assert upgraded.metrics


@dataclass(frozen=True)
class Removed:
    """What there was to see after the removal."""

    apt: subprocess.CompletedProcess[str]
    traces: set[str]
    others: subprocess.CompletedProcess[str]
    config: str
    state: bool
    wanted: bool
    link: tuple[int, bool]


@pytest.fixture(scope="module")
def removed(upgraded: Upgraded, tmp_path_factory: pytest.TempPathFactory) -> Removed:
    """Remove the package, then install another one: apt still runs our hook's registration."""
    STATE_FILE.parent.mkdir(parents=True, exist_ok=True)
    STATE_FILE.write_text("{}")
    kept = Path(shutil.move(METRICS, tmp_path_factory.mktemp("metrics") / "kept"))
    METRICS.symlink_to(kept)
    # What is not ours stays, and is no hindrance.
    link = (run(PRERM, "remove").returncode, METRICS.is_symlink() and kept.is_file())
    METRICS.unlink()
    shutil.move(kept, METRICS)
    done = apt("remove", NAME)
    other = tmp_path_factory.mktemp("other") / OTHERS.file_name
    other.write_bytes(OTHERS.archive())
    other.parent.chmod(0o755)
    return Removed(
        apt=done,
        others=apt("install", other),
        traces=traces(),
        config=CONFIG.read_text(),
        state=STATE_FILE.exists(),
        wanted=WANTED.exists(),
        link=link,
    )


def test_removal_takes_the_metrics_away_and_no_link(removed: Removed) -> None:
    assert removed.link == (0, True)
    assert str(METRICS) not in removed.traces
    assert f"removed {METRICS} (metrics.textfile)" in removed.apt.stdout + removed.apt.stderr


def test_removal_takes_the_program_and_its_unit_away(removed: Removed) -> None:
    assert removed.apt.returncode == 0, removed.apt.stderr
    assert not {path for path in removed.traces if path.startswith(("/opt/", "/usr/bin/"))}
    assert removed.wanted is False


def test_removal_keeps_configuration_and_state(removed: Removed) -> None:
    assert removed.config.endswith(MARK)
    assert removed.state
    assert {"/etc/snap-self", str(APT_CONF)} <= removed.traces


def test_apt_works_without_a_word_after_the_removal(removed: Removed) -> None:
    assert removed.others.returncode == 0, removed.others.stderr
    said = removed.others.stdout + removed.others.stderr
    assert [line for line in said.splitlines() if line.startswith("snap-self:")] == []


@pytest.fixture(scope="module")
def purged(removed: Removed) -> tuple[subprocess.CompletedProcess[str], str, set[str]]:
    """Purge the package."""
    run("dpkg", "--purge", OTHERS.name)
    done = apt("purge", NAME)
    return done, status(), traces()


def test_purge_leaves_nothing_at_all(
    purged: tuple[subprocess.CompletedProcess[str], str, set[str]], machine: set[str]
) -> None:
    done, known, left = purged
    assert done.returncode == 0, done.stderr
    assert known in ("", "not-installed")
    assert left - machine == set()


def test_lintian_finds_nothing_that_is_not_explained() -> None:
    need("lintian")
    package = deb()
    done = run("lintian", "--allow-root", "--fail-on", "error,warning", package)
    assert (done.returncode, done.stdout) == (0, "")

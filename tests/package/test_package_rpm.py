"""The real .rpm in install roots of its own, with real rpm; the agent run from there.

The package goes through its life once in each root; the tests look at what was noted meanwhile.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import pytest
from built_packages import NEXT_VERSION, need, project_version, rpm
from rpm_repository import Rpm, make_rpms

from agent_runner import CHECKOUT
from json_schemas import described
from snap_self.model.summary import Summary
from snap_self.watching.metrics import exposition

LIMIT_S = 300.0
NAME = "snap-self"
NOT_OURS = (
    "/var/lib/rpm/",
    "/bin/",
    "/lib/",
    "/lib64/",
    "/dev/",
    f"/usr/lib/{os.uname().machine}-linux",
)
MARK = "# changed by the administrator\n"
METRICS = "/var/lib/snap-self.prom"
WATCHED = f'[metrics]\ntextfile = "{METRICS}"\n'
SUMMARY = Summary(written=datetime(2026, 11, 22, tzinfo=timezone.utc), version="1")

pytestmark = [
    pytest.mark.root,
    pytest.mark.own_root,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: packages are installed"),
]


def run(*argv: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [str(word) for word in argv],
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


class Root:
    """An install root: a whole system as far as rpm is concerned."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self._options = options

    def rpm(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run rpm on this root."""
        place = ("--root", self.folder, "--dbpath", "/var/lib/rpm")
        return run("rpm", *place, *arguments)

    def change(self, *arguments: str | Path) -> None:
        """Install, upgrade or erase."""
        done = self.rpm(*arguments, *self._options)
        assert done.returncode == 0, done.stderr

    def inside(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a program in the root."""
        return run("chroot", self.folder, *argv)

    def files(self) -> set[str]:
        """Return all that is there but rpm's own."""
        paths = self.folder.rglob("*")
        ours = {f"/{path.relative_to(self.folder)}" for path in paths if not path.is_dir()}
        # Of the mounted folders nothing was placed by us.
        return {path for path in ours if not path.startswith(NOT_OURS)}


@dataclass(frozen=True)
class EmptyLife:
    """What there was to see in the root that holds nothing else."""

    version: subprocess.CompletedProcess[str]
    listed: subprocess.CompletedProcess[str]
    verify: str
    files: set[str]
    upgraded: str
    config: str
    erased: set[str]


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> EmptyLife:
    """Install, use, upgrade and erase in a root with no shell, no C library and no /proc."""
    need("rpm", "rpmbuild")
    folder = tmp_path_factory.mktemp("empty")
    root = Root(folder, "--nodeps", "--noscripts", "--notriggers")
    root.change("--install", rpm())
    version = root.inside("/usr/bin/snap-self", "--version")
    listed = root.inside("/opt/snap-self/bin/snap-self", "list")
    verify, files = root.rpm("--verify", "--nodeps", NAME).stdout, root.files()
    config = folder / "etc/snap-self/config.toml"
    config.write_text(config.read_text() + MARK)
    root.change("--upgrade", rpm(NEXT_VERSION))
    upgraded, kept = root.rpm("-q", NAME).stdout, config.read_text()
    root.change("--erase", NAME)
    return EmptyLife(version, listed, verify, files, upgraded, kept, root.files())


LIBRARIES = f"usr/lib/{os.uname().machine}-linux-gnu"
OLD_PLUGINS, NEW_PLUGINS = (
    f"/usr/lib/python3.{minor}/site-packages/dnf-plugins/snap_self.py" for minor in (6, 9)
)


@contextmanager
def root_with_dnf(folder: Path) -> Iterator[Root]:
    """Make a root in which the package's scripts run: this machine's programs, a stand-in of dnf.

    It answers what dnf 4 of EL8 answers, whose Python is at that place.
    """
    if not Path("/", LIBRARIES).is_dir():
        pytest.skip("this machine keeps its libraries elsewhere; the root is made as on Debian")
    root = Root(folder, "--nodeps")
    binds = {"bin": "/usr/bin", "lib": "/usr/lib", "lib64": "/usr/lib64", "dev": "/dev"}
    binds[LIBRARIES] = f"/{LIBRARIES}"
    for name in binds:
        (root.folder / name).mkdir(parents=True)
    write(root.folder / "usr/bin/dnf-3", "#!/usr/libexec/platform-python -s\n")
    dnf_of(root, "/usr/lib/python3.6/site-packages/dnf-plugins")
    try:
        for name, source in binds.items():
            done = run("mount", "--bind", "-o", "ro", source, root.folder / name)
            assert done.returncode == 0, done.stderr
        yield root
    finally:
        for name in binds:
            run("umount", root.folder / name)


def dnf_of(root: Root, folder: str) -> None:
    """Have the root's dnf load its plugins from a folder."""
    write(root.folder / "usr/libexec/platform-python", f"#!/bin/sh\necho {folder}\n")


def write(path: Path, text: str) -> None:
    """Write a program."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@dataclass(frozen=True)
class ScriptedLife:
    """What there was to see in the root where the package's scripts run."""

    before: set[str]
    units: list[str]
    installed: set[str]
    moved: set[str]
    upgraded: set[str]
    erased: set[str]
    link: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> ScriptedLife:
    """Install, have dnf's Python replaced, upgrade and erase."""
    need("rpm", "rpmbuild", "systemctl")
    repository = tmp_path_factory.mktemp("dnf") / "repository"
    make_rpms(repository, [Rpm(name="python3-dnf", version="4.14-1")])
    with root_with_dnf(tmp_path_factory.mktemp("scripted")) as root:
        before = root.files()
        root.change("--install", rpm())
        wanted = root.folder / "etc/systemd/system"
        units = [str(path.relative_to(wanted)) for path in wanted.rglob("*") if path.is_symlink()]
        installed = root.files()
        dnf_of(root, str(Path(NEW_PLUGINS).parent))
        root.change("--install", next(repository.rglob("python3-dnf*.rpm")))
        moved = root.files()
        metrics = root.folder / METRICS.lstrip("/")
        write(root.folder / "etc/snap-self/conf.d/50-watched.toml", WATCHED)
        write(metrics, exposition(SUMMARY, frozen=False))
        root.change("--upgrade", rpm(NEXT_VERSION))
        upgraded = root.files()
        root.change("--erase", NAME)
        erased = root.files()
        # What is not ours stays, and is no hindrance.
        root.change("--install", rpm())
        metrics.symlink_to(root.folder / "usr/libexec/platform-python")
        link = root.rpm("--erase", NAME, "--nodeps")
        return ScriptedLife(before, units, installed, moved, upgraded, erased, link)


def test_agent_runs_in_a_root_that_has_nothing_else(empty: EmptyLife) -> None:
    said = f"snap-self {project_version()}\n"
    assert (empty.version.stdout, empty.version.stderr) == (said, "")
    assert "not an Alibaba Cloud ECS instance" in empty.listed.stderr


def test_installed_files_are_those_of_the_package_also_after_use(empty: EmptyLife) -> None:
    assert empty.verify == ""
    packed = set(run("rpm", "-qlp", rpm()).stdout.split())
    assert empty.files - packed <= {"/var/lib/snap-self/lock"}


def test_upgrade_keeps_a_changed_configuration(empty: EmptyLife) -> None:
    assert empty.upgraded.startswith(f"{NAME}-{NEXT_VERSION}-1.")
    assert empty.config.endswith(MARK)


def test_erasing_keeps_a_changed_configuration_and_the_state(empty: EmptyLife) -> None:
    kept = {"/etc/snap-self/config.toml.rpmsave"}
    assert kept <= empty.erased <= {*kept, "/var/lib/snap-self/lock"}


def test_installing_switches_on_what_mends_at_boot_and_not_the_pruning(
    scripted: ScriptedLife,
) -> None:
    assert sorted(scripted.units) == [
        "multi-user.target.wants/snap-self-confirm.service",
        "multi-user.target.wants/snap-self-unmount.service",
        "sysinit.target.wants/snap-self-thaw.service",
    ]


def test_installing_makes_no_snapshot_and_no_state(scripted: ScriptedLife) -> None:
    assert [path for path in scripted.installed if path.startswith("/var/lib/snap-self")] == []


def test_plugin_is_placed_where_dnfs_own_python_looks(scripted: ScriptedLife) -> None:
    assert {OLD_PLUGINS, "/etc/dnf/plugins/snap_self.conf"} <= scripted.installed
    assert NEW_PLUGINS not in scripted.installed


def test_plugin_follows_dnf_to_another_python(scripted: ScriptedLife) -> None:
    assert NEW_PLUGINS in scripted.moved


def test_upgrade_keeps_the_plugin(scripted: ScriptedLife) -> None:
    assert NEW_PLUGINS in scripted.upgraded


def test_erasing_leaves_nothing_at_all(scripted: ScriptedLife) -> None:
    left = {path for path in scripted.erased - scripted.before if "snap-self-test" not in path}
    assert left == {"/etc/snap-self/conf.d/50-watched.toml"}


def test_upgrade_leaves_the_metrics_and_erasing_takes_them_away(scripted: ScriptedLife) -> None:
    assert METRICS in scripted.upgraded
    assert METRICS not in scripted.erased


def test_erasing_leaves_a_link_in_the_place_of_the_metrics(scripted: ScriptedLife) -> None:
    assert scripted.link.returncode == 0, scripted.link.stderr
    said = scripted.link.stdout + scripted.link.stderr
    assert f"{METRICS} (metrics.textfile) is still there" in said


def test_package_places_the_schemas_of_json() -> None:
    need("rpm", "rpmbuild")
    placed = set(run("rpm", "-qpl", rpm()).stdout.splitlines())
    assert {f"/usr/share/snap-self/schema/{name}.schema.json" for name in described()} <= placed


def test_package_depends_on_a_shell_only() -> None:
    need("rpm", "rpmbuild")
    needed = {line.split()[0] for line in run("rpm", "-qpR", rpm()).stdout.splitlines()}
    assert {name for name in needed if not name.startswith("rpmlib(")} == {"/bin/sh"}


def test_rpmlint_finds_no_error_that_is_not_explained() -> None:
    need("rpmlint", "rpm", "rpmbuild")
    done = run("rpmlint", "--config", CHECKOUT / "packaging/rpm/rpmlint.toml", rpm())
    assert done.returncode == 0, done.stdout
    assert " 0 errors, 0 warnings" in done.stdout

"""The Ansible collection, run by Ansible itself: a machine with apt from nothing to nothing.

One machine goes through its life once, by the play of the collection's README; what there is to see
is noted at each station, and the tests look at the notes. Then a shorter life with dnf.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_rig import (
    COLLECTION,
    CONFIG,
    TOOLS,
    Controller,
    Played,
    blocks,
    collection_name,
    controller,
    need_ansible,
)
from apt_world import Base, Cloud, Done, World, world_running
from built_packages import NEXT_VERSION, deb, need, project_version, rpm
from dnf_world import dnf_world_running
from rpm_repository import Rpm, make_rpms
from signed_repository import PROGRAMS, Signer, make_signed, signer

from run_directory import RunDirectory

pytestmark = [pytest.mark.root, pytest.mark.own_root, pytest.mark.slow]

SWITCH = "/etc/snap-self/conf.d/80-package-managers.toml"
PROGRAM = "/usr/bin/snap-self"
OURS = ("/opt/snap-self", PROGRAM, "/etc/apt/apt.conf.d/65snap-self", "/etc/snap-self/hook-guard")
PACKAGE = """dpkg-query -W -f '${Version}' snap-self 2>/dev/null ||
rpm -q --qf '%{VERSION}-%{RELEASE}' snap-self"""
WEEK = {"snapshot": {"keep": "7d", "tags": {"team": "wéb ☂", "a b": 'quo"ted'}}}
MONTH = {"snapshot": {"keep": "30d"}, "disks": {"exclude": ["/scratch", "vdz"]}}
OS_RELEASE = 'NAME="AlmaLinux"\nID="almalinux"\nID_LIKE="rhel"\nVERSION_ID="9.4"\n'
METRICS = "/var/lib/snap-self.prom"
LATER = {"snap_self_config": MONTH, "snap_self_metrics_textfile": METRICS}
WATCHED = {**LATER, "snap_self_doctor": "skip"}
TIMER = "snap-self-metrics.timer"
WANTED = f"/etc/systemd/system/timers.target.wants/{TIMER}"
# A world has no systemd: its links are made by the real program, what would run is noted.
SYSTEMCTL = """#!/bin/sh
case "$1" in
enable | disable | is-enabled) exec /usr/bin/systemctl --root=/ "$@" ;;
start) echo >"/run/systemd/system/$2.runs" ;;
stop) rm -f "/run/systemd/system/$2.runs" ;;
show)
    echo "Id=$2"
    echo LoadState=loaded
    if [ -e "/run/systemd/system/$2.runs" ]; then state=active; else state=inactive; fi
    echo "ActiveState=$state"
    ;;
esac
"""
WRONG = {"snapshot": {"keep": "soon", "kepe": 1}}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    """Make a key for the repositories."""
    need(*PROGRAMS)
    with signer(tmp_path_factory.mktemp("k") / "gpg") as made:
        yield made


def test_collection_passes_its_linter() -> None:
    need_ansible("ansible-lint")
    done = subprocess.run(
        [TOOLS / "ansible-lint", "--offline", "--nocolor", "-q", "."],
        cwd=COLLECTION,
        env={"PATH": f"{TOOLS}:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


# --- apt: a whole life -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A run of the play, and what the machine had after it."""

    played: Played
    config: str | None
    switch: str | None
    version: str

    @property
    def counts(self) -> tuple[int, bool, bool]:
        """Return its status, whether anything changed and whether anything failed."""
        return self.played.status, self.played.changed > 0, self.played.failed > 0


def look(world: World, played: Played) -> Seen:
    """Note what there is."""

    def text(inside: str) -> str | None:
        path = world.path(inside)
        return path.read_text(encoding="utf-8") if path.exists() else None

    there = is_there(world, PROGRAM)
    version = world.run("sh", "-c", PACKAGE).out.strip() if there else ""
    return Seen(played=played, config=text(CONFIG), switch=text(SWITCH), version=version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timers:
    """Runs of the play where systemd is, each with whether the timer is enabled and runs."""

    unasked: tuple[Played, bool, bool]
    rehearsed: tuple[Played, bool, bool]
    on: tuple[Played, bool, bool]
    again: tuple[Played, bool, bool]
    off: tuple[Played, bool, bool]
    refused: tuple[Played, bool, bool]


def switch_timer(world: World, plain: Controller) -> Timers:
    """Have the role switch the timer of the metrics, in a world that takes itself for systemd's."""
    runs = "/run/systemd/system"
    world.path(runs).mkdir(parents=True)
    world.write("/usr/local/sbin/systemctl", SYSTEMCTL, 0o755)

    def seen(*options: str, **more: Any) -> tuple[Played, bool, bool]:
        played = plain.given(**WATCHED).given(**more).play(*options)
        return played, is_there(world, WANTED), is_there(world, f"{runs}/{TIMER}.runs")

    try:
        return Timers(
            unasked=seen(snap_self_metrics_timer=""),
            rehearsed=seen("--check"),
            on=seen(),
            again=seen(),
            off=seen(snap_self_metrics_timer=False),
            refused=seen(snap_self_metrics_timer="soon"),
        )
    finally:
        world.path("/usr/local/sbin/systemctl").unlink()
        world.run("rm", "-r", "/run/systemd")


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What was seen at each station."""

    collection: tuple[Played, ...]
    rehearsed: Seen
    first: Seen
    second: Seen
    task: Done
    reconfigured: Seen
    refused: Seen
    parsed: dict[str, Any]
    timers: Timers
    upgraded: Seen
    metrics: tuple[bool, ...]
    removed: Seen
    sources_left: list[str]
    purged: Seen
    left: list[str]


def bare(world: World) -> World:
    """Return a world without the agent that it comes with."""
    world.run("rm", "-rf", *OURS)
    return world


def install_collection(on: Controller) -> tuple[Played, ...]:
    """Give the README's commands up to those that play."""
    lines = [line.partition("#")[0].strip() for line in blocks("sh")[0].splitlines()]
    return tuple(on.run(line) for line in lines if line.startswith("ansible-galaxy"))


def parse(world: World, inside: str) -> dict[str, Any]:
    """Return a file's tables, as TOML's own parser has them."""
    code = "import json, sys, tomllib; print(json.dumps(tomllib.load(open(sys.argv[1], 'rb'))))"
    parsed: dict[str, Any] = json.loads(world.run("/usr/bin/python3", "-c", code, inside).out)
    return parsed


def task_of_the_readme() -> str:
    """Return the command of the README's task, with one that is there in place of a migration."""
    task = next(block for block in blocks("yaml") if "snap-self run" in block)
    line = next(line for line in task.splitlines() if "ansible.builtin.command: " in line)
    return line.partition("command: ")[2].replace("/srv/app/migrate.sh", "/bin/true")


@pytest.fixture(scope="module")
def life(
    apt_base: Base,
    apt_cloud: Cloud,
    keys: Signer,
    tmp_path_factory: pytest.TempPathFactory,
    run_directory: RunDirectory,
) -> Iterator[Life]:
    """Lead a machine with apt through all of it."""
    need_ansible("ansible-playbook", "ansible-galaxy")
    need("dpkg-deb")
    apt_cloud.begin_anew()
    folder = tmp_path_factory.mktemp("ansible")
    with world_running(apt_base, apt_cloud, folder / "world", run_directory) as world:
        plain = controller(
            bare(world),
            snap_self_repository_url="",
            snap_self_config=WEEK,
            snap_self_hooks="all",
        )
        collection = install_collection(plain)
        packaged = plain.given(snap_self_package=plain.put(deb()))
        rehearsed = look(world, packaged.play("--check", "--diff"))
        first = look(world, packaged.play())
        parsed = parse(world, CONFIG)
        second = look(world, packaged.play())
        task = world.run("sh", "-c", task_of_the_readme())
        reconfigured = look(world, packaged.given(**LATER).play("--diff"))
        refused = look(world, packaged.given(snap_self_config=WRONG).play())
        timers = switch_timer(world, packaged)
        world.cut_off()
        watched = plain.given(snap_self_metrics_textfile=METRICS)
        refreshed = world.run("snap-self", "metrics", "--refresh")
        upgraded = look(world, upgrade(watched, keys, run_directory.root / "apt-repository"))
        kept = (refreshed.status == 0, is_there(world, METRICS))
        removed = look(world, plain.given(snap_self_state="absent").play())
        metrics = (*kept, is_there(world, METRICS))
        sources = sorted(path.name for path in world.path("/etc/apt/sources.list.d").iterdir())
        gone = {"snap_self_state": "absent", "snap_self_purge": True}
        purged = look(world, plain.given(**gone).play())
        left = [
            path
            for path in (*OURS, METRICS, "/etc/snap-self", "/var/lib/snap-self")
            if is_there(world, path)
        ]
        yield Life(
            collection=collection,
            rehearsed=rehearsed,
            first=first,
            second=second,
            task=task,
            reconfigured=reconfigured,
            refused=refused,
            parsed=parsed,
            timers=timers,
            metrics=metrics,
            upgraded=upgraded,
            removed=removed,
            sources_left=sources,
            purged=purged,
            left=left,
        )


def is_there(world: World, inside: str) -> bool:
    """Tell whether the world has something at a path; a link's target is another root's here."""
    return os.path.lexists(world.path(inside))


def upgrade(plain: Controller, keys: Signer, folder: Path) -> Played:
    """Have the newer package come from a signed repository, with the cloud cut off."""
    make_signed(folder, keys, debs=[deb(NEXT_VERSION)], rpms=[])
    return plain.given(
        snap_self_state="latest",
        snap_self_repository_url=f"file://{folder}/",
        snap_self_repository_key=plain.put(folder / "snap-self.asc"),
        snap_self_config=MONTH,
        snap_self_hooks={"apt": False},
        snap_self_doctor="fail",
    ).play()


def test_collection_is_built_and_installed_as_its_readme_says(life: Life) -> None:
    assert [each.status for each in life.collection] == [0, 0], life.collection
    assert any(collection_name() in line for line in blocks("sh")[0].splitlines())


def test_rehearsal_tells_what_would_change_and_changes_nothing(life: Life) -> None:
    assert life.rehearsed.counts == (0, True, False), life.rehearsed.played
    assert '+keep = "7d"' in life.rehearsed.played.out
    assert (life.rehearsed.config, life.rehearsed.version) == (None, "")


def test_first_run_installs_configures_and_switches(life: Life) -> None:
    assert life.first.counts == (0, True, False), life.first.played
    assert life.first.version == f"{project_version()}-1"
    assert life.parsed == WEEK
    assert life.first.switch is None  # all hooks are on from the start
    assert '"snap_self_doctor_report.ready"' in life.first.played.out


def test_second_run_changes_nothing(life: Life) -> None:
    assert life.second.counts == (0, False, False), life.second.played


def test_task_of_the_readme_makes_a_snapshot_first(life: Life) -> None:
    assert life.task.status == 0, life.task.err
    assert "snapshot" in life.task.err


def test_other_settings_replace_the_file_and_the_change_is_shown(life: Life) -> None:
    assert (life.reconfigured.played.status, life.reconfigured.played.changed) == (0, 1)
    assert '-keep = "7d"' in life.reconfigured.played.out
    assert 'keep = "30d"' in (life.reconfigured.config or "")
    assert 'exclude = ["/scratch", "vdz"]' in (life.reconfigured.config or "")


def test_short_name_of_the_metrics_file_is_its_key(life: Life) -> None:
    assert f'[metrics]\ntextfile = "{METRICS}"' in (life.reconfigured.config or "")


def test_timer_is_switched_on_where_the_metrics_file_is_set(life: Life) -> None:
    played, enabled, runs = life.timers.on
    assert (played.status, played.changed, enabled, runs) == (0, 1, True, True), played
    played, enabled, runs = life.timers.again
    assert (played.status, played.changed, enabled, runs) == (0, 0, True, True), played


def test_rehearsal_tells_of_the_timer_and_leaves_it(life: Life) -> None:
    played, enabled, runs = life.timers.rehearsed
    assert (played.status, played.changed, enabled, runs) == (0, 1, False, False), played


def test_timer_of_which_nothing_is_said_is_left(life: Life) -> None:
    played, enabled, runs = life.timers.unasked
    assert (played.status, played.changed, enabled, runs) == (0, 0, False, False), played


def test_timer_is_switched_off_where_that_is_said(life: Life) -> None:
    played, enabled, runs = life.timers.off
    assert (played.status, played.changed, enabled, runs) == (0, 1, False, False), played


def test_timer_that_is_neither_on_nor_off_is_refused(life: Life) -> None:
    played, _, _ = life.timers.refused
    assert played.failed == 1
    assert "snap_self_metrics_timer is true, false or empty" in played.out


def test_upgrade_leaves_the_metrics_and_removal_takes_them_away(life: Life) -> None:
    assert life.metrics == (True, True, False), life.removed.played


def test_wrong_settings_are_refused_by_key_and_the_old_file_stays(life: Life) -> None:
    assert life.refused.played.failed == 1
    assert "snapshot.keep 'soon' is not a duration" in life.refused.played.out
    assert "snapshot.kepe is not known; did you mean keep?" in life.refused.played.out
    assert life.refused.config == life.reconfigured.config


def test_latest_comes_from_the_signed_repository(life: Life) -> None:
    assert life.upgraded.version == f"{NEXT_VERSION}-1", life.upgraded.played


def test_one_hook_is_switched_off(life: Life) -> None:
    assert life.upgraded.switch is not None
    assert '"apt"' not in life.upgraded.switch
    assert '"dnf"' in life.upgraded.switch


def test_doctor_fails_the_machine_where_that_is_asked(life: Life) -> None:
    assert life.upgraded.played.failed == 1
    assert "metadata" in life.upgraded.played.out.rpartition("Fail where")[2]


def test_removal_keeps_the_configuration_and_takes_the_repository_away(life: Life) -> None:
    assert life.removed.counts == (0, True, False), life.removed.played
    assert (life.removed.version, life.removed.config) == ("", life.upgraded.config)
    assert "snap-self.sources" not in life.sources_left


def test_purge_leaves_nothing(life: Life) -> None:
    assert life.purged.counts == (0, True, False), life.purged.played
    assert life.left == []


# --- dnf: the same in short ------------------------------------------------------------------


@pytest.fixture(scope="module")
def rpm_life(
    dnf_base: Base,
    keys: Signer,
    tmp_path_factory: pytest.TempPathFactory,
    run_directory: RunDirectory,
) -> Iterator[tuple[Seen, Seen, Seen, list[str]]]:
    """Lead a machine with dnf from a signed repository to the removal."""
    need_ansible("ansible-playbook", "ansible-galaxy")
    need("rpmbuild", "rpmsign", "createrepo_c")
    folder = tmp_path_factory.mktemp("ansible-dnf")
    repository = run_directory.root / "rpm-repository"
    with dnf_world_running(dnf_base, None, folder / "world", run_directory) as world:
        # What the package's scripts need, and a world of dnf does not have.
        make_rpms(folder / "shell", [Rpm(name="shell", version="1-1", tags=("Provides: /bin/sh",))])
        shell = next((folder / "shell").rglob("*.rpm"))
        make_signed(repository, keys, debs=[], rpms=[rpm(), shell])
        plain = controller(
            bare(world),
            snap_self_repository_url=f"file://{repository}",
            snap_self_config=WEEK,
            snap_self_metrics_textfile=METRICS,
            snap_self_hooks={"dnf": True},
            snap_self_doctor="skip",
        )
        plain = plain.given(snap_self_repository_key=plain.put(repository / "snap-self.asc"))
        install_collection(plain)
        # Ansible takes a Debian for a machine of apt, whatever else it has.
        world.write("/etc/os-release", OS_RELEASE)
        first = look(world, plain.play())
        # The source is there now, and so one of the machine's own.
        own = plain.given(snap_self_repository_url="", snap_self_repository_key="")
        second = look(world, own.given(snap_self_state="latest").play())
        world.write(METRICS, "another 1\n")
        gone = {"snap_self_state": "absent", "snap_self_purge": True}
        purged = look(world, plain.given(**gone).play())
        places = (*OURS, METRICS, "/etc/snap-self", "/etc/yum.repos.d/snap-self.repo")
        yield first, second, purged, [place for place in places if is_there(world, place)]


def test_dnf_installs_from_the_signed_repository(
    rpm_life: tuple[Seen, Seen, Seen, list[str]],
) -> None:
    first = rpm_life[0]
    assert first.counts == (0, True, False), first.played
    assert first.version == f"{project_version()}-1"
    assert 'keep = "7d"' in (first.config or "")


def test_dnf_has_nothing_to_do_in_the_second_run(
    rpm_life: tuple[Seen, Seen, Seen, list[str]],
) -> None:
    assert rpm_life[1].counts == (0, False, False), rpm_life[1].played


def test_dnf_purge_leaves_nothing_but_the_metrics_of_another(
    rpm_life: tuple[Seen, Seen, Seen, list[str]],
) -> None:
    _, _, purged, left = rpm_life
    assert purged.counts == (0, True, False), purged.played
    assert left == [METRICS]

"""What a real systemd starts and stops by itself is known before a disk is taken away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from systemd_world import World, skip_reason, systemd_running

from snap_self.system.going_back.units import Units, unit_of_path
from snap_self.usecases.going_back.judging import units_touched

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(bool(skip_reason()), reason=skip_reason()),
]
PLACE = "/srv/da-ta"
MOUNT = unit_of_path(PLACE, "mount")
SLEEP = "[Service]\nExecStart=/bin/sleep infinity\n"
UNITS = {
    "kept.service": SLEEP,
    "keeper.service": f"[Unit]\nUpholds=kept.service\n{SLEEP}",
    "bound.service": f"[Unit]\nBindsTo={MOUNT}\nAfter={MOUNT}\n{SLEEP}",
    MOUNT: f"[Mount]\nWhat=none\nType=tmpfs\nWhere={PLACE}\n",
}


class InWorld:
    """Runs programs beside that systemd."""

    def __init__(self, world: World) -> None:
        self._world = world

    def run(self, argv: Sequence[str], *, timeout_s: float) -> tuple[int, str, str]:
        assert timeout_s > 0
        done = self._world.run(*argv)
        return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with systemd_running(tmp_path_factory.mktemp("units") / "world") as found:
        for name, text in UNITS.items():
            folder = found.path("/run/systemd/system")
            folder.mkdir(parents=True, exist_ok=True)
            Path(folder, name).write_text(text, encoding="utf-8")
        found.run("systemctl", "daemon-reload")
        yield found


@pytest.fixture
def units(world: World) -> Units:
    started = world.run("systemctl", "start", MOUNT, "bound.service", "keeper.service")
    assert started.returncode == 0, started.stderr
    units = Units(InWorld(world))
    world.wait(lambda: units.facts("kept.service").active)
    return units


def test_what_upholds_a_unit_has_it_come_again_unless_it_is_stopped_before(
    world: World, units: Units
) -> None:
    if not units.facts("kept.service").upheld_by:
        pytest.skip("this systemd knows no Upholds=")
    # The control.
    units.stop("kept.service")
    world.wait(lambda: units.facts("kept.service").active)

    touched = units_touched(units.facts, ["kept.service"])
    assert [unit.name for unit in touched] == ["keeper.service", "kept.service"]
    for unit in touched:
        units.stop(unit.name)
    # Whatever is still to be done is done by the time that this has been.
    world.run("systemctl", "start", "test.target")
    assert world.run("systemctl", "list-jobs", "--no-legend").stdout.strip() in (
        "",
        "No jobs running.",
    )
    assert not units.facts("kept.service").active

    for unit in reversed(touched):
        assert units.start(unit.name) == ""
    assert units.facts("kept.service").active


def test_what_is_bound_to_a_mount_is_known_and_goes_with_it_for_good(
    world: World, units: Units
) -> None:
    assert units.bound_to([MOUNT, "never.mount", "dev-never.device"]) == ("bound.service",)
    # As a rollback unmounts, without a job of systemd's.
    assert world.run("umount", PLACE).returncode == 0
    world.wait(lambda: not units.facts("bound.service").active)
    world.run("mount", "-t", "tmpfs", "none", PLACE)
    world.wait(lambda: units.facts(MOUNT).active)
    assert not units.facts("bound.service").active
    assert units.start("bound.service") == ""

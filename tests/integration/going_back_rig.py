"""One instance of the simulated cloud with a volume over two disks, and a twin of the machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ecs_simulator.config import DiskConfig, InstanceConfig, LifeTimes, SimulatorConfig
from fakes.going_back import UNIT, FakeGround, FakeReturns, FakeStay, place_of
from fakes.looking_back import Killed, Life
from fakes.machine_builder import MachineBuilder
from fakes.main_job import MainJob, main_job
from snap_self.cloud.own_disks import EcsOwnDisks
from snap_self.errors import ExitStatus
from snap_self.model.going_back import ReturnId, Standing
from snap_self.model.ids import DiskId
from snap_self.model.machine import MachineText
from snap_self.model.request import Request
from snap_self.system.disks.recorded import RecordedMachine
from snap_self.usecases.going_back.judging import OnlineJudged
from snap_self.usecases.going_back.online import Returned, roll_back_online
from snap_self.usecases.going_back.request import OnlineRequest
from snap_self.usecases.going_back.sweeping import GoneOn, go_on
from snap_self.usecases.going_back.tools import GoingBack

SYSTEM, ONE, TWO = "bp1goingbacksystem00", "bp1goingbackdatadisk1", "bp1goingbackdatadisk2"
DATA = tuple(DiskId(f"d-{serial}") for serial in (ONE, TWO))
MOVES = ("DetachDisk", "ResetDisk", "AttachDisk")
NODES = {f"/dev/{ONE}", f"/dev/{TWO}"}


def machine() -> MachineText:
    """Return a machine with a volume of LVM over its two data disks."""
    builder = MachineBuilder()
    builder.pseudo()
    for name, gib, serial in (("vda", 40, SYSTEM), ("vdb", 20, ONE), ("vdc", 20, TWO)):
        builder.virtio(name, gib, serial)
    root = builder.partition("vda", 1, 39)
    builder.mount("/", "ext4", f"/dev/{root}", device=root)
    volume = builder.mapper(0, "vg0-data", "LVM-" + "a" * 64, gib=39, lower=["vdb", "vdc"])
    builder.mount("/srv", "xfs", "/dev/mapper/vg0-data", device=volume)
    return builder.text()


def cloud() -> SimulatorConfig:
    """Return the cloud that it lives in."""
    disks = (
        DiskConfig(disk_id=f"d-{SYSTEM}", size_gib=40),
        *(DiskConfig(disk_id=name, size_gib=20, delete_with_instance=True) for name in DATA),
    )
    life = LifeTimes(cut_s=0.02, available_s=0.04, accomplished_s=0.1)
    return SimulatorConfig(instances=(InstanceConfig(disks=disks),), life=life)


class Ground(FakeGround):
    """What mounts is the volume's; what is mounted and running must never be torn."""

    def check(self, reset: frozenset[str]) -> None:
        """Hold the machine to it that nothing of a torn set is used."""
        if len(reset) == 1:
            assert not self.mounts, "a torn volume is mounted"
            assert not any(self.units.values()), "a unit runs on a torn volume"


class Online:
    """The instance, with a run of all of its disks, and a database on the volume."""

    def __init__(self, job: MainJob) -> None:
        self.job = job
        job.tools = replace(job.tools, machine=RecordedMachine(machine()))
        self.life = Life()
        self.returns = FakeReturns(self.life)
        self.ground = Ground(self.life, self._attached)
        self.stay = FakeStay()
        self.srv = place_of(ONE, "/srv", mapped="vg0-data")
        self.ground.mounts = {"/srv": self.srv}
        self.ground.groups = {"vg0"}
        self.ground.units = {UNIT: True}
        self.ground.standing = Standing(groups={"vg0": tuple(sorted(NODES))})
        # What a cloud does not do at once would be looked for by its snapshots' own tags.
        job.simulator.set_group_behaviour(propagate_tags=True)
        made = job.run(Request(before="os upgrade"))
        assert made.exit_status is ExitStatus.DONE
        self.run = str(made.run_id)
        self.settle()
        self.calls = len(job.simulator.calls)
        self.asked: list[OnlineJudged] = []

    def going(self) -> GoingBack:
        """Return what the use cases work with."""
        return GoingBack(
            clock=self.job.clock,
            copies_lock=type(self.job.tools.lock)(self.job.clock),  # type: ignore[call-arg]
            returns=self.returns,
            disks=lambda here: EcsOwnDisks(here.cloud.caller),
            ground=self.ground,
            inhibitor=self.stay,
            listener=self.job.events.append,
            new_id=lambda: ReturnId(f"r{len(self.returns.records)}"),
            kept=("/var/lib/snap-self",),
            boot_id="boot",
        )

    def back(self, wanted: str = "", *, agrees: bool = True, **asked: Any) -> Returned | None:
        """Bring the disks back."""
        request = OnlineRequest(wanted=wanted or self.run, units=(UNIT,), **asked)

        def agree(judged: OnlineJudged) -> bool:
            self.asked.append(judged)
            return agrees

        return roll_back_online(self.job.tools, self.going(), request, agree)

    def next_command(self) -> tuple[GoneOn, ...]:
        """Do what the next command does, in a new process."""
        self.life.dead = False
        self.life.die_at = 0
        self.stay.held = False
        self.job.edit = lambda _action, answer: answer
        return go_on(self.job.tools, self.going())

    def die_after(self, action: str, nth: int) -> None:
        """Have the process killed when the cloud has done something for it."""
        seen = 0

        def edit(name: str, answer: dict[str, Any]) -> Mapping[str, Any]:
            nonlocal seen
            seen += name == action
            if name == action and seen == nth:
                self.life.dead = True
                raise Killed
            return answer

        self.job.edit = edit

    def settle(self) -> None:
        """Wait until all snapshots are uploaded."""
        for _ in range(500):
            shots = self.job.simulator.dump()["snapshots"].values()
            if all(each["progress"] == 100 for each in shots):
                return
            self.job.clock.sleep(0.1)
        raise AssertionError(shots)

    def moves(self) -> list[tuple[str, str]]:
        """Return what the cloud was asked to do to which disk, and did, since the snapshot."""
        return [
            (call.action, call.params["DiskId"])
            for call in self.job.simulator.calls[self.calls :]
            if call.action in MOVES and not call.code
        ]

    def reset(self) -> frozenset[str]:
        """Return the disks that were reset."""
        return frozenset(disk for action, disk in self.moves() if action == "ResetDisk")

    def holds_nothing_torn(self) -> None:
        """Hold cloud and machine to it that no torn set is in use."""
        self.ground.check(self.reset())

    def is_whole(self) -> bool:
        """Tell whether disks, volume and unit are attached, mounted and running as they were."""
        disks = self.job.simulator.dump()["disks"]
        return (
            all(
                disks[name]["status"] == "In_use" and disks[name]["delete_with_instance"]
                for name in DATA
            )
            and self.ground.mounts == {"/srv": self.srv}
            and self.ground.groups == {"vg0"}
            and self.ground.units == {UNIT: True}
            and not self.stay.held
            and not self.returns.unfinished()
        )

    def _attached(self, serial: str) -> bool:
        disk = self.job.simulator.dump()["disks"][f"d-{serial}"]
        return disk["status"] in ("In_use", "Detaching")


@contextmanager
def online() -> Iterator[Online]:
    """Give the instance on a fresh simulated cloud."""
    with main_job(cloud()) as job:
        yield Online(job)

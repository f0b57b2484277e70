"""One instance of the simulated cloud with snapshots, and twins of what opens them."""

from __future__ import annotations

from dataclasses import replace

from fakes.looking_back import FakeOpener, World
from fakes.main_job import MainJob
from snap_self.cloud.temporary_disks import EcsTemporaryDisks
from snap_self.errors import ExitStatus
from snap_self.model.request import Request
from snap_self.usecases.looking_back.tools import LookingBack

MAKES = ("CreateDisk", "AttachDisk", "DetachDisk", "DeleteDisk")


class There(FakeOpener):
    """Finds the devices of the simulated cloud's disks."""

    job: MainJob

    def device_of(self, serial: str) -> str | None:
        """Return a node while the disk is attached."""
        disks = self.job.simulator.dump()["disks"].values()
        found = [each for each in disks if each["serial"] == serial]
        return f"/dev/{serial}" if found and found[0]["status"] == "In_use" else None


class Snapshotted:
    """One instance with a snapshot of both disks."""

    def __init__(self, job: MainJob, *, opener: type[There] = There) -> None:
        self.job = job
        self.world = World()
        self.opener = opener(self.world.life, self.world.disks)
        self.opener.job = job
        self.before = set(job.simulator.dump()["disks"])
        assert job.run(Request(before="os upgrade")).exit_status is ExitStatus.DONE
        self.calls = len(job.simulator.calls)

    def looking(self) -> LookingBack:
        """Return what the use cases work with."""
        return replace(
            self.world.tools(),
            clock=self.job.clock,
            opener=self.opener,
            disks=lambda here: EcsTemporaryDisks(here.cloud.caller),
        )

    def made(self) -> list[str]:
        """Return the calls that change disks, since the snapshot."""
        calls = self.job.simulator.calls[self.calls :]
        return [call.action for call in calls if call.action in MAKES]

    def nothing_is_left(self) -> None:
        """Hold the cloud and the machine to what they were."""
        assert set(self.job.simulator.dump()["disks"]) == self.before
        assert self.world.leftovers() == []
        assert not self.opener.rules

"""Guests saved while they ran, disk and memory, so that a story begins in seconds.

There are two of an image, each made once: ``booted``, and from it ``prepared``, on which the
agent's package is installed with apt. A story resumes one, sets its clock, and plugs in the data
disks that it wants.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import guest_image
from guest_driver import BOOT_LIMIT_S, Disk, Guest, running, wait_until

from ecs_simulator.storage.qmp import Qmp
from kept_builds import locked

SYSTEM_DISK = "d-bp1guestsystemdisk01"
ROOT_GIB = guest_image.DISK_BYTES >> 30
# Raise it when saved guests are to be made anew although nothing else tells.
_FORM = 1
Begin = Callable[..., Guest]


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A guest saved while it ran.

    Args:
        disk: its system disk.
        state: its memory and devices.
        ca_dir: of the authority that the cloud's certificates come from.
    """

    disk: Path
    state: Path
    ca_dir: Path
    ssh_key: Path

    def system(self, **fields: Any) -> Disk:
        """Return the system disk, for a guest that boots from it."""
        fields = {"disk_id": SYSTEM_DISK, "kind": "system", **fields}
        return Disk(size_gib=ROOT_GIB, image=self.disk, fields=fields)


def booted(variant: str = "base") -> Saved:
    """Return a guest as Debian is when it has booted for the first time, without the agent.

    Raises:
        guest_image.CannotBuild: there can be no guest here.
    """
    image = guest_image.image(variant)
    with _made(f"booted-{variant}", image.disk.parent.name.encode()) as (folder, saved):
        if folder is not None:
            system = Disk(size_gib=ROOT_GIB, image=image.disk, fields={"disk_id": SYSTEM_DISK})
            with running(system, folder=folder, ssh_key=image.ssh_key) as guest:
                save(guest, folder)
        return Saved(
            disk=saved / "disk.qcow2",
            state=saved / "state",
            ca_dir=guest_image.authority(),
            ssh_key=image.ssh_key,
        )


def prepared(package: Path, variant: str = "base") -> Saved:
    """Return a guest on which this package is installed.

    Raises:
        guest_image.CannotBuild: there can be no guest here.
    """
    start = booted(variant)
    inputs = (start.disk.parent.name.encode(), package.read_bytes())
    with _made(f"prepared-{variant}", *inputs) as (folder, saved):
        if folder is not None:
            with resumed(start, folder=folder) as guest:
                install(guest, package)
                save(guest, folder)
        return replace(start, disk=saved / "disk.qcow2", state=saved / "state")


@contextlib.contextmanager
def _made(kind: str, *inputs: bytes) -> Iterator[tuple[Path | None, Path]]:
    """Give a folder to make it in, where it is still to be made, and the one it is kept in."""
    hashed = hashlib.sha256(b"\0".join([str(_FORM).encode(), *inputs])).hexdigest()[:16]
    kept = guest_image.cache_folder() / f"{kind}-{hashed}"
    with locked(guest_image.cache_folder() / f"{kind}.lock"):
        if kept.exists():
            os.utime(kept)
            yield None, kept
            return
        begun = time.monotonic()
        making = Path(tempfile.mkdtemp(dir=kept.parent, prefix="building-"))
        try:
            yield making, kept
            making.rename(kept)
        except BaseException:
            failed = kept.with_name(f"failed-{kind}")
            shutil.rmtree(failed, ignore_errors=True)
            making.rename(failed)
            print(f"guest {kept.name}: not made; console, logs and the like: {failed}", flush=True)
            raise
        print(f"guest {kept.name}: made in {time.monotonic() - begun:.0f} s", flush=True)


def install(guest: Guest, package: Path) -> None:
    """Install a package as its user does: the file copied to the machine, then apt."""
    guest.copy_in(package, "/root")
    guest.do(f"apt-get install -y /root/{package.name}", timeout_s=900)


def save(guest: Guest, folder: Path) -> None:
    """Keep the memory and the system disk of a running guest, and end it."""
    guest.do("sync")
    sockets = guest.cloud.ready["guest"]
    monitor = Qmp(Path(sockets["monitor_socket"]))
    state = folder / "state"
    monitor.execute("migrate-set-parameters", {"max-bandwidth": 1 << 32})
    monitor.execute("migrate", {"uri": f"exec:cat > {state}"})

    def saved() -> bool:
        status = monitor.execute("query-migrate").get("status")
        assert status not in ("failed", "cancelled"), monitor.execute("query-migrate")
        return bool(status == "completed")

    wait_until(saved, "the guest's state")
    with contextlib.suppress(OSError):
        monitor.execute("quit")
    monitor.close()
    guest.operator.wait_for_instance(guest.instance_id, "Stopped")
    live = guest.cloud.work_dir / "live" / f"{SYSTEM_DISK}.qcow2"
    shutil.copy(live.resolve(), folder / "disk.qcow2")


@contextlib.contextmanager
def resumed(saved: Saved, *data: Disk, folder: Path, **settings: Any) -> Iterator[Guest]:
    """Run a saved guest and plug data disks into it, in order, until the block ends.

    Args:
        data: disks of the instance besides its system disk.
        settings: of ``guest_driver.running``.
    """
    free = [disk.described() for disk in data]
    for place, disk in enumerate(free):
        disk.setdefault("disk_id", f"d-bp1guestdatadisk{place:04}")
    cloud = {**settings.pop("cloud", {}), "free_disks": free}
    options = ("--guest-resume", str(saved.state), *settings.pop("options", ()))
    with running(
        saved.system(),
        folder=folder,
        ssh_key=saved.ssh_key,
        ca_dir=saved.ca_dir,
        cloud=cloud,
        options=options,
        wait=False,
        **settings,
    ) as guest:
        guest.wait_until_up(BOOT_LIMIT_S)
        guest.do(f"date -s @{time.time():.3f}")
        for disk in free:
            guest.attach(disk["disk_id"])
        yield guest

"""The agent on a terminal of a size, on a made-up machine in a simulated cloud, and its screen.

Nothing of it needs root: the kernel's part is recorded, the cloud's answers come over loopback, and
the terminal is a pseudo terminal whose bytes pyte turns into rows as a person sees them.
"""

from __future__ import annotations

import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pyte

from agent_runner import AgentRunner, beside
from ecs_simulator import DiskConfig, InstanceConfig, Simulator, SimulatorConfig
from ecs_simulator.config import LifeTimes
from fakes.machine_builder import MachineBuilder, disk_name
from snap_self.disks import recording
from snap_self.system.disks.recorded import MACHINE

LIMIT_S = 60.0
BEFORE = "os upgrade"
PLACES = ("/", "/srv", "/var/lib/mysql", "/home", "/var/lib/docker", "/data/archive-of-invoices")
# An upload goes on long after the command has ended, as it does in the cloud.
SLOW = LifeTimes(cut_s=0.05, available_s=0.3, accomplished_s=3600.0)
# As long as a real one.
SERIAL = "bp1screentestdisk{:03}"


def serial(number: int) -> str:
    """Return the serial of the disk of that number, from 0."""
    return SERIAL.format(number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What makes a snapshot incomplete.

    Args:
        local: so many of the last disks are local ones, which the cloud makes no snapshots of.
        shares: network filesystems beside the disks.
        foreign: disks that the cloud does not know, each with a filesystem at a long path.
    """

    local: int = 0
    shares: int = 0
    foreign: int = 0


GOOD = Faults()


def machine(count: int, faults: Faults) -> MachineBuilder:
    """Return a machine with so many disks, each with a filesystem, the first with two."""
    builder = MachineBuilder()
    builder.pseudo()
    for number in range(count):
        name = disk_name(number)
        builder.virtio(name, 40, serial(number))
        place = PLACES[number] if number < len(PLACES) else f"/srv/{name}"
        builder.mount(place, "xfs" if number else "ext4", f"/dev/{name}", device=name)
    part = builder.partition("vda", 15, 1)
    builder.mount("/boot/efi", "vfat", f"/dev/{part}", device=part)
    for number in range(faults.shares):
        builder.mount(f"/mnt/share{number}", "nfs4", f"server:/export{number}")
    for number in range(count, count + faults.foreign):
        name = disk_name(number)
        builder.virtio(name, 40, serial(number))
        place = f"/var/lib/a-rather-long-name-of-a-service/data-of-{name}"
        builder.mount(place, "ext4", f"/dev/{name}", device=name)
    return builder


def cloud_of(count: int, faults: Faults, life: LifeTimes) -> SimulatorConfig:
    """Return the cloud that machine lives in."""
    disks = tuple(
        DiskConfig(
            disk_id=f"d-{serial(number)}",
            size_gib=40,
            category="local_ssd_pro" if number >= count - faults.local else "cloud_essd",
        )
        for number in range(count)
    )
    return SimulatorConfig(instances=(InstanceConfig(disks=disks),), life=life)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a person saw.

    Args:
        rows: all of them from the first, also those that have left the screen at its top.
        scrolled: so many have.
        tallest: most rows that were on the screen together, bars and all.
        styles: of each row, ``bold`` and the names of its colours.
        said: the texts as they were written, each up to its end of a line.
    """

    status: int
    rows: Sequence[str]
    scrolled: int
    tallest: int
    styles: Mapping[str, frozenset[str]]
    said: Sequence[str]

    @property
    def text(self) -> str:
        """Return all rows as one text."""
        return "\n".join(self.rows)

    def row_of(self, words: str) -> str:
        """Return the first row that has these words."""
        return next(row for row in self.rows if words in row)


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """A person's terminal on that machine."""

    agent: AgentRunner
    folder: Path
    cloud: Simulator

    def run(
        self,
        *arguments: str,
        rows: int = 24,
        columns: int = 80,
        program: Sequence[str] = (),
        stdin: bytes = b"",
        **env: str,
    ) -> Seen:
        """Run the agent, or another program, to its end."""
        argv = [*beside(), *(program or self.agent.program), *arguments]
        said = {**self.agent.environment(), "TERM": "xterm-256color", **env}
        raw, status = _on_terminal(argv, said, rows, columns, stdin)
        folder = self.agent.run_directory.new_folder("agent", "screen-" + "-".join(arguments))
        (folder / "stdout").write_bytes(raw)
        return read_screen(raw, status, rows, columns)

    def job(self, *options: str, **how: object) -> Seen:
        """Run the main job."""
        return self.run("--before", BEFORE, *self.where, *options, **how)  # type: ignore[arg-type]

    @property
    def where(self) -> Sequence[str]:
        """The options that name the machine; of it nothing can be flushed."""
        return ("--consistency", "crash", "--recorded", str(self.folder))


@contextmanager
def console(
    agent: AgentRunner,
    folder: Path,
    *,
    disks: int,
    faults: Faults = GOOD,
    life: LifeTimes = SLOW,
) -> Iterator[Console]:
    """Give a terminal on a machine with so many disks."""
    (folder / MACHINE).write_text(recording.dump(machine(disks, faults).text()))
    with Simulator(cloud_of(disks, faults, life)) as cloud:
        yield Console(agent=agent.against(cloud), folder=folder, cloud=cloud)


def read_screen(raw: bytes, status: int, rows: int, columns: int) -> Seen:
    """Return what a terminal of that size shows of these bytes."""
    screen = pyte.HistoryScreen(columns, rows, history=10_000)
    stream, tallest = pyte.ByteStream(screen), 0
    for line in raw.splitlines(keepends=True):
        stream.feed(line)
        tallest = max(tallest, sum(map(bool, map(str.strip, screen.display))))
    lines = [*screen.history.top, *(screen.buffer[at] for at in range(rows))]
    texts = [_text(line, columns) for line in lines]
    while texts and not texts[-1]:
        texts.pop()
    plain = _ESCAPES.sub("", raw.decode("utf-8", "replace"))
    return Seen(
        status=status,
        rows=texts,
        scrolled=len(screen.history.top),
        tallest=tallest,
        styles={text: _styles(line) for text, line in zip(texts, lines, strict=False)},
        said=[each.rstrip() for each in re.split(r"[\r\n]+", plain)],
    )


# Source: ECMA-48, control sequences.
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


def _text(line: Mapping[int, pyte.screens.Char], columns: int) -> str:
    return "".join(line[at].data for at in range(columns)).rstrip()


def _styles(line: Mapping[int, pyte.screens.Char]) -> frozenset[str]:
    cells = [cell for cell in line.values() if cell.data.strip()]
    colours = {cell.fg for cell in cells if cell.fg != "default"}
    return frozenset(colours | ({"bold"} if any(cell.bold for cell in cells) else set()))


def _on_terminal(
    argv: Sequence[str], env: Mapping[str, str], rows: int, columns: int, stdin: bytes
) -> tuple[bytes, int]:
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
    process = subprocess.Popen(
        ["setsid", "--ctty", *argv] if not stdin else ["setsid", *argv],
        stdin=subprocess.PIPE if stdin else theirs,
        stdout=theirs,
        stderr=theirs,
        env=env,
        cwd="/",
    )
    os.close(theirs)
    try:
        if process.stdin:
            process.stdin.write(stdin)
            process.stdin.close()
        return _read_all(ours, process), process.wait(LIMIT_S)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _read_all(descriptor: int, process: subprocess.Popen[bytes]) -> bytes:
    end, read = time.monotonic() + LIMIT_S, b""
    while True:
        assert time.monotonic() < end, f"never ended\n{read.decode(errors='replace')}"
        if not select.select([descriptor], [], [], 0.1)[0]:
            if process.poll() is not None:
                return read
            continue
        data = b""
        with suppress(OSError):  # EIO: nobody has the terminal open any more
            data = os.read(descriptor, 65536)
        if not data:
            return read
        read += data

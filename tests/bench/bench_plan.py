"""CPU time of ``plan`` for recorded machines, above that of ``--version``.

Budget: 80 ms for 64 disks and 2,000 mounts; and what it costs grows no faster than the machine:
the last column is how much more each step costs, as a multiple of how much larger the machine is.
The column before it is the cost in times of ``--version``, for comparing runs at other loads.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import measuring

from fakes import recorded_machines as recorded
from fakes.machine_builder import docker_host, serial
from snap_self.disks import recording

ROUNDS = measuring.rounds(9)
BUDGET_MS = 80
CHECKED = (64, 2_000)
DISKS = (1, 4, 16, 64)
MOUNTS = (10, 1_000, 2_000, 4_000, 10_000)
SIZES = [*((disks, 10) for disks in DISKS), *((64, mounts) for mounts in MOUNTS[1:])]
FOREIGN = ("requests", "aliyunsdkcore", "aliyunsdkecs", "ssl")


def main() -> int:
    """Print the table; return 1 where planning failed."""
    with measuring.scratch() as folder:
        env = measuring.child_env(SNAP_SELF_STATE_DIR=str(folder / "state"))
        cases = {"--version": measuring.snap_self("--version")}
        for disks, mounts in SIZES:
            place = folder / f"{disks}-{mounts}"
            record(place, disks=disks, mounts=mounts)
            cases[f"{disks} {mounts}"] = planning(place)
        for name, argv in cases.items():
            sample = measuring.run(argv, env=env, out=folder / "out")
            if sample.status != 0:
                print(f"{name}: {(folder / 'out').read_text('utf-8')}")
                return 1
        modules = measuring.modules_at(cases["64 10"][3:], "", env=env)
        loaded = sorted({name.partition(".")[0] for name in modules} & set(FOREIGN))
        medians = measuring.in_turns(
            {
                name: lambda argv=argv: cpu_s(argv, env)  # type: ignore[misc]
                for name, argv in cases.items()
            },
            ROUNDS,
        )
    base = medians.pop("--version")
    print(f"plan --recorded, CPU, medians of {ROUNDS}; --version {base * 1e3:.0f} ms")
    print(f"network libraries loaded: {', '.join(loaded) or 'none'}")
    print(f"{'disks':>6}{'mounts':>8}{'over --version':>16}{'times':>7}{'growth':>10}")
    show([(disks, 10, medians[f"{disks} 10"] - base) for disks in DISKS], base, by=0)
    show([(64, mounts, medians[f"64 {mounts}"] - base) for mounts in MOUNTS], base, by=1)
    return 0


def cpu_s(argv: list[str], env: dict[str, str]) -> float:
    """Return the processor time of one run, which must succeed: failing is cheap."""
    sample = measuring.run(argv, env=env)
    if sample.status != 0:
        sys.exit(f"{argv[3:]} ended with status {sample.status}")
    return sample.cpu_s


def show(rows: list[tuple[int, int, float]], base: float, *, by: int) -> None:
    """Print rows; the growth is that of cost, divided by that of what ``by`` names."""
    before: tuple[int, int, float] | None = None
    for row in rows:
        disks, mounts, cpu_s = row
        growth = f"{cpu_s / before[2] / (row[by] / before[by]):10.2f}" if before else f"{'':10}"
        judged = measuring.verdict(cpu_s * 1e3, BUDGET_MS) if row[:2] == CHECKED else ""
        print(f"{disks:6}{mounts:8}{cpu_s * 1e3:13.0f} ms{cpu_s / base:7.2f}{growth}  {judged}")
        before = row


def record(folder: Path, *, disks: int, mounts: int) -> None:
    """Write a recording of a Docker host with so many disks, and containers."""
    folder.mkdir()
    machine = docker_host(mounts, disks=disks).text()
    items = [
        recorded.described(serial(index + 1), 40, kind="data" if index else "system")
        for index in range(disks)
    ]
    (folder / "machine.json").write_text(recording.dump(machine), "utf-8")
    text = json.dumps(recorded.answer_of(items))
    (folder / "describe_disks.json").write_text(text, "utf-8")


def planning(folder: Path) -> list[str]:
    """Return the command that plans for a recording."""
    return measuring.snap_self("plan", "--recorded", str(folder), "--json")


if __name__ == "__main__":
    sys.exit(main())

"""What a manifest costs: processor time, size, and the clock, for a made-up machine.

1,500 packages and 3,000 names below /etc, 6 MiB, in a folder; mounts, processes and sockets are
this machine's. Budgets: 150 ms of processor time, the reading process's and the agent's own,
modules included; 100 KiB in the state directory. A run waits 300 ms for it at most, beside its
questions to the cloud, so the time by the clock is only shown.
"""

from __future__ import annotations

import compileall
import os
import sys
from pathlib import Path

import measuring

ROUNDS = measuring.rounds(9)
BUDGET_MS, BUDGET_KIB = 150, 100
PACKAGES, NAMES, FOLDERS = 1500, 3000, 150
ETC_BYTES = 6 << 20
RUN = "20261122t083225z-000001"

# What a main job has loaded anyway by the time it looks at its machine.
BASE = """\
from snap_self.cli import snapshot, wiring
"""
TAKE = """\
import os, sys, time
from pathlib import Path
from snap_self.system.clock import SystemClock
from snap_self.system.manifest.reading import MachineManifests
from snap_self.system.state.manifests import Manifests
store = Manifests(Path({state!r}))
began = time.perf_counter()
reader = MachineManifests(store.key, SystemClock(), root={root!r})
packed = reader.begin().end({run!r}, "i-1", limit_s=20.0)
store.write(packed, after=True)
print(time.perf_counter() - began)
if not packed.complete:
    sys.exit(str(packed.left_out))
me = os.getpid()
while Path(f"/proc/{{me}}/task/{{me}}/children").read_text():  # its time counts once it is reaped
    time.sleep(0.002)
"""


def main() -> int:
    """Print the table; return 1 where a manifest could not be taken."""
    compileall.compile_dir(str(measuring.AGENT / "snap_self/system"), quiet=2)
    with measuring.scratch() as folder:
        root, state = folder / "root", folder / "state"
        make_machine(root)
        env = measuring.child_env()
        take = BASE + TAKE.format(root=str(root), state=str(state), run=RUN)
        walls: list[float] = []

        def taken() -> float:
            sample = measuring.run(measuring.python(take), env=env, out=folder / "out")
            said = (folder / "out").read_text("utf-8")
            if sample.status != 0:
                sys.exit(said)
            walls.append(float(said))
            return sample.cpu_s

        medians = measuring.in_turns(
            {
                "base": lambda: measuring.run(measuring.python(BASE), env=env).cpu_s,
                "taken": taken,
            },
            ROUNDS,
        )
        kib = (state / "manifests" / f"{RUN}.after.json.zz").stat().st_size / 1024
    cpu_ms = (medians["taken"] - medians["base"]) * 1e3
    print(f"manifest of {PACKAGES} packages and {NAMES} names below /etc, medians of {ROUNDS}")
    print(
        f"loaded     {medians['base'] * 1e3:6.0f} ms   what a main job loads anyway, for comparing"
    )
    print(f"processor  {cpu_ms:6.0f} ms   {measuring.verdict(cpu_ms, BUDGET_MS)}")
    print(f"size       {kib:6.0f} KiB  {measuring.verdict(kib, BUDGET_KIB)}")
    print(
        f"clock      {sorted(walls)[len(walls) // 2] * 1e3:6.0f} ms   begun and waited for at once"
    )
    return 0


def make_machine(root: Path) -> None:
    """Write a machine that is as large as those that are usual."""
    folder = root / "var/lib/dpkg"
    folder.mkdir(parents=True)
    (folder / "status").write_text("\n".join(map(stanza, range(PACKAGES))), "utf-8")
    links = NAMES // 3
    etc = root / "etc"
    each = ETC_BYTES // (NAMES - links - FOLDERS)
    for number in range(FOLDERS):
        (etc / f"application-{number}.d").mkdir(parents=True)
    for number in range(NAMES - FOLDERS):
        place = etc / f"application-{number % FOLDERS}.d/setting-{number}.conf"
        if number < links:
            place.symlink_to(f"/usr/share/application-{number % FOLDERS}/available/{number}.conf")
        else:
            place.write_bytes(os.urandom(each))


def stanza(number: int) -> str:
    """Return what dpkg says of a package, about 900 bytes."""
    depends = ", ".join(f"libexample{number + step} (>= 1.{step}.0)" for step in range(12))
    text = "".join(f" A line of the long description, number {line}.\n" for line in range(6))
    return (
        f"Package: libexample{number}\nStatus: install ok installed\nPriority: optional\n"
        f"Section: libs\nInstalled-Size: {number}\nMaintainer: Somebody <somebody@example.org>\n"
        f"Architecture: {'all' if number % 3 else 'amd64'}\nSource: example\n"
        f"Version: 1.{number % 97}.{number % 13}-{number % 5 + 1}+deb12u{number % 3}\n"
        f"Depends: {depends}\nDescription: an example\n{text}Homepage: https://example.org\n"
    )


if __name__ == "__main__":
    sys.exit(main())

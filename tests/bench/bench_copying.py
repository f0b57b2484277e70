"""8,000 small files brought back, beside ``rsync -aHAX`` in the same run, in turns.

Each copy goes to a folder of its own, and nothing is removed before the end: ext4 does not use the
number of a file again for some time after it was removed, and a new file steps over all of these
(Linux, ``recently_deleted`` in fs/ext4/ialloc.c), which took longer than the copying itself.
"""

from __future__ import annotations

import gc
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import measuring

from snap_self.cli.entry import GC_AFTER
from snap_self.model.copying import Wanted
from snap_self.system.copying.copier import SystemCopier

SKIPPED = 77
FILES, FOLDERS, BYTES = 8000, 80, 2000
LIMIT = 1.2
ROUNDS = measuring.rounds(5)


def main() -> int:
    """Print medians and their ratio; 77 without rsync."""
    if shutil.which("rsync") is None:
        print("copying: there is no rsync to compare with (as root: apt-get install rsync)")
        return SKIPPED
    if os.geteuid():
        print("copying: only root may give files their owners")
        return SKIPPED
    gc.set_threshold(GC_AFTER)  # as the command does
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        base = Path(folder)
        make(base / "copy" / "top")
        ways = {"snap-self": ours, "rsync -aHAX": rsync}
        times: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(ROUNDS + 1):  # the first does not count
            for name, way in ways.items():
                taken = timed(way, base, base / f"live-{number}-{name.split()[0]}")
                if number:
                    times[name].append(taken)
    medians = {name: statistics.median(found) for name, found in times.items()}
    for name, median in medians.items():
        print(f"copying: {FILES} files of {BYTES} bytes, {name}: median {median:.2f} s")
    ratio = medians["snap-self"] / medians["rsync -aHAX"]
    print(f"copying: {ratio:.2f} times rsync, limit {LIMIT}{'' if ratio <= LIMIT else ': missed'}")
    return 0


def make(top: Path) -> None:
    """Make the files, with an owner and a time of their own."""
    for folder in range(FOLDERS):
        (top / f"{folder}").mkdir(parents=True)
        for number in range(FILES // FOLDERS):
            path = top / f"{folder}/{number}"
            path.write_bytes(os.urandom(BYTES))
            os.chown(path, 1000 + folder, 1000)
            os.utime(path, ns=(number, number))


def timed(way: Callable[[Path, Path], None], base: Path, live: Path) -> float:
    """Return the seconds until all is on the disk."""
    live.mkdir()
    os.sync()
    start = time.perf_counter()
    way(base, live)
    return time.perf_counter() - start


def ours(base: Path, live: Path) -> None:
    """Bring them back as `restore` does, which writes them to the disk and reads them again."""
    source = os.open(base / "copy", os.O_RDONLY | os.O_DIRECTORY)
    try:
        outcome = SystemCopier(own=()).copy(
            source,
            [Wanted(path=f"{live}/top", inside="top")],
            mark="bench",
            to=None,
            exact=False,
            aside=f"{live}/.snap-self-replaced",
            progress=lambda done, total: None,
        )
    finally:
        os.close(source)
    if outcome.left_out:
        sys.exit(f"copying: left out: {outcome.left_out[:3]}")


def rsync(base: Path, live: Path) -> None:
    """Copy them by rsync, and write them to the disk too."""
    subprocess.run(["rsync", "-aHAX", f"{base}/copy/top", f"{live}/"], check=True)
    subprocess.run(["sync", "-f", live], check=True)


if __name__ == "__main__":
    sys.exit(main())

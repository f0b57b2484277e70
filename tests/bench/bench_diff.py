"""``diff`` on 1,500 packages and 3,000 files of /etc, of which a tenth has changed.

Budget: 300 ms of processor time for reading both manifests' values, comparing and writing. Beside
it what the command costs on this machine, which it looks at, and what the start of any costs.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import measuring

from fakes.looking import file, manifest
from fakes.records import order_record, run_record
from fixtures_simulator import simulator_running
from snap_self.errors import ExitStatus
from snap_self.model.ids import GroupId, InstanceId, RunId
from snap_self.model.looking import DiffReport, Looked
from snap_self.model.manifest import Manifest, Package
from snap_self.model.run import Stage
from snap_self.output.differences import write_differences
from snap_self.output.streams import make_streams
from snap_self.recovery.differences import compare, marked, notable
from snap_self.system.clock import SystemClock
from snap_self.system.manifest.packing import pack, unpack
from snap_self.system.manifest.reading import MachineManifests
from snap_self.system.state.journal import Journal
from snap_self.system.state.manifests import Manifests
from snap_self.system.usual_changes import usual_changes

PACKAGES, FILES, CHANGED = 1_500, 3_000, 10
BUDGET_S = 0.3
ROUNDS = measuring.rounds(11)
NOW = datetime(2026, 11, 22, 18, 39, 28, tzinfo=timezone.utc)


def main() -> None:
    """Print what each part takes."""
    before, after = pack(made("1.0-1", "a")), pack(made("1.0-2", "b"))
    steps = {
        "read both": lambda: (unpack(before), unpack(after)),
        "compare": lambda: differences(unpack(before), unpack(after)),
        "screen": lambda: whole(before, after, everything=False, json=False),
        "all": lambda: whole(before, after, everything=True, json=False),
        "json": lambda: whole(before, after, everything=True, json=True),
    }
    print(
        f"diff, {PACKAGES} packages and {FILES} files, one in {CHANGED} changed, "
        f"medians of {ROUNDS}; {len(before) / 1024:.0f} KiB a manifest"
    )
    took = measuring.in_turns({name: timed(step) for name, step in steps.items()}, ROUNDS)
    for name, seconds in took.items():
        judged = measuring.verdict(seconds, BUDGET_S)
        print(f"{name:>12}{seconds * 1e3:9.1f} ms  budget {BUDGET_S * 1e3:.0f} ms: {judged}")
    command()


def command() -> None:
    """Print what the command takes on this machine, and what the shortest one does."""
    with (
        measuring.scratch() as folder,
        simulator_running("--storage", "none", "--no-https", "--disk", "size=1") as cloud,
    ):
        state = folder / "state"
        env = measuring.child_env(
            SNAP_SELF_METADATA_URL=cloud.metadata_url,
            SNAP_SELF_ECS_ENDPOINT=cloud.ecs_url,
            SNAP_SELF_STATE_DIR=str(state),
        )
        made_order = replace(order_record(sent=True), group_id=GroupId("ssg-1"))
        # A run of another machine, such as the one that an image was made from, is not looked at.
        here = InstanceId(cloud.instance_id)
        record = replace(run_record(stage=Stage.FINISHED, orders=(made_order,)), instance_id=here)
        Journal(state).save(record)
        store = Manifests(state)
        reader = MachineManifests(store.key, SystemClock())
        store.write(reader.read(record.run_id, cloud.instance_id, limit_s=60.0))
        took = measuring.in_turns(
            {
                word: partial(_wall_s, word, env=env, out=folder / "out")
                for word in ("--version", "diff")
            },
            ROUNDS,
        )
    print(f"the command here: {took['diff']:.3f} s; --version: {took['--version']:.3f} s")


def _wall_s(word: str, *, env: Mapping[str, str], out: Path) -> float:
    sample = measuring.run(measuring.snap_self(word), env=env, out=out)
    if sample.status:
        sys.exit(out.read_text("utf-8"))
    return sample.wall_s


def timed(step: Callable[[], object]) -> Callable[[], float]:
    """Return what gives the seconds that a step takes."""

    def cpu_s() -> float:
        begun = time.process_time()
        step()
        return time.process_time() - begun

    return cpu_s


def made(version: str, digest: str) -> Manifest:
    """Return a manifest, of which one in ten things is of that version or content."""
    packages = {
        f"lib-some-package{each}:amd64": Package(
            version=f"1:{each}.{version if each % CHANGED == 0 else '0'}+deb12u1"
        )
        for each in range(PACKAGES)
    }
    files = {
        f"/etc/some-folder{each % 100}/name-of-a-file{each}.conf": file(
            (digest if each % CHANGED == 0 else "c") * 32
        )
        for each in range(FILES)
    }
    return manifest(RunId("20261122t183928z-abcdef"), packages=packages, files=files)


def differences(one: Manifest, other: Manifest) -> DiffReport:
    """Return what `diff` finds."""
    looked = Looked(run_id=one.run_id, before="x", instance_id="i-1", taken=NOW)
    found = marked(compare(one, other), usual_changes())
    return DiffReport(before=looked, after=replace(looked, run_id=None), differences=notable(found))


def whole(before: bytes, after: bytes, *, everything: bool, json: bool) -> None:
    """Read, compare and write."""
    report = replace(differences(unpack(before), unpack(after)), everything=everything)
    streams = make_streams(io.StringIO(), io.StringIO(), env={}, verbosity=0, json=json)
    write_differences(streams, report, status=ExitStatus.DONE, now=NOW)


if __name__ == "__main__":
    main()

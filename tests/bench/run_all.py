"""Run every benchmark, one after the other, and print what it prints.

A benchmark is a program ``bench_*.py`` in this folder. It prints its figures and exits with 0, or
with 77 where it cannot run, having said why. Any other status fails the tier.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import measuring

BENCH = Path(__file__).resolve().parent
CHECKOUT = BENCH.parent.parent
SKIPPED = 77
TIMED_OUT = 124


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one benchmark ended."""

    name: str
    status: int
    seconds: float

    @property
    def text(self) -> str:
        """Return one line about it."""
        known = {0: "done", SKIPPED: "skipped", TIMED_OUT: "FAILED: it took too long"}
        said = known.get(self.status, f"FAILED with status {self.status}")
        return f"bench: {self.name}: {said} ({self.seconds:.1f} s)"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmarks named, or all; return 1 where one failed."""
    parser = argparse.ArgumentParser(description="Run the benchmarks.")
    parser.add_argument("names", nargs="*", help="such as bench_disks (default: all)")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds for each")
    parser.add_argument("--brief", action="store_true", help="measure fewer rounds")
    parser.add_argument(
        "--failed", type=Path, metavar="FILE", help="write the failed ones' names there"
    )
    options = parser.parse_args(argv)
    if options.brief:
        os.environ[measuring.BRIEF] = "1"
    programs = [
        path
        for path in sorted(BENCH.glob("bench_*.py"))
        if not options.names or path.stem in options.names
    ]
    if not programs:
        print("bench: there are no such benchmarks" if options.names else "bench: none yet")
        return 2 if options.names else 0
    outcomes = [run(program, options.timeout) for program in programs]
    for outcome in outcomes:
        print(outcome.text)
    failed = [outcome.name for outcome in outcomes if outcome.status not in (0, SKIPPED)]
    if options.failed:
        options.failed.write_text("".join(f"{name}\n" for name in failed), "utf-8")
    return int(bool(failed))


def run(program: Path, timeout_s: float) -> Outcome:
    """Run one benchmark in a process of its own."""
    print(f"-- {program.stem}", flush=True)
    paths = os.pathsep.join(str(CHECKOUT / name) for name in ("agent", "tests"))
    began = time.monotonic()
    try:
        status = subprocess.run(
            [sys.executable, str(program)],
            env={**os.environ, "PYTHONPATH": paths},
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            timeout=timeout_s,
            check=False,
        ).returncode
    except subprocess.TimeoutExpired:
        status = TIMED_OUT
    sys.stdout.flush()
    return Outcome(name=program.stem, status=status, seconds=time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())

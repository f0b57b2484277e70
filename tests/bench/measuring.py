"""Start programs in turns and measure them: medians of several rounds, compared within one run.

The machine may be busy with other things. So what is compared is measured in turns, round by
round, and told as a median; a figure is worth little without what it is compared with.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
AGENT = TESTS.parent / "agent"
# Set by `run_all.py --brief`: fewer rounds, for a run that is to end soon.
BRIEF = "SNAP_SELF_BENCH_BRIEF"
LIMIT_S = 30.0


def is_brief() -> bool:
    """Tell whether the run is to end soon: then the largest cases are left out."""
    return bool(os.environ.get(BRIEF))


def rounds(usual: int) -> int:
    """Return how many rounds to measure where there usually are so many."""
    return min(3, usual) if is_brief() else usual


ROUNDS = rounds(11)

# Importing this module lets a benchmark that is started by hand find the rest.
sys.path[:0] = [str(TESTS), str(AGENT)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """How one process went.

    Args:
        begun: wall clock at its start, in seconds.
        cpu_s: user and system time, its own children's too.
        peak_kib: most memory that was resident at one time.
    """

    begun: float
    wall_s: float
    cpu_s: float
    peak_kib: int
    status: int


def child_env(**more: str) -> dict[str, str]:
    """Return the variables a measured process gets."""
    return {
        "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        "LANG": "C.UTF-8",
        "HOME": "/nonexistent",
        "PYTHONPATH": str(AGENT),
        "SNAP_SELF_FOLLOW_ENABLED": "false",
        **more,
    }


def run(argv: Sequence[str], *, env: Mapping[str, str], out: Path | None = None) -> Sample:
    """Run a program to its end, at most ``LIMIT_S``; what it says goes to ``out``, or away."""
    target = str(out) if out else os.devnull
    with Path(target).open("wb") as stdout:
        begun, start = time.time(), time.perf_counter()
        process = subprocess.Popen(
            argv, env=dict(env), stdin=subprocess.DEVNULL, stdout=stdout, stderr=stdout, cwd="/"
        )
        guard = threading.Timer(LIMIT_S, process.kill)
        guard.start()
        _, status, used = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - start
        guard.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    return Sample(
        begun=begun,
        wall_s=wall_s,
        cpu_s=used.ru_utime + used.ru_stime,
        peak_kib=used.ru_maxrss,
        status=process.returncode,
    )


def python(code: str) -> list[str]:
    """Return the command that runs this code with the interpreter under test."""
    return [sys.executable, "-c", code]


def snap_self(*arguments: str) -> list[str]:
    """Return the command that runs the agent, as its console script does."""
    code = "from snap_self.cli.entry import main; main()"
    return [*python(code), *arguments]


def in_turns(cases: Mapping[str, Callable[[], float]], rounds: int = ROUNDS) -> dict[str, float]:
    """Return each case's median; the cases take turns, after one round that does not count."""
    taken: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds + 1):
        for name, measure in cases.items():
            value = measure()
            if number:
                taken[name].append(value)
    return {name: statistics.median(values) for name, values in taken.items()}


def verdict(value: float, budget: float) -> str:
    """Return whether a figure keeps its budget, in a word."""
    return "kept" if value <= budget else f"MISSED by {value - budget:.3g}"


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="snap-self-bench-") as name:
        yield Path(name)


def modules_at(argv_tail: Sequence[str], thread: str, *, env: Mapping[str, str]) -> list[str]:
    """Return the modules that the agent had loaded when it started a thread of that name.

    Args:
        thread: how the thread's name begins; empty for the process's end.
    """
    with scratch() as folder:
        report = folder / "modules.json"
        probe = _PROBE.format(report=str(report), thread=thread, argv=["snap-self", *argv_tail])
        run(python(probe), env=env)
        loaded = json.loads(report.read_text("utf-8"))
    return [name for name in loaded if name not in ("__main__", "__mp_main__")]


_PROBE = """\
import atexit, json, sys, threading
def report():
    names = list(sys.modules)
    atexit.unregister(report)
    with open({report!r}, "w") as file:
        json.dump(names, file)
start = threading.Thread.start
def watched(self):
    if {thread!r} and self.name.startswith({thread!r}):
        report()
    start(self)
threading.Thread.start = watched
atexit.register(report)
sys.argv = {argv!r}
from snap_self.cli.entry import main
main()
"""


def import_all(modules: Sequence[str]) -> list[str]:
    """Return the command that only imports these modules, in this order."""
    return python(
        f"from importlib import import_module\n"
        f"for name in {list(modules)!r}:\n"
        f"    try: import_module(name)\n"
        f"    except ImportError: pass  # made by code, not by an import\n"
    )

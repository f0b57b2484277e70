"""What a package manager waits for when a change is not risky: guard, agent and answer.

Budget: 1.5 times ``python3 -c pass``. Whole processes in turns, medians; with the configuration
that a hook has kept, and without any. The agent is started as the packages install it, without the
interpreter's site packages; the bare start is shown with them and without. A hook is four processes
and waits four times for a processor where all are busy: there the CPU time tells more.
"""

from __future__ import annotations

import os
import shlex
import statistics
import subprocess
import sys
from pathlib import Path

import measuring

from hook_samples import SAMPLES

BUDGET = 1.5
GUARD = measuring.TESTS.parent / "packaging/hooks/hook-guard"
AGENT = """\
#!{python} -IS
import sys
sys.path.insert(0, {agent!r})
from snap_self.system.managers.state import ManagerState
ManagerState.__init__.__defaults__ = ({run!r}, {config!r}, {limit!r})
from snap_self.cli.entry import main
main()
"""
CONFIGURATION = '[package_managers]\nrisky = ["nginx*"]\non_failure = { apt = "abort" }\n'


def main() -> None:
    """Print a line for each manager."""
    env = measuring.child_env()
    with measuring.scratch() as folder:
        cases = {
            "nothing": measuring.python("pass"),
            "nothing, -IS": [sys.executable, "-IS", "-c", "pass"],
            "nothing in sh": ["/bin/sh", "-c", "exit 0"],
        }
        for name in SAMPLES:
            cases[name] = hook(folder, name, CONFIGURATION)
        cases["apt, no configuration"] = hook(folder, "apt", "")
        check(cases, env)
        cpu: dict[str, list[float]] = {name: [] for name in cases}

        def wall_s(name: str) -> float:
            sample = measuring.run(cases[name], env=env)
            cpu[name].append(sample.cpu_s)
            return sample.wall_s

        medians = measuring.in_turns({name: lambda name=name: wall_s(name) for name in cases})  # type: ignore[misc]
    spent = {name: statistics.median(values) for name, values in cpu.items()}
    print(f"not risky, medians of {measuring.ROUNDS}; budget {BUDGET} times `python3 -c pass`")
    for name, wall in medians.items():
        times = wall / medians["nothing"]
        judged = "" if name.startswith("nothing") else measuring.verdict(times, BUDGET)
        print(
            f"{name:24}{wall * 1e3:7.1f} ms{times:7.2f} times, CPU{spent[name] * 1e3:7.1f} ms"
            f"{spent[name] / spent['nothing']:7.2f} times  {judged}"
        )


def hook(folder: Path, name: str, configuration: str) -> list[str]:
    """Return the command that a manager's hook is, with what the manager says on its input."""
    place = folder / (f"{name}-configured" if configuration else name)
    config, state = place / "etc", place / "run"
    config.mkdir(parents=True)
    state.mkdir()
    if configuration:
        (config / "config.toml").write_text(configuration, encoding="utf-8")
    agent, limit = place / "snap-self", place / "hook-limit"
    text = AGENT.format(
        python=sys.executable,
        agent=str(measuring.AGENT),
        run=str(state),
        config=str(config),
        limit=str(limit),
    )
    _program(agent, text)
    guard = GUARD.read_text(encoding="utf-8")
    for key, path in (("AGENT", agent), ("LIMIT_FILE", limit)):
        (line,) = [line for line in guard.splitlines() if line.startswith(f"{key}=")]
        guard = guard.replace(line, f"{key}={path}")
    _program(place / "hook-guard", guard)
    (place / "stdin").write_bytes(SAMPLES[name])
    words = shlex.join([str(place / "hook-guard"), name])
    return ["/bin/sh", "-c", f"exec {words} <{shlex.quote(str(place / 'stdin'))}"]


def check(cases: dict[str, list[str]], env: dict[str, str]) -> None:
    """Run each once: it must be the way without a snapshot; what can be kept is kept then."""
    for argv in cases.values():
        done = subprocess.run(argv, env=env, capture_output=True, check=False, timeout=30)
        assert (done.returncode, done.stderr) == (0, b""), done


def _program(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    os.chmod(path, 0o755)  # noqa: PTH101


if __name__ == "__main__":
    main()

"""What it costs to start: ``--version`` and ``--help`` beside importing typer alone.

Budget: 2.5 times ``python -c "import typer"``. Time and CPU, medians, measured in turns.
"""

from __future__ import annotations

import measuring

BUDGET = 2.5
CASES = {
    "nothing": measuring.python("pass"),
    "import typer": measuring.python("import typer"),
    "snap-self --version": measuring.snap_self("--version"),
    "snap-self --help": measuring.snap_self("--help"),
    "snap-self list --help": measuring.snap_self("list", "--help"),
}


def main() -> None:
    """Print a line for each case."""
    env = measuring.child_env()
    cpu: dict[str, list[float]] = {name: [] for name in CASES}

    def wall_s(name: str) -> float:
        sample = measuring.run(CASES[name], env=env)
        cpu[name].append(sample.cpu_s)
        return sample.wall_s

    medians = measuring.in_turns({name: lambda name=name: wall_s(name) for name in CASES})  # type: ignore[misc]
    print(f"start, medians of {measuring.ROUNDS}; budget {BUDGET} times `import typer`")
    for name, wall in medians.items():
        times = wall / medians["import typer"]
        spent = sorted(cpu[name])[len(cpu[name]) // 2]
        judged = measuring.verdict(times, BUDGET) if name.startswith("snap-self") else ""
        print(f"{name:24}{wall * 1e3:7.0f} ms{spent * 1e3:7.0f} ms CPU{times:7.2f} times  {judged}")


if __name__ == "__main__":
    main()

"""Change the code that decides claims, a little at a time, and see whether a unit test notices.

Run by ``tests/run mutation``; mutmut makes the changes. It knows sources only below ``src``, so the
project is laid out for it in a folder of its own. Prints a line a module and every survivor. A
change of nothing but the words of a message is not counted: no test is to hold on to those.

Exit status: 0 when no more survive than ``accepted.txt`` names, each with its reason.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".cache" / "mutation"
ACCEPTED = Path(__file__).with_name("accepted.txt")
# Which disk carries what, what level was reached, what is risky, what an answer of the cloud means.
AREAS = (
    "disks/*.py",
    "usecases/job/judge.py",
    "usecases/job/flush.py",
    "usecases/job/facts.py",
    "model/flushing.py",
    "usecases/job/hold.py",
    "quiesce/freeze/session.py",
    "quiesce/freeze/states.py",
    "changes/risk.py",
    "cloud/faults.py",
    "model/trust.py",
)
SETTINGS = """
[tool.mutmut]
source_paths = ["src"]
only_mutate = [{only}]
also_copy = ["packaging", "README.md", "CHANGELOG.md", "SECURITY.md", "install.sh", "agent"]
pytest_add_cli_args = ["-q", "-x", "-p", "no:cacheprovider", "-W", "ignore"]
pytest_add_cli_args_test_selection = [{tests}]
"""
# Tests of the code under change; those of the simulator, of packaging and of the rules notice none.
TESTS = (
    *("changes", "cloud", "disks", "model", "quiesce", "recovery", "system", "usecases"),
    "test_plan.py",
)
# The tests ran green; no test runs that function.
UNNOTICED = (0, 33)
SHOW = """
import json, sys
from mutmut.mutation.diff_apply import get_diff_for_mutant
print(json.dumps({name: get_diff_for_mutant(name) for name in json.load(sys.stdin)}))
"""
LITERAL = re.compile(r"""[rbf]{0,2}("[^"\\]*(?:\\.[^"\\]*)*"|'[^'\\]*(?:\\.[^'\\]*)*')""", re.I)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One change: its name in mutmut, whether a test noticed it, and if not the change itself."""

    name: str
    noticed: bool
    diff: str = ""

    @property
    def module(self) -> str:
        """Return the module that was changed."""
        return self.name.partition(".x")[0]

    @property
    def only_words(self) -> bool:
        """Tell whether nothing but the words of a message differ."""
        sides = [_without_words(line) for line in self.diff.splitlines() if line[:1] in "+-"]
        changed = sides[2:]  # after the names of the files
        removed = [line[1:] for line in changed if line.startswith("-")]
        added = [line[1:] for line in changed if line.startswith("+")]
        return bool(removed) and removed == added

    @property
    def key(self) -> str:
        """Return what stays the same while code above it changes."""
        lines = [line for line in self.diff.splitlines() if line[:1] in "+-"][2:]
        function = self.name.rpartition(".")[2].rpartition("__mutmut_")[0]
        return f"{self.module} {function} {' '.join(' '.join(line.split()) for line in lines)}"


def main() -> int:
    """Run it; print what survived."""
    lay_out(chosen_areas(sys.argv[1:]))
    with (WORK / "log").open("w", encoding="utf-8") as log:
        done = subprocess.run(
            [mutmut(), "run", "--max-children", "2"], cwd=WORK, stdout=log, stderr=log, check=False
        )
    mutants = tuple(read_results())
    if not mutants:
        print(f"mutation: nothing was changed (status {done.returncode}); see {WORK}/log")
        return 1
    return report(mutants)


def chosen_areas(arguments: Sequence[str]) -> Sequence[str]:
    """Return the areas named; one that names no module ends the program, as argparse does."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "areas",
        nargs="*",
        metavar="AREA",
        help="modules below snap_self, as changes/risk.py or disks/*.py; without any: "
        + " ".join(AREAS),
    )
    areas: Sequence[str] = parser.parse_args(arguments).areas or AREAS
    for area in areas:
        if not any((ROOT / "agent" / "snap_self").glob(area)):
            parser.error(f"{area}: there is no such module below snap_self")
    return areas


def lay_out(areas: Sequence[str]) -> None:
    """Lay the project out as mutmut wants it; nothing of an earlier run is kept."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info", ".mypy_cache")
    for name in ("tests", "packaging"):
        shutil.copytree(ROOT / name, WORK / name, ignore=unwanted)
    shutil.copytree(ROOT / "agent", WORK / "src", ignore=unwanted)
    for name in ("README.md", "CHANGELOG.md", "SECURITY.md", "install.sh"):
        if (ROOT / name).exists():
            shutil.copy2(ROOT / name, WORK / name)
    (WORK / "agent").symlink_to("src")
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    settings = settings.replace('"agent", "tests", ', '"src", "tests", ')
    only = ", ".join(f'"src/snap_self/{area}"' for area in areas)
    tests = ", ".join(f'"tests/unit/{name}"' for name in TESTS)
    whole = settings + SETTINGS.format(only=only, tests=tests)
    (WORK / "pyproject.toml").write_text(whole, encoding="utf-8")


def mutmut() -> str:
    """Return the program beside this interpreter."""
    return str(Path(sys.executable).with_name("mutmut"))


def read_results() -> Iterator[Mutant]:
    """Yield what came of each change that was tried."""
    codes: dict[str, int] = {}
    for file in sorted((WORK / "mutants").rglob("*.py.meta")):
        found = json.loads(file.read_text(encoding="utf-8"))["exit_code_by_key"]
        codes |= {name: code for name, code in found.items() if code is not None}
    diffs = diffs_of([name for name, code in codes.items() if code in UNNOTICED])
    for name, code in codes.items():
        yield Mutant(name=name, noticed=code not in UNNOTICED, diff=diffs.get(name, ""))


def diffs_of(names: Sequence[str]) -> Mapping[str, str]:
    """Return changes as diffs; mutmut reads where it is run, so that is done by a child."""
    done = subprocess.run(
        [sys.executable, "-c", SHOW],
        input=json.dumps(names),
        cwd=WORK,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


def report(mutants: Sequence[Mutant]) -> int:
    """Print the table and the survivors; return the exit status."""
    accepted = read_accepted()
    counted = [each for each in mutants if each.noticed or not each.only_words]
    survivors = [each for each in counted if not each.noticed]
    new = [each for each in survivors if each.key not in accepted]
    for module in sorted({each.module for each in counted}):
        of_it = Counter(each.noticed for each in counted if each.module == module)
        print(f"mutation: {module}: {of_it[True]} noticed, {of_it[False]} not")
    for each in new:
        print(f"\nmutation: nobody notices {each.name}\n{each.diff}")
        print(f"key: {each.key}")
    print(
        f"mutation: {len(counted)} changes, {len(counted) - len(survivors)} noticed, "
        f"{len(survivors) - len(new)} accepted with a reason, {len(new)} survived"
    )
    return 1 if new else 0


def read_accepted() -> Mapping[str, str]:
    """Return the changes that may survive, with the reason: lines ``reason``, then ``  key``."""
    found: dict[str, str] = {}
    reason = ""
    if not ACCEPTED.exists():
        return found
    for line in ACCEPTED.read_text(encoding="utf-8").splitlines():
        if line.startswith("  "):
            found[line.strip()] = reason
        elif line and not line.startswith("#"):
            reason = line
    return found


def _without_words(line: str) -> str:
    """Return a line without its texts that are prose: they hold a space, or begin a sentence."""
    return LITERAL.sub(lambda found: '""' if " " in found[0] else found[0], line)


if __name__ == "__main__":
    sys.exit(main())

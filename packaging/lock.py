"""Renew `packaging/locked/`: the libraries that packages and the demo carry, with their hashes.

``python packaging/lock.py PYTHON...`` asks pip, as it is set up on this machine, for the newest
versions that pyproject.toml allows. A version that only some of the Pythons named take is marked
so. Name one of each minor version from 3.10 on, and of 3.11 an early one as well (3.11.2 is Debian
12's): what a library needs depends on it. A file that PIP_CONSTRAINT names holds versions back. Run
the tests with what was taken before it is committed.

Hashes are those of the files that the index has of a version for Linux on x86_64 and aarch64,
CPython 3.10 and later, and of its sources.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from self_contained import read_toml, requirements

PACKAGING = Path(__file__).resolve().parent
LOCKED = PACKAGING / "locked"
PROJECT = PACKAGING.parent / "pyproject.toml"
# A file each, and of which extras it is; what is in one is not in those after it.
EXTRAS = {"agent": ("simulator",), "applications": ("simulator", "applications")}
HEAD = """\
# {what}, with all that it needs in turn.
# Made by packaging/lock.py; not a list of what is needed: that is in pyproject.toml.
"""
WHAT = {
    "agent": "What the agent and the simulated ECS import",
    "applications": "The databases' clients",
    "build": "What pyproject.toml builds the agent with",
}
WHEEL = re.compile(
    r".+-(?P<python>[^-]+)-(?P<abi>[^-]+)-"
    r"(any|[^-]*(manylinux|musllinux)[^-]*_(x86_64|aarch64))\.whl"
)
CPYTHON = re.compile(r"cp3(?P<minor>\d+)")
OLDEST = 10

# pip has no command that tells the hashes of all files of a library; this asks as it does itself.
LISTING = """
import json, sys
from pip._internal.commands import create_command
from pip._internal.index.collector import parse_links
command = create_command("index")
options, _ = command.parse_args(["versions", "--quiet", "-"])
with command._build_session(options) as session:
    collector = command._build_package_finder(options, session)._link_collector
    def links(page):
        answer = collector.fetch_response(page)
        return parse_links(answer) if answer else ()
    found = {}
    for name in sys.argv[1:]:
        files = found[name] = {}
        for source in collector.collect_sources(name, links).index_urls:
            for link in source.page_candidates() if source else ():
                if link.hash_name == "sha256" and not link.is_yanked:
                    if link.hash not in files.setdefault(link.filename, []):
                        files[link.filename].append(link.hash)
json.dump(found, sys.stdout)
"""

Minor = tuple[int, int]


@dataclass(frozen=True)
class Taken:
    """A version of a library, and the Pythons that take it."""

    name: str
    version: str
    minors: frozenset[Minor]


def main() -> int:
    """Ask for each Python, merge, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pythons", nargs="+", metavar="PYTHON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        venvs = [_venv(python, Path(folder) / str(n)) for n, python in enumerate(options.pythons)]
        answers = [_answers(venv) for venv in venvs]
        minors = sorted({minor for minor, _ in answers})
        for group in WHAT:
            taken = merged([(minor, found[group]) for minor, found in answers])
            hashes = _hashes(venvs[-1], taken)
            text = HEAD.format(what=WHAT[group]) + "".join(
                entry(one, hashes[one.name, one.version], minors) for one in taken
            )
            (LOCKED / f"{group}.txt").write_text(text, encoding="utf-8")
    return 0


def merged(answers: Iterable[tuple[Minor, Mapping[str, str]]]) -> list[Taken]:
    """Return what the Pythons took, by name."""
    found: dict[tuple[str, str], set[Minor]] = {}
    for minor, versions in answers:
        for name, version in versions.items():
            found.setdefault((name, version), set()).add(minor)
    return [
        Taken(name, version, frozenset(minors)) for (name, version), minors in sorted(found.items())
    ]


def entry(taken: Taken, hashes: Sequence[str], minors: Sequence[Minor]) -> str:
    """Return the lines of one library in a requirements file."""
    lines = [f"{taken.name}=={taken.version}{marker(taken.minors, minors)}"]
    lines += [f"    --hash=sha256:{one}" for one in sorted(hashes)]
    return " \\\n".join(lines) + "\n"


def marker(taken: frozenset[Minor], minors: Sequence[Minor]) -> str:
    """Return for which Pythons it is, open to later ones where the latest takes it."""
    first, last = min(taken), max(taken)
    if taken != {minor for minor in minors if first <= minor <= last}:
        raise SystemExit(f"taken by {sorted(taken)} of {list(minors)}, which are no range")
    words = []
    if first != minors[0]:
        words.append(f'python_version >= "{first[0]}.{first[1]}"')
    if last != minors[-1]:
        words.append(f'python_version < "{last[0]}.{last[1] + 1}"')
    return f" ; {' and '.join(words)}" if words else ""


def is_wanted(file: str) -> bool:
    """Tell whether a file of a library could be installed where we build, or is its sources."""
    if file.endswith((".tar.gz", ".zip")):
        return True
    wheel = WHEEL.fullmatch(file)
    if wheel is None or wheel["abi"].endswith("t"):  # free-threaded
        return False
    pythons = [CPYTHON.fullmatch(tag) for tag in wheel["python"].split(".")]
    if not any(pythons):
        return "py3" in wheel["python"].split(".")
    lowest = min(int(python["minor"]) for python in pythons if python)
    return wheel["abi"] == "abi3" or lowest >= OLDEST


# --- pip -------------------------------------------------------------------------------------


def _venv(python: str, folder: Path) -> str:
    subprocess.run([python, "-I", "-m", "venv", str(folder)], check=True)
    return f"{folder}/bin/python"


def _answers(python: str) -> tuple[Minor, dict[str, dict[str, str]]]:
    """Return the Python's version, and by group which version of which library it takes."""
    told = _output(python, "-c", "import sys; print(*sys.version_info[:2])").split()
    taken = {"build": _resolved(python, read_toml(PROJECT)["build-system"]["requires"], {})}
    known: dict[str, str] = {}
    for group, extras in EXTRAS.items():
        found = _resolved(python, requirements(PROJECT, extras), known)
        taken[group] = {name: version for name, version in found.items() if name not in known}
        known |= found
    return (int(told[0]), int(told[1])), taken


def _resolved(python: str, wanted: Sequence[str], known: Mapping[str, str]) -> dict[str, str]:
    """Return what pip would install; of what is known already, that version."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as constraints:
        constraints.write("".join(f"{name}=={version}\n" for name, version in known.items()))
        constraints.flush()
        report = _output(
            *(python, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"),
            *("--disable-pip-version-check", "--only-binary", ":all:", "--report", "-"),
            *("--constraint", constraints.name, *wanted),
        )
    items = json.loads(report)["install"]
    return {plain(i["metadata"]["name"]): i["metadata"]["version"] for i in items}


def plain(name: str) -> str:
    """Return a library's name as indexes spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _hashes(python: str, taken: Sequence[Taken]) -> dict[tuple[str, str], list[str]]:
    """Return by name and version the hashes of the files that the index has.

    Raises:
        SystemExit: it has none, or two files of one name.
    """
    names = sorted({one.name for one in taken})
    files: dict[str, dict[str, list[str]]] = json.loads(_output(python, "-c", LISTING, *names))
    result = {}
    for one in taken:
        found = {
            file: hashes
            for file, hashes in files[one.name].items()
            if version_of(file, one.name) == one.version and is_wanted(file)
        }
        if not found or any(len(hashes) > 1 for hashes in found.values()):
            raise SystemExit(f"{one.name} {one.version}: the index has {found}")
        result[one.name, one.version] = [hashes[0] for hashes in found.values()]
    return result


def version_of(file: str, name: str) -> str:
    """Return the version that a file of a library is of, by its name."""
    begin = re.match(rf"(?i){name.replace('-', '[-_.]+')}-(?=[0-9])", file)
    rest = file[begin.end() :] if begin else ""
    return re.split(r"-|\.tar\.|\.zip", rest, maxsplit=1)[0]


def _output(python: str, *arguments: str) -> str:
    return subprocess.run(
        [python, "-I", *arguments], stdout=subprocess.PIPE, text=True, check=True, cwd="/"
    ).stdout


if __name__ == "__main__":
    raise SystemExit(main())

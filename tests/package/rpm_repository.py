"""Tiny rpm packages and a repository of them, made with the machine's own rpmbuild."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

FOLDER = "/usr/share/snap-self-test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rpm:
    """One package; it has one file, which holds its version.

    Args:
        version: version and release.
        generation: packages of one name need different ones.
        tags: further lines of its part of the spec file.
    """

    name: str
    version: str
    generation: int = 0
    epoch: int = 0
    tags: tuple[str, ...] = ()

    def spec(self) -> str:
        """Return its part of a spec file."""
        version, _, release = self.version.partition("-")
        epoch = [f"Epoch: {self.epoch}"] if self.epoch else []
        lines = (
            f"%package -n {self.name}",
            f"Version: {version}",
            f"Release: {release}",
            *epoch,
            "Summary: A test's package",
            *self.tags,
            f"%description -n {self.name}",
            "None.",
            f"%files -n {self.name}",
            f"{FOLDER}/{self._file}",
        )
        return "\n".join(lines) + "\n\n"

    def install(self) -> str:
        """Return the command that makes its file."""
        return f"echo {self.version} >%{{buildroot}}{FOLDER}/{self._file}\n"

    @property
    def _file(self) -> str:
        return f"{self.name}-{self.version}"


GROUPS = """<?xml version="1.0" encoding="UTF-8"?>
<comps><group><id>tools</id><name>tools</name><uservisible>true</uservisible>
<packagelist><packagereq type="mandatory">tree</packagereq></packagelist></group></comps>
"""


def make_rpms(folder: Path, packages: Iterable[Rpm]) -> None:
    """Build packages and the repository's lists, with a group ``tools`` of the package tree."""
    top = folder.parent / "build"
    top.mkdir(parents=True)
    folder.mkdir(parents=True)
    specs = []
    for number, generation in groupby(
        sorted(packages, key=lambda rpm: rpm.generation), key=lambda rpm: rpm.generation
    ):
        specs.append(top / f"generation-{number}.spec")
        specs[-1].write_text(_spec(f"generation-{number}", list(generation)), encoding="utf-8")
    definitions = {
        "_topdir": top,
        "_rpmdir": folder,
        "_dbpath": top / "db",
        "_build_id_links": "none",
    }
    defines = [f"--define={name} {value}" for name, value in definitions.items()]
    _run("rpmbuild", "-bb", "--quiet", *defines, *map(str, specs))
    (top / "comps.xml").write_text(GROUPS, encoding="utf-8")
    groups = ("--groupfile", str(top / "comps.xml"))
    _run("createrepo_c", "--quiet", "--no-database", *groups, str(folder))


def _spec(name: str, packages: list[Rpm]) -> str:
    head = (
        f"Name: {name}\nVersion: 1\nRelease: 1\nSummary: A test's packages\nLicense: none\n"
        "BuildArch: noarch\nAutoReqProv: no\n%description\nNone.\n\n"
    )
    install = f"%install\nmkdir -p %{{buildroot}}{FOLDER}\n" + "".join(
        rpm.install() for rpm in packages
    )
    return head + "".join(rpm.spec() for rpm in packages) + install


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv[0]}: {done.stdout}{done.stderr}"

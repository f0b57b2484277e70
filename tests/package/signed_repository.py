"""Signed repositories of built packages, laid out as the Ansible role expects them.

Below one address: ``deb`` for apt, suite ``stable``, component ``main``; ``rpm/ARCH`` for dnf; the
public key beside them. Source: https://wiki.debian.org/DebianRepository/Format.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

PROGRAMS = ("gpg", "gpgconf")
OWNER = "repository@example.invalid"


@dataclass(frozen=True)
class Signer:
    """A key of the tests' own; ``home`` is gpg's."""

    home: Path

    def run(self, *argv: str | Path) -> str:
        """Run a program that may sign, and return what it prints."""
        done = subprocess.run(
            [str(word) for word in argv],
            env={"PATH": os.environ["PATH"], "GNUPGHOME": str(self.home), "HOME": str(self.home)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{argv[0]}: {done.stdout}{done.stderr}"
        return done.stdout

    def gpg(self, *arguments: str | Path) -> str:
        """Run gpg without questions."""
        return self.run("gpg", "--batch", "--yes", "--quiet", "--passphrase", "", *arguments)


@contextmanager
def signer(folder: Path) -> Iterator[Signer]:
    """Make a key, and end gpg's agent afterwards."""
    made = Signer(folder)
    folder.mkdir(mode=0o700)
    try:
        made.gpg("--quick-generate-key", OWNER, "rsa3072", "sign", "never")
        yield made
    finally:
        made.run("gpgconf", "--kill", "all")


def make_signed(folder: Path, by: Signer, *, debs: Sequence[Path], rpms: Sequence[Path]) -> None:
    """Write a repository of these packages, and its public key as ``snap-self.asc``."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "snap-self.asc").write_text(by.gpg("--armor", "--export", OWNER), encoding="ascii")
    if debs:
        _make_deb(folder / "deb", by, debs)
    if rpms:
        _make_rpm(folder / "rpm" / os.uname().machine, by, rpms)


def _make_deb(folder: Path, by: Signer, debs: Sequence[Path]) -> None:
    architecture = by.run("dpkg", "--print-architecture").strip()
    lists = folder / f"dists/stable/main/binary-{architecture}"
    for path in (lists, folder / "pool"):
        path.mkdir(parents=True)
    paragraphs = []
    for deb in debs:
        shutil.copy(deb, folder / "pool")
        content = deb.read_bytes()
        paragraphs.append(
            f"{by.run('dpkg-deb', '--field', deb)}Filename: pool/{deb.name}\n"
            f"Size: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n"
        )
    index = "\n".join(paragraphs).encode()
    (lists / "Packages").write_bytes(index)
    release = folder / "dists/stable/Release"
    release.write_text(
        f"Suite: stable\nCodename: stable\nComponents: main\nArchitectures: {architecture}\n"
        f"Date: {formatdate(usegmt=True)}\nSHA256:\n {hashlib.sha256(index).hexdigest()} "
        f"{len(index)} main/binary-{architecture}/Packages\n",
        encoding="ascii",
    )
    by.gpg("--clearsign", "--output", release.with_name("InRelease"), release)


def _make_rpm(folder: Path, by: Signer, rpms: Sequence[Path]) -> None:
    folder.mkdir(parents=True)
    placed = [Path(shutil.copy(rpm, folder)) for rpm in rpms]
    # Debian's rpm looks for a program gpg2, which Debian does not have.
    defines = (f"_gpg_name {OWNER}", f"__gpg {shutil.which('gpg')}")
    by.run("rpmsign", *(f"--define={each}" for each in defines), "--addsign", *placed)
    by.run("createrepo_c", "--quiet", folder)
    by.gpg("--armor", "--detach-sign", folder / "repodata/repomd.xml")

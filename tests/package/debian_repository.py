"""Make tiny Debian packages, a repository of them and a package database; no tools needed."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

ORIGIN = "SnapSelfTest"
SUITE = "stable"
_MAINTAINER = "Nobody <nobody@example.invalid>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deb:
    """One version of a package; it holds one small file of its own."""

    name: str
    version: str
    essential: bool = False
    depends: str = ""
    # Shell text of its preinst; empty: it has none.
    preinst: str = ""
    architecture: str = "all"

    @property
    def file_name(self) -> str:
        """Return what its archive is called."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_{self.architecture}.deb"

    @property
    def control(self) -> str:
        """Return its control fields, without an empty line at the end."""
        lines = [
            f"Package: {self.name}",
            f"Version: {self.version}",
            f"Architecture: {self.architecture}",
            f"Maintainer: {_MAINTAINER}",
            "Installed-Size: 4",
            "Section: misc",
            "Priority: optional",
        ]
        if self.essential:
            lines.append("Essential: yes")
        if self.depends:
            lines.append(f"Depends: {self.depends}")
        lines.append("Description: a package of snap-self's tests")
        return "\n".join(lines) + "\n"

    @property
    def installed_path(self) -> str:
        """Return the file that tells which version is unpacked."""
        return f"/usr/share/snap-self-test/{self.name}"

    def archive(self) -> bytes:
        """Return the .deb itself, see deb(5)."""
        control = {"./control": (self.control, 0o644)}
        if self.preinst:
            control["./preinst"] = (f"#!/bin/sh\n{self.preinst}\n", 0o755)
        data = {f".{self.installed_path}": (self.version, 0o644)}
        members = (
            ("debian-binary", b"2.0\n"),
            ("control.tar.gz", _tar(control)),
            ("data.tar.gz", _tar(data)),
        )
        return b"!<arch>\n" + b"".join(_ar_member(name, content) for name, content in members)


def _tar(files: dict[str, tuple[str, int]]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT) as tar:
        folders = {f"./{parent}" for name in files for parent in Path(name).parents}
        for folder in sorted(folders, key=len):
            entry = tarfile.TarInfo(folder if folder != "./." else "./")
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for name, (text, mode) in files.items():
            content = text.encode()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(raw.getvalue(), compresslevel=1, mtime=0)


def _ar_member(name: str, content: bytes) -> bytes:
    head = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n"
    return head.encode() + content + b"\n" * (len(content) % 2)


def make_repository(folder: Path, packages: Collection[Deb]) -> None:
    """Write a flat repository that apt reads with ``deb [trusted=yes] file:FOLDER ./``."""
    folder.mkdir(parents=True)
    for package in packages:
        (folder / package.file_name).write_bytes(package.archive())
    write_index(folder, {package.file_name: package.control for package in packages})


def write_index(folder: Path, controls: Mapping[str, str]) -> None:
    """Write what apt reads of a folder with packages in it.

    Args:
        controls: control fields of each archive, by the name of its file.
    """
    paragraphs = []
    for name, control in controls.items():
        archive = (folder / name).read_bytes()
        paragraphs.append(
            f"{control}Filename: ./{name}\nSize: {len(archive)}\n"
            f"SHA256: {hashlib.sha256(archive).hexdigest()}\n"
        )
    index = "\n".join(paragraphs).encode()
    (folder / "Packages").write_bytes(index)
    (folder / "Release").write_text(
        f"Origin: {ORIGIN}\nLabel: {ORIGIN}\nSuite: {SUITE}\nCodename: {SUITE}\n"
        f"Date: {formatdate(usegmt=True)}\nArchitectures: all\n"
        f"SHA256:\n {hashlib.sha256(index).hexdigest()} {len(index)} Packages\n",
        encoding="utf-8",
    )


def make_database(folder: Path, installed: Iterable[Deb]) -> None:
    """Write dpkg's database in which exactly these are installed."""
    for name in ("info", "updates", "alternatives", "triggers", "parts"):
        (folder / name).mkdir(parents=True)
    (folder / "available").touch()
    paragraphs = []
    for package in installed:
        head, _, rest = package.control.partition("\n")
        paragraphs.append(f"{head}\nStatus: install ok installed\n{rest}")
        listed = ["/."]
        parts = Path(package.installed_path).parts[1:]
        listed += ["/" + "/".join(parts[:n]) for n in range(1, len(parts) + 1)]
        (folder / "info" / f"{package.name}.list").write_text("\n".join(listed) + "\n")
    (folder / "info" / "format").write_text("1\n")
    (folder / "status").write_text("\n".join(paragraphs), encoding="utf-8")

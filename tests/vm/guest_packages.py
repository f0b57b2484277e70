"""Make Debian packages for guests, and serve them as a repository in one."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from guest_driver import Guest

REPOSITORY = "/srv/repository"


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One version of a package.

    Args:
        fields: further fields of its control file.
        files: what it installs, by path.
    """

    name: str
    version: str
    fields: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)

    def build(self, folder: Path) -> Path:
        """Write the .deb into a folder and return it."""
        architecture = self.fields.get("Architecture", "all")
        target = folder / f"{self.name}_{self.version}_{architecture}.deb"
        with tempfile.TemporaryDirectory(dir=folder) as staged:
            for name, content in self.files.items():
                path = Path(staged) / name.lstrip("/")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            control = Path(staged) / "DEBIAN" / "control"
            control.parent.mkdir()
            fields = {
                "Package": self.name,
                "Version": self.version,
                "Architecture": architecture,
                "Maintainer": "Nobody <nobody@example.invalid>",
                "Description": "a package of snap-self's tests",
                **self.fields,
            }
            control.write_text("".join(f"{name}: {text}\n" for name, text in fields.items()))
            Path(staged).chmod(0o755)
            argv = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", staged, str(target)]
            subprocess.run(argv, check=True, capture_output=True)
        return target


def serve(guest: Guest, folder: Path, packages: Iterable[Package]) -> None:
    """Make the guest's apt know packages, as those of its distribution's own archive.

    Args:
        folder: on the host, where they are built.
    """
    repository = folder / Path(REPOSITORY).name
    repository.mkdir(exist_ok=True)
    for package in packages:
        package.build(repository)
    guest.copy_in(repository, str(Path(REPOSITORY).parent))
    release = {"Origin": "Debian", "Label": "Debian", "Codename": "bookworm", "Suite": "stable"}
    given = " ".join(
        f"-o APT::FTPArchive::Release::{name}={text}" for name, text in release.items()
    )
    guest.do(
        f"cd {REPOSITORY} && apt-ftparchive packages . >Packages"
        f" && apt-ftparchive {given} release . >/tmp/Release && mv /tmp/Release ."
        f" && echo 'deb [trusted=yes] file:{REPOSITORY} ./' >/etc/apt/sources.list"
        " && apt-get update"
    )

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


# As dpkg-repack does it: the files as they are, the control file from dpkg's database.
_REPACK = """
set -e
mkdir -p {repository} /root/new/DEBIAN && cd /root/new
dpkg -L {name} | while read -r path; do
    # Directories like /lib are links into /usr here.
    if [ -e "$path" ] && ! [ -L "$path" -a -d "$path" ]; then echo "$path"; fi
done >/tmp/files
tar -c --no-recursion -P -T /tmp/files | tar -x
form='Package: ${{Package}}\nVersion: {version}\nArchitecture: ${{Architecture}}\n'
form="$form"'Maintainer: ${{Maintainer}}\nDepends: ${{Depends}}\nDescription: ${{Description}}\n'
dpkg-query -W -f "$form" {name} >DEBIAN/control
cp /var/lib/dpkg/info/{name}.conffiles DEBIAN/
cp /var/lib/dpkg/info/{name}.prerm /var/lib/dpkg/info/{name}.postrm DEBIAN/
printf '%s' '{postinst}' >DEBIAN/postinst && chmod 755 DEBIAN/postinst
mkdir -p "$(dirname .{path})" && cat >.{path}
dpkg-deb --root-owner-group -Znone --build . {repository}/{name}_new_amd64.deb
cd / && rm -rf /root/new
"""


def repack(
    guest: Guest, name: str, *, version: str, path: str, content: str, postinst: str
) -> None:
    """Make a newer version of a package that the guest has, which brings one more file.

    Args:
        path: of that file.
        postinst: what it does at the end of its installation, without single quotes.
    """
    command = _REPACK.format(
        repository=REPOSITORY, name=name, version=version, path=path, postinst=postinst
    )
    guest.run(command, stdin=content.encode()).checked()


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

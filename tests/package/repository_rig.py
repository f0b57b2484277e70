"""Keys, tiny packages and the script that makes signed repositories of them."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from debian_repository import Deb

from agent_runner import CHECKOUT

SCRIPT = CHECKOUT / "packaging/repository.sh"
NAME = "snap-self"
LIMIT_S = 300.0
# This machine's architecture first, as dpkg and as rpm call it; then one of others.
ARCHITECTURES = {
    "x86_64": (("amd64", "x86_64"), ("arm64", "aarch64")),
    "aarch64": (("arm64", "aarch64"), ("amd64", "x86_64")),
}[os.uname().machine]
DEB_HERE, RPM_HERE = ARCHITECTURES[0]
PROGRAMS = (
    "gpg",
    "gpgv",
    "dpkg-deb",
    "apt-ftparchive",
    "rpm",
    "rpmbuild",
    "rpmsign",
    "createrepo_c",
)
SPEC = """Name: {name}
Version: {version}
Release: 1
Summary: A test's package
License: none
AutoReqProv: no
{tags}
%description
None.
%install
mkdir -p %{{buildroot}}/usr/share/snap-self-test
echo {content} >%{{buildroot}}/usr/share/snap-self-test/{name}
%files
/usr/share/snap-self-test/{name}
"""


@dataclass(frozen=True, slots=True)
class Keyring:
    """A GnuPG folder of its own, whose keys have no passphrase."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables with which programs find it."""
        names = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LC_ALL": "C.UTF-8"}
        return {**names, "GNUPGHOME": str(self.folder)}

    def gpg(self, *arguments: str | Path, stdin: str = "") -> str:
        """Run gpg without questions; return what it prints."""
        done = subprocess.run(
            ["gpg", "--batch", "--yes", "--quiet", *map(str, arguments)],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def make(self, user: str, *, expires: str = "5y", now: str = "") -> str:
        """Make a key that signs; return its fingerprint.

        Args:
            now: the date that gpg is to believe, as 20200101T000000; empty: today.
        """
        before = set(self.fingerprints())
        faked = [f"--faked-system-time={now}!"] if now else []
        self.gpg(
            *(*faked, "--pinentry-mode=loopback", "--passphrase="),
            *(
                "--quick-generate-key",
                f"{user} <{user}@example.invalid>",
                "rsa2048",
                "sign",
                expires,
            ),
        )
        (made,) = set(self.fingerprints()) - before
        return made

    def fingerprints(self) -> list[str]:
        """Return all keys that are known here."""
        lines = self.gpg("--with-colons", "--list-keys").splitlines()
        return [line.split(":")[9] for line in lines if line.startswith("fpr:")]

    def revoke(self, fingerprint: str) -> None:
        """Revoke a key by the certificate that gpg made along with it."""
        text = (self.folder / f"openpgp-revocs.d/{fingerprint}.rev").read_text(encoding="utf-8")
        self.gpg("--import", stdin=text.replace(":-----BEGIN", "-----BEGIN"))

    def sign_apart(self, file: Path, signature: Path, *, key: str) -> None:
        """Write an armoured signature of a file."""
        output = ("--output", str(signature), "--local-user", key)
        self.gpg("--armor", *output, "--detach-sign", file)

    def export(self, *fingerprints: str) -> bytes:
        """Return public keys, not armoured."""
        return subprocess.run(
            ["gpg", "--batch", "--export", *fingerprints],
            env=self.environment,
            capture_output=True,
            check=True,
        ).stdout


@contextmanager
def keyring() -> Iterator[Keyring]:
    """Make a folder for keys; afterwards neither it nor its agent is there."""
    # gpg-agent's socket lies in it, and the name of a socket is at most 107 bytes long.
    folder = Path(tempfile.mkdtemp(prefix="keys-", dir="/tmp"))
    ring = Keyring(folder)
    try:
        yield ring
    finally:
        subprocess.run(
            ["gpgconf", "--kill", "all"], env=ring.environment, capture_output=True, check=False
        )
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Packages:
    """Tiny packages of snap-self's name, made when they are asked for."""

    folder: Path

    def deb(
        self, version: str, *, architecture: str = DEB_HERE, name: str = NAME, content: str = ""
    ) -> Path:
        """Return a Debian package; ``content`` makes it another build of the same version."""
        made = Deb(name=name, version=version, architecture=architecture, preinst=content)
        path = self._place("deb", content) / made.file_name
        path.write_bytes(made.archive())
        return path

    def rpm(
        self,
        version: str,
        *,
        architecture: str = RPM_HERE,
        name: str = NAME,
        content: str = "",
        tags: str = "",
    ) -> Path:
        """Return an rpm package without a signature; ``tags`` are further lines of its spec."""
        folder = self._place("rpm", content)
        path = folder / f"{name}-{version}-1.{architecture}.rpm"
        if not path.exists():
            top = self.folder / "build"
            top.mkdir(exist_ok=True)
            spec = top / f"{path.name}.spec"
            text = SPEC.format(name=name, version=version, content=content or version, tags=tags)
            spec.write_text(text, encoding="utf-8")
            defines = {
                "_topdir": top,
                "_rpmdir": folder,
                "_dbpath": top / "db",
                "_build_id_links": "none",
                "_rpmfilename": "%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm",
            }
            defined = [f"--define={name} {value}" for name, value in defines.items()]
            checked("rpmbuild", "-bb", "--quiet", f"--target={architecture}", *defined, spec)
        return path

    def both(self, version: str) -> list[Path]:
        """Return the packages of a version for this machine, of each kind."""
        return [self.deb(version), self.rpm(version)]

    def _place(self, kind: str, content: str) -> Path:
        folder = self.folder / kind / hashlib.sha256(content.encode()).hexdigest()[:8]
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def checked(*argv: str | Path, env: dict[str, str] | None = None) -> str:
    """Run a program that must succeed; return what it prints."""
    done = subprocess.run(
        [str(word) for word in argv],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, f"{argv[0]}: {done.stdout}{done.stderr}"
    return done.stdout


def repository(
    ring: Keyring, *arguments: str | Path, before: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run the script to its end.

    Args:
        before: words that start it, as those of another program.
    """
    return subprocess.run(
        [*before, str(SCRIPT), *map(str, arguments)],
        env=ring.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def made(ring: Keyring, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the script, which must succeed."""
    done = repository(ring, *arguments)
    assert done.returncode == 0, done.stderr
    return done


@dataclass(frozen=True, slots=True)
class Bench:
    """Keys in every state, packages, and a repository of version 1.0."""

    ring: Keyring
    public_only: Keyring
    packages: Packages
    key: str
    other: str
    place: Path

    @property
    def output(self) -> Path:
        """Return the repository."""
        return self.place / "repository"

    def run(
        self, *arguments: str | Path, before: tuple[str, ...] = (), ring: Keyring | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the script for the repository with the key; later options go before these."""
        given = ("--key", self.key, "--output", self.output)
        return repository(ring or self.ring, *given, *arguments, before=before)


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@contextmanager
def workshop(place: Path) -> Iterator[Bench]:
    """Make keys and a repository of version 1.0 below a folder."""
    with keyring() as ring, keyring() as public_only:
        key, other = ring.make("good"), ring.make("other")
        export = place / "public.gpg"
        export.write_bytes(ring.export(key))
        public_only.gpg("--import", export)
        bench = Bench(ring, public_only, Packages(place / "packages"), key, other, place)
        made(ring, "--key", key, "--output", bench.output, *bench.packages.both("1.0"))
        yield bench


# --- what somebody else may do to a repository --------------------------------------------------


def spoil(path: Path) -> None:
    """Change one byte in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x55
    path.unlink()
    path.write_bytes(content)


def forge_packages_list(repository: Path) -> None:
    """Offer a version that nobody signed for in apt's lists, in each of their forms."""
    for path in sorted(repository.glob("deb/dists/stable/main/binary-*/**/*")):
        if not path.is_file():
            continue
        packed = path.read_bytes().startswith(b"\x1f\x8b")
        text = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
        forged = text.replace(b"Version: 1.0", b"Version: 6.6")
        assert forged != text
        path.unlink()
        path.write_bytes(gzip.compress(forged) if packed else forged)


def forge_primary(rpms: Path) -> None:
    """Offer a version that nobody signed for in rpm's list, and have repomd.xml agree with it."""
    (primary,) = rpms.glob("repodata/*-primary.xml.gz")
    packed = primary.read_bytes()
    text = gzip.decompress(packed)
    forged = text.replace(b'ver="1.0"', b'ver="6.6"')
    assert forged != text
    repacked = gzip.compress(forged)
    primary.unlink()
    primary.write_bytes(repacked)
    repomd = rpms / "repodata/repomd.xml"
    listed = repomd.read_text(encoding="utf-8")
    for old, new in ((packed, repacked), (text, forged)):
        listed = listed.replace(hashlib.sha256(old).hexdigest(), hashlib.sha256(new).hexdigest())
        listed = listed.replace(f"size>{len(old)}<", f"size>{len(new)}<")
    repomd.unlink()
    repomd.write_text(listed, encoding="utf-8")


def list_rpms_anew(rpms: Path, ring: Keyring, *, key: str) -> None:
    """Make and sign the lists of a folder as its owner would, whatever packages lie there."""
    shutil.rmtree(rpms / "repodata")
    checked("createrepo_c", "--quiet", "--no-database", rpms)
    repomd = rpms / "repodata/repomd.xml"
    ring.sign_apart(repomd, rpms / "repodata/repomd.xml.asc", key=key)

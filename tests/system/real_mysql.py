"""A real MySQL server: Debian's own package, unpacked once into a folder of its own and kept.

No stable Debian has one; unstable does, at the mirror of this machine's own apt. Its libraries are
newer than this machine's, so they are taken along, and the program is bound to them.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from kept_builds import (
    CannotBuild,
    cache_folder,
    checked,
    locked,
    remove_old,
    source_of,
    tail,
)
from snap_self.system.trust import distrust

# Raise it when it is to be made anew although nothing below tells.
_FORM = 1
SUITE = "sid"
PACKAGE = "mysql-server-core"
LIMIT_S = 240
PROGRAMS = ("mmdebstrap", "patchelf", "apt-get")
# A mirror that does not answer is given up soon.
_APT = (
    "Acquire::Check-Valid-Until false",
    "Acquire::Retries 1",
    "Acquire::http::Timeout 20",
    "Acquire::https::Timeout 20",
)


@dataclass(frozen=True, slots=True)
class MySqlProgram:
    """The server as it can be started.

    Args:
        server: where nobody but root could have put it.
        data: what it reads as its own account.
    """

    server: Path
    data: Path

    @property
    def argv(self) -> tuple[str, ...]:
        """Return the program with the places that are not where it was built for."""
        return (
            *(str(self.server), "--no-defaults", f"--lc-messages-dir={self.data}/share"),
            *(f"--character-sets-dir={self.data}/share/charsets", "--secure-file-priv="),
            f"--plugin-dir={self.data}/plugin",
        )


@functools.cache
def unpacked() -> Path:
    """Return the kept folder; get it where there is none yet.

    Raises:
        CannotBuild: it cannot be had here.
    """
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    if lacking:
        raise CannotBuild(f"no {', '.join(lacking)}")
    source = source_of(SUITE)
    inputs = repr((_FORM, PACKAGE, source))
    name = hashlib.sha256(inputs.encode()).hexdigest()[:16]
    folder = cache_folder("mysql") / name
    with locked(cache_folder("mysql") / "lock"):
        if not folder.exists():
            remove_old(cache_folder("mysql"), but=name)
            _get(folder, source)
    os.utime(folder)
    return folder


def placed(folder: Path) -> MySqlProgram:
    """Return the server; what its account reads is put into a folder, as that may not enter root's.

    Raises:
        CannotBuild: it cannot be had here.
    """
    kept = unpacked()
    server = kept / "mysqld"
    if found := distrust(str(server), sticky=False):
        raise CannotBuild(f"a server that others could exchange counts as none: {found.why}")
    shutil.copytree(kept / "data", folder)
    return MySqlProgram(server, folder)


def _get(folder: Path, source: str) -> None:
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="building-") as name:
        work, root = Path(name) / "kept", Path(name) / "root"
        (list_ := Path(name) / "sources.list").write_text(source, encoding="utf-8")
        _unpack(root, list_, Path(name) / "log")
        work.mkdir(mode=0o755)
        _keep(root, work, folder)
        # A folder that is there is whole: the rename is the last step.
        work.rename(folder)
    print(f"{PACKAGE} of Debian {SUITE}: unpacked in {time.monotonic() - begun:.0f} s", flush=True)


def _unpack(root: Path, source: Path, log: Path) -> None:
    """Unpack the package and all that it needs; none of their scripts is run."""
    with log.open("w", encoding="utf-8") as out:
        try:
            done = subprocess.run(
                [
                    *("mmdebstrap", "--mode=root", "--variant=extract", "--format=directory"),
                    *(f"--aptopt={option}" for option in _APT),
                    *(f"--include={PACKAGE}", SUITE, str(root), str(source)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=LIMIT_S,
            )
        except subprocess.TimeoutExpired as error:
            raise CannotBuild(f"not got within {LIMIT_S} s") from error
    if done.returncode != 0:
        raise CannotBuild(f"mmdebstrap: {tail(log)}")


def _keep(root: Path, kept: Path, final: Path) -> None:
    """Take what the server needs, and bind it to its libraries in the place that they will have."""
    server = root / "usr/sbin/mysqld"
    loader = next(root.glob("usr/lib/*/ld-linux*.so.*"))
    listed = checked(str(loader), "--library-path", str(loader.parent), "--list", str(server))
    paths = [word for line in listed.splitlines() for word in line.split() if word[0] == "/"]
    (kept / "lib").mkdir()
    for path in {loader, *(Path(path) for path in paths if path.startswith(f"{root}/"))}:
        shutil.copy(path, kept / "lib")
    shutil.copy(server, kept)
    interpreter = ("--set-interpreter", str(final / "lib" / loader.name))
    rpath = ("--force-rpath", "--set-rpath", str(final / "lib"))
    checked("patchelf", *interpreter, *rpath, str(kept / "mysqld"))
    (kept / "data/plugin").mkdir(parents=True)
    for name in ("auth_socket.so", "component_reference_cache.so"):
        shutil.copy(root / "usr/lib/mysql/plugin" / name, kept / "data/plugin")
    for name in ("charsets", "english"):
        shutil.copytree(root / "usr/share/mysql" / name, kept / "data/share" / name)

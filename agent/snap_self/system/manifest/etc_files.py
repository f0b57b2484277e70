"""/etc by keyed hashes, and what can be told from the names in it."""

from __future__ import annotations

import os
import stat

try:  # ``hashlib`` loads OpenSSL as well, which takes longer than all the hashes
    from _blake2 import blake2b
except ImportError:  # pragma: no cover - a Python that was built otherwise
    from hashlib import blake2b

from snap_self.system.manifest.plain_files import READ_NO_LINK, Faults, Tree, read_whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

Row = tuple[int, int, int, int, str, str]
"""Mode, user, group, size, digest, target."""

LONGEST_READ = 1 << 20
DIGEST_BYTES = 12
ETC = "/etc"
FIRST = ("/etc/systemd", "/etc/alternatives")
# The histories that etckeeper makes: their content is what /etc was, a thousand times.
HISTORIES = frozenset(("/etc/.git", "/etc/.hg", "/etc/.bzr", "/etc/_darcs"))
_SYSTEMD = "/etc/systemd/system/"
_ALTERNATIVES = "/etc/alternatives/"
_PULLED_IN = (".wants", ".requires", ".upholds")
_AT_ONCE = 250


def read_etc(tree: Tree, key: bytes, faults: Faults, *, top: str = ETC) -> Iterator[dict[str, Row]]:
    """Yield what is below a folder, some hundred names at a time.

    Args:
        key: of the hashes; nothing is hashed without one.
    """
    found: dict[str, Row] = {}
    for folder, name, path, status in tree.walk(top, faults):
        row = row_of(folder, name, path, status, key, faults)
        if row is not None:
            found[path] = row
        if len(found) >= _AT_ONCE:
            yield found
            found = {}
    yield found


def row_of(
    folder: int, name: str, path: str, status: os.stat_result, key: bytes, faults: Faults
) -> Row | None:
    """Return what is noted of a name in an open folder; None if it has gone meanwhile."""
    digest = target = ""
    try:
        if stat.S_ISLNK(status.st_mode):
            target = os.readlink(name, dir_fd=folder)
        elif stat.S_ISREG(status.st_mode) and status.st_size > LONGEST_READ:
            digest = f"mtime:{status.st_mtime_ns}"
        elif stat.S_ISREG(status.st_mode) and key:
            status, digest = _read(folder, name, status, key)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        faults.met(path, error)
    return (status.st_mode, status.st_uid, status.st_gid, status.st_size, digest, target)


def _read(folder: int, name: str, status: os.stat_result, key: bytes) -> tuple[os.stat_result, str]:
    """Return status and digest of one and the same file.

    Another may have taken its place since it was looked at: it is opened so that neither a FIFO
    nor a link is waited for or followed, and only a regular file is read.
    """
    descriptor = os.open(name, READ_NO_LINK, dir_fd=folder)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return status, ""
        content = read_whole(descriptor, LONGEST_READ, likely=status.st_size)
    finally:
        os.close(descriptor)
    if len(content) > LONGEST_READ:
        return status, f"mtime:{status.st_mtime_ns}"
    return status, digest_of(content, key)


def digest_of(content: bytes, key: bytes) -> str:
    """Return the keyed hash of it: without the key, short secrets could be guessed from theirs."""
    return blake2b(content, digest_size=DIGEST_BYTES, key=key).hexdigest()


def alternatives_of(files: dict[str, Row]) -> dict[str, str]:
    """Return what /etc/alternatives chooses: link group → target."""
    return {
        path.removeprefix(_ALTERNATIVES): row[5]
        for path, row in files.items()
        if path.startswith(_ALTERNATIVES) and row[5]
    }


def units_of(files: dict[str, Row], key: bytes) -> dict[str, str]:
    """Return what the administrator has set for units of systemd: unit → words.

    Words are ``enabled`` (something pulls it in), ``masked``, ``alias:UNIT``, ``local`` (the unit
    itself lies in /etc) and ``drop-ins:DIGEST``, those that hold, separated by blanks.

    Source: systemd.unit(5).
    """
    words: dict[str, set[str]] = {}
    drop_ins: dict[str, list[str]] = {}
    for path, row in files.items():
        if not path.startswith(_SYSTEMD):
            continue
        folder, _, name = path.removeprefix(_SYSTEMD).rpartition("/")
        if not folder and row[5]:
            masked = row[5] == "/dev/null"
            alias = f"alias:{row[5].rpartition('/')[2]}"
            words.setdefault(name, set()).add("masked" if masked else alias)
        elif not folder and stat.S_ISREG(row[0]):
            words.setdefault(name, set()).add("local")
        elif folder.endswith(_PULLED_IN) and row[5]:
            words.setdefault(name, set()).add("enabled")
        elif folder.endswith(".d") and name.endswith(".conf"):
            drop_ins.setdefault(folder[:-2], []).append(f"{name} {row[4]}{row[5]}")
    for unit, each in drop_ins.items():
        digest = digest_of("\n".join(sorted(each)).encode("utf-8", "surrogateescape"), key)
        words.setdefault(unit, set()).add(f"drop-ins:{digest}")
    return {unit: " ".join(sorted(each)) for unit, each in sorted(words.items())}

"""What package managers' own databases say is installed."""

from __future__ import annotations

import os
import stat

from snap_self.system.manifest.plain_files import Faults, Tree, read_file, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from snap_self.ports import Commands

Row = tuple[str, str, bool, bool]
"""Version, state, whether held, whether it came as a dependency."""

INSTALLED = "installed"
_DPKG = "/var/lib/dpkg"
_APT_STATES = "/var/lib/apt/extended_states"
_PACMAN = "/var/lib/pacman/local"
_PACMAN_VERSION = "ALPM_DB_VERSION"
_RPM = ("/var/lib/rpm", "/usr/lib/sysimage/rpm")
_RPM_FILES = ("rpmdb.sqlite", "Packages.db", "Packages")
# Nobody waits so long: the agent ends the reading process before.
RPM_LIMIT_S = 20.0
# The signature of every header would be checked anew, which takes most of the time.
RPM_COMMAND = (
    *("/usr/bin/rpm", "-qa", "--nodigest", "--nosignature", "--queryformat"),
    r"%{NAME}\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\t%{ARCH}\n",
)


def manager_of(root: str) -> str:
    """Return whose database there is: ``dpkg``, ``rpm``, ``pacman``, or an empty text.

    A machine may have another one's programs to build packages with, and then its empty database:
    rpm makes one when it is asked for the first time, pacman's has its version alone.
    """
    if _size(f"{root}{_DPKG}/status"):
        return "dpkg"
    if _names(f"{root}{_PACMAN}") - {_PACMAN_VERSION}:
        return "pacman"
    if any(_size(f"{root}{folder}/{name}") for folder in _RPM for name in _RPM_FILES):
        return "rpm"
    return ""


def _names(folder: str) -> set[str]:
    try:
        return set(os.listdir(folder))  # noqa: PTH208
    except OSError:
        return set()


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116
    except OSError:
        return 0


def read_dpkg(root: str, faults: Faults) -> dict[str, Row]:
    """Return the packages that dpkg knows, ``NAME:ARCHITECTURE``, without those it only remembers.

    Source: deb-control(5), dpkg-query(1); what an interrupted dpkg has not merged yet lies in
    ``updates`` (dpkg's ``lib/dpkg/dbmodify.c``).
    """
    texts = [read_file(f"{root}{_DPKG}/status")]
    try:
        updates = os.listdir(f"{root}{_DPKG}/updates")  # noqa: PTH208
    except OSError:
        updates = []
    numbers = sorted(name for name in updates if name.isdigit())
    texts += [text_of(f"{root}{_DPKG}/updates/{name}", faults) for name in numbers]
    return parse_dpkg("\n\n".join(texts), text_of(f"{root}{_APT_STATES}", faults))


def parse_dpkg(status: str, extended_states: str = "") -> dict[str, Row]:
    """Return the packages of dpkg's status file; the last word on a package counts.

    Args:
        extended_states: apt's file, which knows what came as a dependency.
    """
    automatic = {
        f"{_value(stanza, 'Package')}:{_value(stanza, 'Architecture')}"
        for stanza in _stanzas(extended_states)
        if _value(stanza, "Auto-Installed") == "1"
    }
    native = _native(automatic)
    found: dict[str, Row] = {}
    for stanza in _stanzas(status):
        words = _value(stanza, "Status").split()
        name = f"{_value(stanza, 'Package')}:{_value(stanza, 'Architecture')}"
        if len(words) != 3 or name.startswith(":"):
            continue
        if words[2] == "not-installed":
            found.pop(name, None)
            continue
        # apt names a package for all architectures by the native one.
        named = f"{name[:-4]}:{native}" if name.endswith(":all") else name
        auto = not automatic.isdisjoint((name, named))
        found[name] = (_value(stanza, "Version"), words[2], words[0] == "hold", auto)
    return found


def _native(names: set[str]) -> str:
    """Return the architecture that most of these are of."""
    counts: dict[str, int] = {}
    for name in names:
        architecture = name.rpartition(":")[2]
        counts[architecture] = counts.get(architecture, 0) + 1
    return max(counts, key=lambda each: counts[each], default="")


def _stanzas(text: str) -> Iterator[str]:
    for stanza in text.split("\n\n"):
        if stanza and not stanza.isspace():
            yield f"\n{stanza}\n"


def _value(stanza: str, field: str) -> str:
    """Return a field of one line; continued lines begin with a blank, so none is taken for it."""
    begin = stanza.find(f"\n{field}: ")
    if begin < 0:
        return ""
    begin += len(field) + 3
    return stanza[begin : stanza.index("\n", begin)].strip()


def read_pacman(root: str, faults: Faults) -> dict[str, Row]:
    """Return the packages of pacman's local database.

    Source: alpm's ``lib/libalpm/be_local.c``; REASON 1 is a dependency.
    """
    found: dict[str, Row] = {}
    tree = Tree(root, fences={})
    for folder, name, path, status in tree.walk(_PACMAN, faults):
        if name != "desc" or not stat.S_ISREG(status.st_mode):
            continue
        try:
            text = read_file(name, folder=folder)
        except OSError as error:
            faults.met(path, error)
            continue
        found.update(parse_pacman(text))
    return found


def parse_pacman(desc: str) -> dict[str, Row]:
    """Return the one package that a ``desc`` file describes; nothing if it has no name."""
    values = {}
    for block in desc.split("\n\n"):
        head, _, value = block.strip("\n").partition("\n")
        values[head] = value.partition("\n")[0]
    name = values.get("%NAME%")
    if not name:
        return {}
    return {name: (values.get("%VERSION%", ""), INSTALLED, False, values.get("%REASON%") == "1")}


def read_rpm(commands: Commands, faults: Faults) -> dict[str, Row]:
    """Return the packages that rpm knows; asking takes no lock that a transaction waits for."""
    try:
        status, output, _ = commands.run(RPM_COMMAND, timeout_s=RPM_LIMIT_S)
    except OSError as error:
        faults.add(RPM_COMMAND[0], error.strerror or type(error).__name__)
        return {}
    if status:
        faults.add(RPM_COMMAND[0], f"ended with status {status}")
    return parse_rpm(output)


def parse_rpm(text: str) -> dict[str, Row]:
    """Return the packages that ``RPM_COMMAND`` prints, ``NAME.ARCH``.

    Of some, such as kernels, several versions are installed beside each other: these are joined,
    in the order of their texts.
    """
    versions: dict[str, list[str]] = {}
    for line in text.split("\n"):
        fields = line.split("\t")
        if len(fields) != 3 or not fields[0]:
            continue
        name = fields[0] if fields[2] == "(none)" else f"{fields[0]}.{fields[2]}"
        versions.setdefault(name, []).append(fields[1])
    return {
        name: (", ".join(sorted(several)), INSTALLED, False, False)
        for name, several in versions.items()
    }

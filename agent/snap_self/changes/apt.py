"""What apt announces to a program of ``DPkg::Pre-Install-Pkgs``, in its three versions.

Source: apt.conf(5), DPkg::Pre-Install-Pkgs; apt's own ``SendPkgsInfo``.
"""

from __future__ import annotations

from snap_self.changes.conversation import Conversation
from snap_self.model.packages import (
    CHANGE,
    DOWNGRADE,
    INSTALL,
    REINSTALL,
    REMOVE,
    UPGRADE,
    Package,
    Transaction,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

VERSIONS = (2, 3)
MAX_BYTES = 32 << 20
STDIN = 0
INFO_FD = "APT_HOOK_INFO_FD"
RELEASE_UPGRADE = "RELEASE_UPGRADE_IN_PROGRESS"
ASK_S = 3.0

_FIELDS = {2: 5, 3: 9}
_REMOVED = "**REMOVE**"
_CONFIGURED = "**CONFIGURE**"
_MOVES = {"<": UPGRADE, "=": REINSTALL, ">": DOWNGRADE}


class Announcement:
    """What apt said.

    Args:
        settings: apt's configuration, the last value of each name, lower case.
        truncated: it ended in the middle, or holds lines that are none.
    """

    __slots__ = ("packages", "settings", "truncated")

    def __init__(
        self, packages: Sequence[Package], settings: dict[str, str], *, truncated: bool
    ) -> None:
        self.packages = tuple(packages)
        self.settings = settings
        self.truncated = truncated

    def root(self) -> str:
        """Return the root that the packages go to."""
        for name in ("dpkg::chroot-directory", "rootdir", "dir"):
            place = self.settings.get(name, "")
            if place.strip("/"):
                return place
        return "/"


def parse(text: str) -> Announcement:
    """Return what apt said; one cut off anywhere is understood as far as it goes.

    Raises:
        ValueError: it is of a version that is not known.
    """
    lines = text.split("\n")
    cut = lines.pop() != ""  # what does not end in a line's end
    version = _version(lines[0]) if lines else 1
    if version == 1:
        files = [line for line in lines if line]
        return Announcement([_file(line) for line in files], {}, truncated=cut)
    if "" not in lines:
        return Announcement((), _settings(lines[1:]), truncated=True)
    end = lines.index("")
    packages, strange = _packages(lines[end + 1 :], version)
    return Announcement(packages, _settings(lines[1:end]), truncated=cut or strange)


def _version(line: str) -> int:
    word, space, number = line.partition(" ")
    if word != "VERSION" or not space:
        return 1
    if number.isdigit() and int(number) in VERSIONS:
        return int(number)
    raise ValueError(f"apt speaks version {number[:20]!r} of its list; 1 to 3 are known")


def _settings(lines: Iterable[str]) -> dict[str, str]:
    settings = {}
    for line in lines:
        name, equals, value = line.partition("=")
        if equals:
            settings[_decoded(name).lower()] = _decoded(value)
    return settings


def _decoded(text: str) -> str:
    """Return what apt encoded with %xx; ``urllib.parse`` takes too long to load."""
    if "%" not in text:
        return text
    head, *parts = text.encode("utf-8", "surrogateescape").split(b"%")
    out = [head]
    for part in parts:
        try:
            out += [bytes.fromhex(part[:2].decode("ascii")), part[2:]]
        except ValueError:
            out += [b"%", part]
    return b"".join(out).decode("utf-8", "surrogateescape")


def _packages(lines: Sequence[str], version: int) -> tuple[Sequence[Package], bool]:
    """Return each package once, and whether there were lines that are none.

    A package has a line for each thing that happens to it; being configured says least.
    """
    count = _FIELDS[version]
    found: dict[tuple[str, str], Package] = {}
    strange = False
    for line in lines:
        fields = line.split(" ", count - 1)
        if len(fields) != count:
            strange = strange or bool(line)
            continue
        package = _package(fields, version)
        key = (package.name, package.arch or "")
        if key not in found or fields[-1] != _CONFIGURED:
            found[key] = package
    return tuple(found.values()), strange


def _package(fields: Sequence[str], version: int) -> Package:
    if version == 3:
        name, old, old_arch, _, move, new, new_arch, _, doing = fields
        arch = old_arch if new_arch == "-" else new_arch
    else:
        name, old, move, new, doing = fields
        arch = "-"
    return Package(
        name,
        _action(old, move, doing),
        arch=_known(arch),
        old=_known(old),
        new=None if doing == _REMOVED else _known(new),
    )


def _action(old: str, move: str, doing: str) -> str:
    if doing == _REMOVED:
        return REMOVE
    if doing == _CONFIGURED:
        return CHANGE  # unpacked before, and only now configured
    return INSTALL if old == "-" else _MOVES.get(move, CHANGE)


def _known(field: str) -> str | None:
    return None if field == "-" else field


def _file(path: str) -> Package:
    """Return the package of a file, which apt names package_version_architecture.deb."""
    stem = path.rpartition("/")[2].removesuffix(".deb")
    name, _, rest = stem.partition("_")
    version, _, arch = rest.rpartition("_")
    return Package(name, CHANGE, arch=arch or None, new=_decoded(version) or None)


class AptConversation(Conversation):
    """The conversation with apt, and with every program that works by its library."""

    def transaction(self) -> Transaction | None:
        """Read the list, from the descriptor that apt names or from standard input."""
        said = parse(self._text())
        if not said.packages and not said.truncated:
            return None
        return Transaction(
            "apt",
            said.packages,
            command=said.settings.get("commandline::asstring", ""),
            skip=_skip(said.settings.get("snapself::skip", "")),
            root=said.root(),
            truncated=said.truncated,
            release_upgrade=bool(self.env.get(RELEASE_UPGRADE)),
            essential=self._essential(said.packages),
        )

    def _text(self) -> str:
        number = self.env.get(INFO_FD, "")
        try:
            descriptor = int(number) if number.isdigit() else STDIN
            if descriptor == STDIN:
                raw = self.stdin.read(MAX_BYTES)
            else:
                with self.outside.open_input(descriptor) as file:
                    raw = file.read(MAX_BYTES)
        except OSError as error:
            raise ValueError(f"apt's list cannot be read: {error.strerror}") from None
        return raw.decode("utf-8", "surrogateescape")

    def _essential(self, packages: Sequence[Package]) -> tuple[str, ...]:
        """Ask dpkg which of the removed packages it would not have removed without force."""
        kept = {package.name for package in packages if package.action != REMOVE}
        removed = sorted({p.name for p in packages if p.action == REMOVE} - kept)
        if not removed:
            return ()
        argv = ["dpkg-query", "-W", "-f", "${Package} ${Essential} ${Protected}\\n", *removed]
        said = self.outside.ask(argv, limit_s=ASK_S) or ""
        rows = [line.split(" ") for line in said.splitlines()]
        return tuple(sorted({row[0] for row in rows if "yes" in row[1:]}))


def _skip(value: str) -> str:
    """Return why no snapshot is wanted, by apt's way of writing true."""
    wanted = value.lower() in ("1", "yes", "true", "with", "on", "enable")
    return "told to by SnapSelf::Skip" if wanted else ""

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
ASK_S = 3.0

_FIELDS = {2: 5, 3: 9}
_ROOT_SETTINGS = ("dpkg::chroot-directory", "rootdir", "dir")
# dpkg(1): the second is where files go, the first the database too.
_ROOT_OPTIONS = ("--root", "--instdir")
_DPKG_OPTION = "dpkg::options::"
# What dpkg knows of a package of which only its configuration files are left.
_LEFT_OVER = "config-files"
_ASKED = "${Package} ${Architecture} ${db:Status-Status} ${Essential} ${Protected}\\n"
_REMOVED = "**REMOVE**"
_CONFIGURED = "**CONFIGURE**"
_MOVES = {"<": UPGRADE, "=": REINSTALL, ">": DOWNGRADE}


class Announcement:
    """What apt said.

    Args:
        settings: apt's configuration, the last value of each name, lower case.
        truncated: it ended in the middle, holds lines that are none, or tells no removals.
        options: what apt gives to dpkg before all else.
    """

    __slots__ = ("options", "packages", "settings", "truncated")

    def __init__(
        self,
        packages: Sequence[Package],
        settings: dict[str, str],
        *,
        truncated: bool,
        options: Sequence[str] = (),
    ) -> None:
        self.packages = tuple(packages)
        self.settings = settings
        self.truncated = truncated
        self.options = tuple(options)

    def root(self) -> str:
        """Return the root that the packages go to."""
        named = (self.settings.get(name, "") for name in _ROOT_SETTINGS)
        places = (*named, *_root_options(self.options))
        return next((place for place in places if place.strip("/.")), "/")


def parse(text: str) -> Announcement:
    """Return what apt said; one cut off anywhere is understood as far as it goes.

    Raises:
        ValueError: it is of a version that is not known.
    """
    lines = text.split("\n")
    cut = lines.pop() != ""  # what does not end in a line's end
    version = _version(lines[0]) if lines else 1
    if version == 1:
        # It names the files that are unpacked; what is removed beside them, or alone, it does not.
        return Announcement([_file(line) for line in lines if line], {}, truncated=True)
    if "" not in lines:
        return Announcement((), dict(_settings(lines[1:])), truncated=True)
    end = lines.index("")
    packages, strange = _packages(lines[end + 1 :], version)
    settings = _settings(lines[1:end])
    options = [value for name, value in settings if name.startswith(_DPKG_OPTION)]
    return Announcement(packages, dict(settings), truncated=cut or strange, options=options)


def _version(line: str) -> int:
    word, space, number = line.partition(" ")
    if word != "VERSION" or not space:
        return 1
    if number.isdigit() and int(number) in VERSIONS:
        return int(number)
    raise ValueError(f"apt speaks version {number[:20]!r} of its list; 1 to 3 are known")


def _settings(lines: Iterable[str]) -> list[tuple[str, str]]:
    pairs = (line.partition("=") for line in lines)
    return [(_decoded(name).lower(), _decoded(value)) for name, equals, value in pairs if equals]


def _root_options(options: Sequence[str]) -> Iterable[str]:
    """Yield where these options have dpkg put what it unpacks."""
    for index, option in enumerate(options):
        name, equals, place = option.partition("=")
        if name in _ROOT_OPTIONS:
            yield place if equals else "".join(options[index + 1 : index + 2])


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
        removed = self._removed(said.packages)
        packages = [each for each in said.packages if not removed.leaves_all(each)]
        if not packages and not said.truncated:
            return None
        return Transaction(
            "apt",
            packages,
            command=said.settings.get("commandline::asstring", ""),
            skip=_skip(said.settings.get("snapself::skip", "")),
            root=said.root(),
            truncated=said.truncated,
            release_upgrade=self.in_release_upgrade,
            essential=removed.essential,
            unasked=removed.unasked,
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

    def _removed(self, packages: Sequence[Package]) -> Removed:
        """Ask dpkg about the removed packages, if there are any."""
        kept = {package.name for package in packages if package.action != REMOVE}
        names = sorted({p.name for p in packages if p.action == REMOVE} - kept)
        if not names:
            return Removed((), "")
        argv = ["dpkg-query", "-W", "-f", _ASKED, *names]
        return Removed(names, self.outside.ask(argv, limit_s=ASK_S) or "")


class Removed:
    """What dpkg says of the packages that are removed.

    Args:
        names: what it was asked about.
        said: a line for each, in the form of the question.
    """

    __slots__ = ("_states", "essential", "unasked")

    def __init__(self, names: Sequence[str], said: str) -> None:
        rows = [row for line in said.split("\n") if len(row := line.split(" ")) == 5]
        self._states = {(row[0], row[1]): row[2] for row in rows}
        # Without force it would not remove these.
        self.essential = tuple(sorted({row[0] for row in rows if "yes" in row[3:]}))
        self.unasked = tuple(sorted(set(names) - {row[0] for row in rows}))

    def leaves_all(self, package: Package) -> bool:
        """Tell whether nothing but configuration is removed: the package itself went before."""
        if package.action != REMOVE:
            return False
        states = {
            state
            for (name, arch), state in self._states.items()
            if name == package.name and package.arch in (None, arch)
        }
        return states == {_LEFT_OVER}


def _skip(value: str) -> str:
    """Return why no snapshot is wanted, by apt's way of writing true."""
    wanted = value.lower() in ("1", "yes", "true", "with", "on", "enable")
    return "told to by SnapSelf::Skip" if wanted else ""

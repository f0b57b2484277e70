"""What a pacman hook learns: the packages' names on standard input, one a line.

Neither versions nor operations are told. The names of the folders in pacman's database of installed
packages tell the old versions at the price of reading one folder; pacman's own command line tells
the operation where all packages share one.

Source: alpm-hooks(5); pacman(8); ``lib/libalpm/be_local.c`` for the folders' names.
"""

from __future__ import annotations

from snap_self.changes.conversation import Conversation
from snap_self.model.packages import CHANGE, INSTALL, REMOVE, Package, Transaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MANAGER = "pacman"
DATABASE = "/var/lib/pacman"
# A name can be as long as a file name; pacman of a full Arch repository knows 15,000.
MAX_INPUT_BYTES = 8 << 20
# The guard, and what pacman or a wrapper puts around it.
MAX_BETWEEN = 6
# Front ends start pacman itself for what they do as root; of these the process is pacman.
PROGRAMS = ("pacman", "pacman-static", "pamac-daemon", "packagekitd")
_LONG = {"--sync": "S", "--remove": "R", "--upgrade": "U", "--database": "D"}
_WITH_VALUE = {"--dbpath": "dbpath", "-b": "dbpath", "--root": "root", "-r": "root"}


class PacmanConversation(Conversation):
    """One transaction of pacman; its hook says ``AbortOnFail``, so the status decides."""

    def transaction(self) -> Transaction | None:
        """Read the names, and look up what is installed of them.

        Raises:
            ValueError: there are none, although a hook is run only for some.
        """
        raw = self.stdin.read(MAX_INPUT_BYTES + 1)
        truncated = len(raw) > MAX_INPUT_BYTES or not raw.endswith(b"\n")
        names = parse_names(raw[:MAX_INPUT_BYTES])
        if not names:
            raise ValueError("pacman names no packages: NeedsTargets is missing in the hook")
        pid = self._caller()
        arguments = self.outside.arguments(pid) if pid else ()
        asked = parse_command(arguments)
        database = asked.get("dbpath", DATABASE)
        installed = parse_local_names(self.outside.names_in(f"{database}/local"))
        return Transaction(
            MANAGER,
            describe(names, installed, removal=asked.get("operation") == "R"),
            program=_base_name(self.outside.executable(pid)) if pid else MANAGER,
            command=" ".join(arguments),
            root=asked.get("root", "/"),
            truncated=truncated,
        )

    def _caller(self) -> int:
        """Return the process that runs the transaction; 0 where none above is known to be it."""
        pid = self.outside.parent_pid()
        for _ in range(MAX_BETWEEN):
            if pid <= 1:
                return 0
            if _base_name(self.outside.executable(pid)) in PROGRAMS:
                return pid
            pid = self.outside.parent_of(pid)
        return 0


def parse_names(raw: bytes) -> list[str]:
    """Return each name once, in the order given."""
    text = raw.decode("utf-8", "surrogateescape")
    return list(dict.fromkeys(name for line in text.split("\n") if (name := line.strip())))


def parse_local_names(folders: Iterable[str]) -> dict[str, str]:
    """Return the installed version of each package, from ``NAME-VERSION-RELEASE``.

    Neither a version nor a release has a hyphen, so the last two tell them.
    """
    found = {}
    for folder in folders:
        name, _, release = folder.rpartition("-")
        name, _, version = name.rpartition("-")
        if name:  # ALPM_DB_VERSION is a file
            found[name] = f"{version}-{release}"
    return found


def describe(names: Iterable[str], installed: dict[str, str], *, removal: bool) -> list[Package]:
    """Return the packages as far as is known what happens to them."""
    packages = []
    for name in names:
        old = installed.get(name)
        # What is installed may also be removed, for what is installed in its place.
        changed = INSTALL if old is None and installed else CHANGE
        packages.append(Package(name, REMOVE if removal else changed, old=old))
    return packages


def parse_command(arguments: Sequence[str]) -> dict[str, str]:
    """Return ``operation`` (S, R, U, D…), ``dbpath`` and ``root`` of a pacman command line.

    Of several operations pacman itself refuses to run; here the last one counts.
    """
    found: dict[str, str] = {}
    words = iter(arguments[1:])
    for word in words:
        if word == "--":
            break
        name, equals, value = word.partition("=")
        if name in _WITH_VALUE:
            found[_WITH_VALUE[name]] = value if equals else next(words, "")
        elif operation := _LONG.get(word) or _letter_in(word):
            found["operation"] = operation
    return {key: value for key, value in found.items() if value}


def _letter_in(word: str) -> str:
    short = word[1:] if word.startswith("-") and not word.startswith("--") else ""
    return next((letter for letter in short if letter in _LONG.values()), "")


def _base_name(path: str) -> str:
    return path.removesuffix(" (deleted)").rpartition("/")[2]

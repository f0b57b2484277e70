"""How this snap-self came to the machine, and so what there is beside the program itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

TREE = "/opt/snap-self"
MANIFEST = f"{TREE}/install-manifest"
DEBIAN_RECORD = "/var/lib/dpkg/info/snap-self.list"
DOCUMENTS = "/usr/share/doc/snap-self"
HOOKS = "/usr/share/snap-self/hooks"
# Beside the code, wherever that is.
EXAMPLE = "data/config.example.toml"


class InstalledBy(Enum):
    """What put it there."""

    DEB = "deb"
    RPM = "rpm"
    SCRIPT = "install.sh"
    CHECKOUT = "checkout"
    PIP = "pip"
    PIPX = "pipx"
    UV = "uv"
    COPY = "copy"


_WORDS = {
    InstalledBy.DEB: "installed by the Debian package",
    InstalledBy.RPM: "installed by the rpm package",
    InstalledBy.SCRIPT: "installed by install.sh",
    InstalledBy.CHECKOUT: "run from a checkout",
    InstalledBy.COPY: "run from a copy of its files",
}
_WHOLE = (InstalledBy.DEB, InstalledBy.RPM, InstalledBy.SCRIPT)
MISSING = "package managers' hooks, systemd units and manual pages"
COMES_WITH = "the .deb, the .rpm or install.sh"
REINSTALL = "install the .deb or the .rpm, or run install.sh, again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """How this snap-self came to the machine.

    Args:
        folder: where it lies.
        documents: the folder of the documents; empty where there is none.
        example: the file with every configuration key.
        hooks: the folder with what package managers are given; empty where there is none.
    """

    by: InstalledBy
    folder: str
    documents: str
    example: str
    hooks: str

    @property
    def words(self) -> str:
        """How it came, for people."""
        return _WORDS.get(self.by, f"installed with {self.by.value}")

    @property
    def is_whole(self) -> bool:
        """Tell whether all that belongs to it is in its place."""
        return self.by in _WHOLE

    @property
    def limits(self) -> str:
        """What there is not here, and what has it; empty where all is there."""
        return "" if self.is_whole else f"{MISSING} come with {COMES_WITH}"


def installation_of(
    code: str, *, prefix: str, installer: str, is_there: Callable[[str], bool]
) -> Installation:
    """Return how it came here.

    Args:
        code: the folder of the package ``snap_self``, links resolved.
        prefix: the folder of the environment that it runs in.
        installer: what the package's metadata name as that; empty where there are none.
        is_there: tells whether a path is there.
    """
    root = code.rpartition("/agent/")[0]
    is_checkout = bool(root) and is_there(f"{root}/packaging/hooks/register")
    by = _by(code, prefix, installer, is_there, is_checkout=is_checkout)
    documents, hooks = "", ""
    example, folder = f"{code}/{EXAMPLE}", prefix
    if by in _WHOLE:
        folder = TREE
        documents = DOCUMENTS if is_there(DOCUMENTS) else ""
        placed = f"{DOCUMENTS}/examples/config.toml"
        example = placed if is_there(placed) else example
    elif by is InstalledBy.CHECKOUT:
        folder, documents, hooks = root, root, f"{root}/packaging/hooks"
    elif by is InstalledBy.COPY:
        folder = code
    # Those of a package serve whatever else is started beside it.
    hooks = HOOKS if is_there(HOOKS) else hooks
    return Installation(by=by, folder=folder, documents=documents, example=example, hooks=hooks)


def _by(
    code: str,
    prefix: str,
    installer: str,
    is_there: Callable[[str], bool],
    *,
    is_checkout: bool,
) -> InstalledBy:
    if code.startswith(f"{TREE}/"):
        if is_there(MANIFEST):
            return InstalledBy.SCRIPT
        return InstalledBy.DEB if is_there(DEBIAN_RECORD) else InstalledBy.RPM
    if is_checkout:
        return InstalledBy.CHECKOUT
    if is_there(f"{prefix}/pipx_metadata.json"):
        return InstalledBy.PIPX
    if installer == "uv" or is_there(f"{prefix}/uv-receipt.toml"):
        return InstalledBy.UV
    return InstalledBy.PIP if installer else InstalledBy.COPY

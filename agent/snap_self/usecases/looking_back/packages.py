"""Which files to be brought back belong to packages that have another version by now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from snap_self.errors import StateUnusable
from snap_self.model.ids import InstanceId, RunId
from snap_self.model.manifest import Manifest, Package
from snap_self.model.packed import PackedManifest
from snap_self.model.shell import command
from snap_self.ports_looking_back import ManifestReading, PackageOwners
from snap_self.usecases.aside import Aside
from snap_self.usecases.tools import ManifestTools

READ_LIMIT_S = 5.0
# The owners of many paths are asked for one by one, beside all that is found out meanwhile.
ASK_LIMIT_S = 30.0
# Of a folder that half of all packages share, nobody reads more.
MOST_TOLD = 3


class PackageQuestion:
    """Asks which packages paths belong to, beside what else is to be found out.

    The machine is read only for a path that has a package: that takes far longer than the question.

    Args:
        values: gives a manifest as values.
    """

    def __init__(
        self,
        manifests: ManifestTools,
        values: Callable[[PackedManifest], Manifest],
        owners: PackageOwners,
        paths: Sequence[str],
    ) -> None:
        self._manifests = manifests
        self._values = values
        self._owners = owners
        self._paths = tuple(paths)
        self._asked = Aside(self._ask, "owners")

    def _ask(self) -> _Told:
        reading: ManifestReading | None = None
        owners = self._owners.owners(self._paths)
        if any(owners.values()):
            reading = self._manifests.reader.begin()
        return _Told(owners=owners, reading=reading)

    def warnings(self, run: str) -> tuple[str, ...]:
        """Return a sentence for each path and package that is another than it was at a run.

        None where no manifest of the run tells of packages, or nobody answered in time.
        """
        told = self._asked.result(within_s=ASK_LIMIT_S, otherwise=_Told())
        if told.reading is None:
            return ()
        try:
            before = self._before(run)
            names = {name for each in told.owners.values() for name in each}
            if before is None or not any(_named(before.packages, name) for name in names):
                return ()
            packed = told.reading.end(RunId(run), InstanceId(""), limit_s=READ_LIMIT_S)
            now = self._values(packed)
        finally:
            told.reading.drop()
        return tuple(
            warning for path in self._paths for warning in _of_path(path, told.owners, before, now)
        )

    def _before(self, run: str) -> Manifest | None:
        try:
            return self._manifests.store.read(RunId(run))
        except (StateUnusable, ValueError):
            return None


@dataclass(frozen=True, slots=True)
class _Told:
    """Whose the paths are, and the machine's reading, which is begun if they are anybody's."""

    owners: Mapping[str, Sequence[str]] = field(default_factory=dict)
    reading: ManifestReading | None = None


def _of_path(
    path: str, told: Mapping[str, Sequence[str]], before: Manifest, now: Manifest
) -> Iterator[str]:
    changed = [
        (name, then, found)
        for name in told.get(path, ())
        if (then := _named(before.packages, name))
        and (found := _named(now.packages, name))
        and then.version != found.version
    ]
    for name, then, found in changed[:MOST_TOLD]:
        yield (
            f"{path} belongs to {name}, which was {then.version} then and is {found.version} now: "
            f"files of the one may not fit the other. {_right_way(now.manager, name, then.version)}"
        )
    if len(changed) > MOST_TOLD:
        yield f"{path} belongs to {len(changed) - MOST_TOLD} more packages with another version now"


def _named(packages: Mapping[str, Package], name: str) -> Package | None:
    """Return a package by its name, which may lack the architecture."""
    if name in packages:
        return packages[name]
    return next((each for known, each in packages.items() if known.split(":")[0] == name), None)


def _right_way(manager: str, name: str, version: str) -> str:
    """Return how the package as a whole goes back, its database with it."""
    if manager == "dpkg":
        apt = command("apt-get", "install", "--allow-downgrades", f"{name}={version}")
        return (
            f"The whole package goes back with `{apt}`; if the archive has it no more, mount the "
            f"snapshot, and `{command('dpkg-repack', '--root=DIR', name)}` makes it of that."
        )
    if manager == "rpm":
        dnf = command("dnf", "downgrade", f"{name}-{version}")
        return f"The whole package goes back with `{dnf}`."
    cached = f"/var/cache/pacman/pkg/{name}-{version}"
    return f"The whole package goes back with `pacman -U` of {cached}*, if that is there still."

"""Which files to be brought back belong to packages that have another version by now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from snap_self.errors import StateUnusable
from snap_self.model.ids import InstanceId, RunId
from snap_self.model.manifest import Manifest, Package
from snap_self.model.packed import PackedManifest
from snap_self.model.shell import command
from snap_self.ports_looking_back import PackageOwners
from snap_self.usecases.tools import ManifestTools

READ_LIMIT_S = 5.0
# Of a folder that half of all packages share, nobody reads more.
MOST_TOLD = 3


def package_warnings(
    manifests: ManifestTools,
    values: Callable[[PackedManifest], Manifest],
    owners: PackageOwners,
    run: str,
    paths: Sequence[str],
) -> tuple[str, ...]:
    """Return a sentence for each path and package; none where no manifest tells of packages.

    Args:
        values: gives a manifest as values.
    """
    try:
        before = manifests.store.read(RunId(run))
    except (StateUnusable, ValueError):
        return ()
    if before is None or not before.packages:
        return ()
    reading = manifests.reader.begin()  # beside the package manager's program
    try:
        told = owners.owners(before.manager, paths)
        if not any(_named(before.packages, name) for names in told.values() for name in names):
            return ()
        now = values(reading.end(RunId(run), InstanceId(""), limit_s=READ_LIMIT_S))
    finally:
        reading.drop()
    return tuple(warning for path in paths for warning in _of_path(path, told, before, now))


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

"""Changes by a package manager that a run's snapshot was made for, as they are kept."""

from __future__ import annotations

from dataclasses import dataclass

from snap_self.model.packages import Package


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedChange:
    """One transaction, as it was announced; whether it came about is not known.

    Args:
        at: ISO 8601, in UTC.
        manager: one of ``packages.MANAGERS``; empty in what an older version wrote.
        program: what announced it: ``apt``, ``dnf5`` …
    """

    at: str
    manager: str
    program: str
    packages: tuple[Package, ...]


def package_line(package: Package) -> str:
    """Return one package as people read it; unknown versions are left out."""
    arch = f":{package.arch}" if package.arch else ""
    versions = " -> ".join(filter(None, (package.old, package.new)))
    return f"{package.action} {package.name}{arch} {versions}".rstrip()

"""Answer which mount a path leads to, as the kernel's path walk would."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property

from snap_self.disks.mountinfo import MountLine


class MountTable:
    """The mounts of one namespace.

    Args:
        lines: in the kernel's order.
        namespace: its id, or None for the agent's own.
        pid: a process that lives in it.
    """

    def __init__(
        self, lines: Sequence[MountLine], *, namespace: int | None = None, pid: int | None = None
    ) -> None:
        self.lines = lines
        self.namespace = namespace
        self.pid = pid
        self._by_id = {line.mount_id: line for line in lines}
        self._children: dict[int, dict[str, int]] = {}
        self._stacks: dict[str, list[MountLine]] = {}
        self._folders: dict[str, MountLine | None] = {}
        for line in lines:
            self._stacks.setdefault(line.path, []).append(line)
            if line.parent_id != line.mount_id:
                self._children.setdefault(line.parent_id, {})[line.path] = line.mount_id

    @cached_property
    def hidden(self) -> frozenset[int]:
        """The ids of mounts whose mount point leads to something mounted over them."""
        reachable: dict[int, bool] = {}
        for line in self.lines:
            self._reach(line, reachable)
        return frozenset(
            line.mount_id
            for line in self.lines
            if not reachable[line.mount_id] or self._cover(line) is not None
        )

    def find(self, path: str, *, without: Collection[str] = ()) -> MountLine | None:
        """Return the mount that an absolute path lies on.

        Args:
            without: device numbers to look through, as if not mounted.
        """
        line = self._find_visible(path)
        if line is None or line.devno not in without:
            return line
        for place in _upwards(posixpath.normpath(path)):
            for line in reversed(self._stacks.get(place, ())):
                if line.devno not in without:
                    return line
        return None

    def below_any(
        self, paths: Iterable[str], *, without: Collection[str] = ()
    ) -> Iterable[MountLine]:
        """Return the mounts that absolute paths lie on, each once: ``find`` for thousands.

        A host's overlays have ten times as many layers, most of them in one folder.
        """
        visible, folders = self._visible, self._folders
        found: dict[int, MountLine] = {}
        for path in paths:
            line = visible.get(path) or folders.get(path.rpartition("/")[0])
            if line is None or "/." in path or "//" in path or line.devno in without:
                line = self.find(path, without=without)
            if line is not None:
                found[line.mount_id] = line
        return found.values()

    @cached_property
    def _visible(self) -> dict[str, MountLine]:
        return {line.path: line for line in self.lines if line.mount_id not in self.hidden}

    def _find_visible(self, path: str) -> MountLine | None:
        """Return the mount; remember it for the folders above, since paths come in thousands."""
        if "/." in path or "//" in path:
            path = "/" + posixpath.normpath(path).lstrip("/")
        visible, folders = self._visible, self._folders
        climbed = []
        place = path
        while place and place not in visible and place not in folders:
            place = place.rpartition("/")[0]
            climbed.append(place)
        line = visible.get(place or "/") or folders.get(place)
        folders.update(dict.fromkeys(climbed, line))
        return line

    def _reach(self, line: MountLine, known: dict[int, bool]) -> None:
        """Note for a mount and its ancestors whether the path to each is free."""
        chain: list[MountLine] = []
        seen: set[int] = set()
        step: MountLine | None = line
        while step is not None and step.mount_id not in known and step.mount_id not in seen:
            seen.add(step.mount_id)
            chain.append(step)
            step = self._by_id.get(step.parent_id)
        free = step is None or known.get(step.mount_id, True)
        for link in reversed(chain):
            free = free and not self._is_overmounted(link)
            known[link.mount_id] = free

    def _is_overmounted(self, line: MountLine) -> bool:
        """Return whether a sibling covers the mount, or a directory above it."""
        parent = self._by_id.get(line.parent_id)
        if parent is None or parent.mount_id == line.mount_id:
            return False
        siblings = self._children[parent.mount_id]
        for place in _upwards(line.path):
            if siblings.get(place, line.mount_id) != line.mount_id:
                return True
            if place == parent.path:
                break
        return False

    def _cover(self, line: MountLine) -> int | None:
        return self._children.get(line.mount_id, {}).get(line.path)


def _upwards(path: str) -> Iterator[str]:
    """Yield the path and each directory above it, the root last."""
    while path and path != "/":
        yield path
        path = path.rpartition("/")[0]
    yield "/"

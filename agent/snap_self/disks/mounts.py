"""Answer which mount a path leads to, as the kernel's path walk would."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator, Sequence
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
        self._clear: dict[int, set[str]] = {}
        for line in lines:
            self._stacks.setdefault(line.path, []).append(line)
            if line.parent_id != line.mount_id:
                self._children.setdefault(line.parent_id, {})[line.path] = line.mount_id

    @cached_property
    def hidden(self) -> frozenset[int]:
        """The ids of mounts whose mount point leads to another mount instead."""
        reachable: dict[int, bool] = {}
        for line in self.lines:
            if line.parent_id in reachable and line.mount_id not in reachable:
                free = reachable[line.parent_id] and not self._is_overmounted(line)
                reachable[line.mount_id] = free
            else:  # the root, or a mount that the kernel lists before its parent
                self._reach(line, reachable)
        return frozenset(
            [
                line.mount_id
                for line in self.lines
                if not reachable[line.mount_id]
                or line.path in self._children.get(line.mount_id, ())
            ]
        )

    def find(self, path: str, *, without: Collection[str] = ()) -> MountLine | None:
        """Return the mount that an absolute path lies on.

        Args:
            without: device numbers to ignore, as if not mounted.
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
        self, paths: Sequence[str], *, without: Collection[str] = ()
    ) -> Collection[MountLine]:
        """Return the mounts that absolute paths lie on, each once: ``find`` for thousands of paths.

        A host's overlays have ten times as many layers as overlays, most of them in one folder.
        """
        together = "\0".join(paths)
        plain = "/." not in together and "//" not in together
        if plain and self._visible.keys().isdisjoint(paths):
            # None of them is a mount point, so each lies on the same mount as its folder.
            one_in = {path.rpartition("/")[0]: path for path in paths}
            lines = [self._below_folder(place) or self.find(one_in[place]) for place in one_in]
            if all(line is None or line.devno not in without for line in lines):
                return {line.mount_id: line for line in lines if line}.values()
        lines = [self.find(path, without=without) for path in paths]
        return {line.mount_id: line for line in lines if line}.values()

    def _below_folder(self, place: str) -> MountLine | None:
        """Return the mount of a folder's files, if it is known for the folder or the one above."""
        line = self._folders.get(place)
        if line is None and place not in self._visible:
            line = self._folders.get(place.rpartition("/")[0])
        return line

    @cached_property
    def _visible(self) -> dict[str, MountLine]:
        return {line.path: line for line in self.lines if line.mount_id not in self.hidden}

    def _find_visible(self, path: str) -> MountLine | None:
        """Return the mount; remember it for the folders above: there can be thousands of paths."""
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
        """Note for a mount and its ancestors whether the path to each is not covered."""
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
        """Return whether a sibling covers the mount or a directory above it."""
        parent = self._by_id.get(line.parent_id)
        if parent is None or parent.mount_id == line.mount_id:
            return False
        siblings = self._children[parent.mount_id]
        if siblings[line.path] != line.mount_id:
            return True
        clear = self._clear.setdefault(parent.mount_id, set())
        climbed = []
        place = line.path
        while place not in ("/", parent.path):
            place = place.rpartition("/")[0] or "/"
            if place in clear:
                return False
            if place in siblings:
                return True
            climbed.append(place)
        clear.update(climbed)
        return False


def _upwards(path: str) -> Iterator[str]:
    """Yield the path and each directory above it, the root last."""
    while path:
        yield path
        path = path.rpartition("/")[0]
    yield "/"

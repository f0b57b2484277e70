"""Open a run's snapshots to look at files in them, for as long as they are looked at."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from snap_self.errors import DiskLeft
from snap_self.model.ids import RunId
from snap_self.model.looking import Entry
from snap_self.model.restored import Intent
from snap_self.model.temporary import CopyRecord, Purpose
from snap_self.ports_looking_back import Tree
from snap_self.usecases.looking_back.finding import find, source_of
from snap_self.usecases.looking_back.planning import LIFE, check_size, intent_of, plan_copy
from snap_self.usecases.looking_back.tools import LookingBack
from snap_self.usecases.looking_back.turn import opened_in_turn
from snap_self.usecases.tools import Tools


class SnapshotTrees:
    """Implements ``ports_looking_back.TreeOpener``: makes a disk, and deletes it afterwards.

    Args:
        tree_of: gives the files below a directory's descriptor.
        agree: asks whoever started the command whether a disk may be made.
        sure: they have agreed beforehand, to a large disk too.
    """

    def __init__(
        self,
        tools: Tools,
        looking: LookingBack,
        tree_of: Callable[[int], Tree],
        agree: Callable[[Intent], bool],
        *,
        sure: bool,
    ) -> None:
        self._tools = tools
        self._looking = looking
        self._tree_of = tree_of
        self._agree = agree
        self._sure = sure
        self.record: CopyRecord | None = None
        self.left: DiskLeft | None = None
        self.notes: tuple[str, ...] = ()

    @contextmanager
    def __call__(self, run_id: RunId, paths: Sequence[str]) -> Iterator[Tree | None]:
        """Open what holds these paths for the block; None if no disk was wanted.

        Raises:
            DiskLeft: the block, or the opening, failed, and something of the copy stays.
            SnapSelfError: it could not be opened, and nothing stays.
        """
        tools, looking = self._tools, self._looking
        found = find(tools, run_id)
        source = source_of(found, tools.machine, paths)
        plan = plan_copy(looking, found, source, Purpose.DIFF, life=LIFE)
        intent = replace(intent_of(plan, found, source), paths=tuple(paths))
        check_size(looking, intent, sure=self._sure)
        if not self._agree(intent):
            yield None
            return
        inside = {path: wanted.inside for path, wanted in zip(paths, source.wanted, strict=True)}
        with opened_in_turn(tools, looking, found, plan) as life:
            assert life.opened is not None
            looking.step("compare")
            yield PlacedTree(self._tree_of(life.opened.fd), inside)
        self.record, self.left, self.notes = life.record, life.left, found.notes


class PlacedTree:
    """Implements ``ports_looking_back.Tree`` for paths of the running system.

    Args:
        tree: the copy's files, by paths from its own root.
        inside: where each path that was asked for lies in it, without a leading slash.
    """

    def __init__(self, tree: Tree, inside: Mapping[str, str]) -> None:
        self._tree = tree
        self._inside = inside

    def look(self, path: str) -> Entry | None:
        """Return what a path is; None if it is not there."""
        return self._tree.look(self._placed(path))

    def names(self, path: str) -> Sequence[str]:
        """Return the names in a folder, sorted."""
        return self._tree.names(self._placed(path))

    def read(self, path: str, most: int) -> bytes:
        """Return what a regular file holds, at most so many bytes and one more."""
        return self._tree.read(self._placed(path), most)

    def _placed(self, path: str) -> str:
        """Return a path's own in the copy, by the nearest that was asked for."""
        tops = [top for top in self._inside if f"{path}/".startswith(f"{top.rstrip('/')}/")]
        top = max(tops, key=len)
        rest = path[len(top.rstrip("/")) :].lstrip("/")
        return posixpath.join("/", self._inside[top], rest).rstrip("/") or "/"

"""Wire what opens a snapshot for `diff`, which nothing else of that command needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from snap_self.cli.asking import agreed, note, refuse_unasked
from snap_self.cli.left import see_to_left
from snap_self.cli.session import Session
from snap_self.model.ids import RunId
from snap_self.model.looking import DiffReport
from snap_self.output.streams import Streams
from snap_self.usecases.tools import Tools

if TYPE_CHECKING:  # loaded where a snapshot is opened
    from snap_self.model.restored import Intent
    from snap_self.ports_looking_back import Tree
    from snap_self.usecases.looking_back.contents import SnapshotTrees


class ContentOpener:
    """Implements ``ports_looking_back.TreeOpener`` for whoever sits at the terminal.

    Args:
        asked: the command as it was given, to be given again.
        yes: they have agreed beforehand.
    """

    def __init__(self, session: Session, tools: Tools, asked: str, *, yes: bool) -> None:
        self._session = session
        self._tools = tools
        self._asked = asked
        self._yes = yes
        self._trees: SnapshotTrees | None = None

    @contextmanager
    def __call__(self, run_id: RunId, paths: Sequence[str]) -> Iterator[Tree | None]:
        """Open what holds these paths for the block.

        Raises:
            RootNeeded, UsageError: nobody can agree to it, or may do it.
        """
        from snap_self.cli.looking_back import looking_back
        from snap_self.system.tree import DirectoryTree
        from snap_self.usecases.looking_back.contents import SnapshotTrees

        refuse_contents(self._session.streams, paths, self._asked, yes=self._yes)
        see_to_left(self._session.adapters, self._tools)
        self._trees = SnapshotTrees(
            self._tools,
            looking_back(self._session.adapters),
            DirectoryTree,
            partial(_agree, self._session, yes=self._yes),
            sure=self._yes,
        )
        with self._trees(run_id, paths) as tree:
            yield tree

    def told(self, report: DiffReport) -> DiffReport:
        """Return the report with what came of the opening."""
        trees = self._trees
        if trees is None:
            return report
        notes = (*report.notes, *trees.notes)
        return replace(report, copy=trees.record, left=trees.left, notes=notes)


def refuse_contents(streams: Streams, paths: Sequence[str], asked: str, *, yes: bool) -> None:
    """Refuse to look into a snapshot where nobody can agree to it, or may do it.

    Args:
        asked: the command as it was given, to be given again.

    Raises:
        RootNeeded, UsageError: before the cloud is asked for anything.
    """
    from snap_self.cli.looking_back import need_root

    need_root("diff with a PATH")
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    refuse_unasked(
        streams,
        yes=yes,
        command=f"diff of the content of {paths[0]}{more}",
        does="makes a disk that costs money for a while",
        hint=f"add --yes to agree: `{asked} --yes`; without a PATH it tells what differs, and "
        "makes nothing",
    )


def _agree(session: Session, intent: Intent, *, yes: bool) -> bool:
    """Tell whether a disk may be made."""
    from snap_self.output.looked_into import intent_lines

    lines = tuple(intent_lines(intent, session.adapters.clock.now()))
    if not yes:
        return agreed(session, "Make the disk and look?", *lines)
    if session.streams.verbosity > 0:
        note(session, *lines)
    return True

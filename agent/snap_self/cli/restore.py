"""`restore`: what may be asked for, the use case, rendering, exit status."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from snap_self.cli.asking import agreed, note, refuse_empty, refuse_unasked
from snap_self.cli.left import see_to_left
from snap_self.cli.looking_back import looking_back, need_root
from snap_self.cli.options import Manner
from snap_self.cli.session import Session, open_session, streams_of
from snap_self.errors import UsageError
from snap_self.model.copying import CopyPlan
from snap_self.model.restored import Intent
from snap_self.model.temporary import KeptFiles
from snap_self.output.restored import (
    intent_lines,
    undo_lines,
    warning_lines,
    write_declined,
    write_plan,
    write_restored,
    write_undone,
)
from snap_self.usecases.looking_back.restore import RestoreRequest, restore
from snap_self.usecases.looking_back.undoing import undo_restore


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreOptions:
    """The options as typed."""

    wanted: str
    paths: tuple[str, ...]
    to: str | None
    exact: bool
    backup: bool
    dry_run: bool
    yes: bool
    undo: str | None


def run_restore(options: RestoreOptions, manner: Manner) -> int:
    """Bring files back, or take an earlier restore back."""
    _check(options)
    need_root("restore")
    if options.undo:
        return _undo(options.undo, options, manner)
    refuse_unasked(
        streams_of(manner),
        yes=options.yes,
        command="restore",
        does="makes a disk that costs money for a while"
        + ("" if options.dry_run else ", and replaces files"),
    )
    request = RestoreRequest(
        wanted=options.wanted,
        # Not resolved: where a link is named, the link is meant.
        paths=tuple(str(Path.cwd() / path) for path in options.paths),
        to=None if options.to is None else str(Path(options.to).resolve()),
        exact=options.exact,
        backup=options.backup,
        dry_run=options.dry_run,
        sure=options.yes,
    )
    with open_session(manner) as session:
        tools = session.tools()
        see_to_left(session.adapters, tools)
        consent = _Consent(session, options)
        restored = restore(tools, looking_back(session.adapters), request, consent)
        session.end_progress()
        if restored is None:
            write_declined(session.streams)
            return 0
        if restored.dry_run and not session.streams.json:
            write_plan(session.streams, restored.plan, exact=options.exact)
        write_restored(session.streams, restored)
    return int(restored.exit_status)


def _undo(restore_id: str, options: RestoreOptions, manner: Manner) -> int:
    """Take a restore back."""
    refuse_unasked(
        streams_of(manner), yes=options.yes, command="restore --undo", does="replaces files"
    )
    with open_session(manner) as session:

        def agree(kept: KeptFiles) -> bool:
            if options.yes:
                return True
            return agreed(session, "Put these back?", *undo_lines(kept))

        undone = undo_restore(session.tools(), looking_back(session.adapters), restore_id, agree)
        session.end_progress()
    if undone is None:
        write_declined(session.streams)
        return 0
    write_undone(session.streams, undone)
    return int(undone.exit_status)


def _check(options: RestoreOptions) -> None:
    """Refuse what cannot be meant.

    Raises:
        UsageError: with what to write instead.
    """
    refuse_empty(to=options.to, undo=options.undo)
    for path in options.paths:
        refuse_empty(PATH=path)
    if options.undo and (options.wanted or options.to or options.exact or options.dry_run):
        raise UsageError(
            "--undo takes the id of a restore alone", hint="snap-self restore --undo ID"
        )
    if options.undo:
        return
    if not options.wanted or not options.paths:
        raise UsageError(
            "restore needs a snapshot and what to bring back from it",
            hint="snap-self restore last /etc/fstab",
        )
    if options.to is not None and _is_root(options.to):
        raise UsageError(
            f"--to {options.to} is where everything is already",
            hint="leave out --to to bring files back in their own places",
        )


def _is_root(path: str) -> bool:
    """Tell whether a directory is the root, by another name or mounted a second time too."""
    try:
        return Path(path).samefile("/")
    except OSError:
        return False


class _Consent:
    """Asks on the terminal; with --yes it agrees, and only tells."""

    def __init__(self, session: Session, options: RestoreOptions) -> None:
        self._session = session
        self._options = options

    def to_disk(self, intent: Intent) -> bool:
        """Tell whether a disk may be made."""
        lines = tuple(intent_lines(intent, self._session.adapters.clock.now()))
        if self._options.yes:
            told = lines if self._session.streams.verbosity > 0 else warning_lines(intent)
            note(self._session, *told)
            return True
        return agreed(self._session, "Make the disk and look?", *lines)

    def to_change(self, plan: CopyPlan, intent: Intent) -> bool:
        """Tell whether what differs may be replaced."""
        del intent
        if not self._session.streams.json:
            note(self._session, "What differs:")
            write_plan(self._session.streams, plan, exact=self._options.exact)
        return self._options.yes or agreed(self._session, "Bring these back?")

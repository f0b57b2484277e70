"""`verify`: what may be asked for, the use case, rendering, exit status."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from snap_self.cli.asking import agreed, refuse_unasked
from snap_self.cli.left import see_to_left
from snap_self.cli.looking_back import looking_back, need_root
from snap_self.cli.manifests import manifest_tools
from snap_self.cli.options import Manner
from snap_self.cli.session import Session, open_session, streams_of
from snap_self.model.restored import Intent
from snap_self.output.restored import write_declined
from snap_self.output.verified import intent_lines, write_verified
from snap_self.system.copied_etc import CopiedFacts
from snap_self.system.state.manifests import Manifests
from snap_self.usecases.looking_back.proving import Proving
from snap_self.usecases.looking_back.verify import VerifyRequest, verify


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyOptions:
    """The options as typed."""

    wanted: str
    path: str | None
    yes: bool


def run_verify(options: VerifyOptions, manner: Manner) -> int:
    """Prove a run's snapshots."""
    need_root("verify")
    refuse_unasked(
        streams_of(manner),
        yes=options.yes,
        command="verify",
        does="makes disks that cost money for a while",
    )
    request = VerifyRequest(wanted=options.wanted, path=options.path, sure=options.yes)
    with open_session(manner) as session:
        tools = session.tools()
        see_to_left(session.adapters, tools)
        consent = _Consent(session, yes=options.yes)
        looking = looking_back(session.adapters)
        verified = verify(tools, looking, _proving(session), request, consent)
        session.end_progress()
    if verified is None:
        write_declined(session.streams)
        return 0
    write_verified(session.streams, verified)
    return int(verified.exit_status)


def _proving(session: Session) -> Proving:
    state = session.config.state.dir
    store = manifest_tools(session.adapters).store
    return Proving(manifests=store, facts=CopiedFacts(Manifests(state)), state=str(state))


class _Consent:
    """Asks on the terminal; with --yes it agrees."""

    def __init__(self, session: Session, *, yes: bool) -> None:
        self._session = session
        self._yes = yes

    def to_disks(self, intents: Sequence[Intent]) -> bool:
        """Tell whether these disks may be made, one after the other."""
        if self._yes:
            return True
        lines = intent_lines(intents, self._session.adapters.clock.now())
        return agreed(self._session, "Make the disks and look?", *lines)

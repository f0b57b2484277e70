"""Try a freeze on a small filesystem made for it, before ``/`` may ever be frozen.

``/`` is special in one thing only: when its freeze goes wrong, nobody can log in to mend it. So it
is frozen only where the configuration says ``freeze.root = "allow"`` and this test has passed under
the running kernel. It never touches ``/``: what it shows is that on this kernel, with these
rights and limits, a freeze holds, a thaw ends it, and the guardian ends it alone at its time limit,
while the agent, whose files lie on ``/``, needs none of them in between. What it cannot show is how
other programs of the machine bear with it; that is what the key is for.
"""

from __future__ import annotations

from dataclasses import dataclass
from errno import EBUSY, EINVAL

from snap_self.errors import SnapSelfError
from snap_self.model.disks import Mount
from snap_self.ports import FactStore, OpenedMount, ScratchFilesystem
from snap_self.quiesce.freeze import FreezeLimits, FreezePorts, FreezeSession
from snap_self.quiesce.order import FreezeTarget

FACTS = "freeze-selftest"
_HOLD_S = 5.0
_SHORT_HOLD_S = 0.5
_LATE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTest:
    """What the test found; ``why`` is empty if all went well."""

    why: str
    notes: tuple[str, ...] = ()


def run_self_test(
    scratch: ScratchFilesystem, ports: FreezePorts, facts: FactStore, *, release: str
) -> SelfTest:
    """Make the filesystem, try, remember the outcome for this kernel, take it away.

    Raises:
        OSError: the filesystem cannot be made or taken away.
        StateUnusable: the outcome could not be kept.
    """
    with scratch as path:
        outcome = _try_all(path, ports)
    facts.remember(FACTS, {"release": release, "why": outcome.why})
    return outcome


def root_tested(facts: FactStore, *, release: str, allowed: bool) -> bool:
    """Tell whether ``/`` may be frozen: the key says so, and the test passed on this kernel."""
    return allowed and facts.recall(FACTS) == {"release": release, "why": ""}


def _try_all(path: str, ports: FreezePorts) -> SelfTest:
    try:
        opened = ports.opener.open(path)
        try:
            if opened.listed_path != path or path == "/":
                return SelfTest(why=f"{path} is no filesystem of its own")
            why, notes = _try_thaw(path, opened, ports)
            return SelfTest(why=why or _try_deadline(path, opened, ports), notes=notes)
        finally:
            ports.opener.close(opened.fd)
    except SnapSelfError as error:
        return SelfTest(why=error.message)


def _try_thaw(path: str, opened: OpenedMount, ports: FreezePorts) -> tuple[str, tuple[str, ...]]:
    with FreezeSession([_target(path, opened)], ports, FreezeLimits(hold_s=_HOLD_S)) as session:
        session.prepare()
        session.freeze()
        # A second freeze of a frozen filesystem is refused: the one question that harms nothing.
        number = ports.calls.freeze(opened.fd)
        result = session.thaw()
    if number != EBUSY:
        return "a frozen filesystem did not refuse a second freeze", result.notes
    return result.why or _left_frozen(opened, ports), result.notes


def _try_deadline(path: str, opened: OpenedMount, ports: FreezePorts) -> str:
    limits = FreezeLimits(hold_s=_SHORT_HOLD_S)
    with FreezeSession([_target(path, opened)], ports, limits) as session:
        session.prepare()
        session.freeze()
        ports.clock.sleep(_SHORT_HOLD_S + _LATE_S)
        if session.still_held():
            return f"a freeze was not ended at its time limit of {_SHORT_HOLD_S:g} s"
        session.thaw()
    return _left_frozen(opened, ports)


def _left_frozen(opened: OpenedMount, ports: FreezePorts) -> str:
    number = ports.calls.thaw(opened.fd)
    return "" if number == EINVAL else "a filesystem was still frozen after its thaw"


def _target(path: str, opened: OpenedMount) -> FreezeTarget:
    mount = Mount(
        mount_id=opened.mount_id,
        path=opened.listed_path or path,
        fstype="ext4",
        root="/",
        read_only=False,
        namespace=None,
        hidden=False,
    )
    return FreezeTarget(key=opened.listed_device, fstype="ext4", mounts=(mount,))

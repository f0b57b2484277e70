"""Test a freeze on a small filesystem made for it, before ``/`` may be frozen.

``/`` is special in one way only: if its freeze goes wrong, nobody can log in to fix it. So it is
frozen only if the configuration says ``freeze.root = "allow"`` and this test has passed under the
running kernel. The test never touches ``/``. It shows that on this kernel, with these rights and
limits, a freeze holds, a thaw ends it, and the guardian alone ends it at its time limit; and that
the agent, whose files lie on ``/``, needs none of them in between. It cannot show how the machine's
other programs cope with a freeze; the key is for that.
"""

from __future__ import annotations

from dataclasses import dataclass
from errno import EBUSY, EINVAL

from snap_self.errors import SnapSelfError
from snap_self.model.disks import Mount
from snap_self.model.flushing import MountWay
from snap_self.ports import FactStore, OpenedMount, ScratchFilesystem
from snap_self.quiesce.freeze.order import FreezeTarget
from snap_self.quiesce.freeze.session import FreezeLimits, FreezePorts, FreezeSession

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
    """Make the filesystem, test it, remember the outcome for this kernel, and remove it.

    Raises:
        OSError: the filesystem cannot be made or removed.
        StateUnusable: the outcome could not be kept.
    """
    with scratch as path:
        outcome = _try_all(path, ports)
    facts.remember(FACTS, {"release": release, "why": outcome.why})
    return outcome


def root_tested(facts: FactStore, *, release: str, allowed: bool) -> bool:
    """Return whether ``/`` may be frozen: the key allows it and the test passed on this kernel."""
    return allowed and facts.recall(FACTS) == {"release": release, "why": ""}


def _try_all(path: str, ports: FreezePorts) -> SelfTest:
    try:
        ways = [
            MountWay(path=found, mount_id=mount_id, devno=device)
            for mount_id, device, found in ports.opener.listing()
            if found == path != "/"
        ]
        if not ways:
            return SelfTest(why=f"{path} is not a filesystem of its own")
        opened = ports.opener.open(ways[-1])
        try:
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
        # The kernel refuses a second freeze of a frozen filesystem, so asking does no harm.
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
    device = opened.listed_device
    return FreezeTarget(key=device, fstype="ext4", mounts=(mount,), devno=device)

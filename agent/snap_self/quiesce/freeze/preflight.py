"""Decides whether a freeze is safe here at all; pure, from facts that were read before.

A refusal means that the freeze is known to be able to hang or to do harm, and is not tried. A
warning is reported and the freeze goes on. Each rule comes from a real incident.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from snap_self.model.freezing import FreezeFacts, hangs_io_uring_writers, kernel_version
from snap_self.quiesce.freeze.order import FreezeOrder, FreezeTarget

SLOW_PANIC_MARGIN_S = 10.0
_MENDED = "upgrade the kernel (fixed in 5.10.230, 5.15.172, 6.1.116, 6.6.60, 6.11.7 and 6.12)"


class Severity(Enum):
    """The effect of a finding."""

    REFUSE = "refuse"
    WARN = "warn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One reason against a freeze.

    Args:
        what: a sentence that names the cause.
        hint: what can be done.
    """

    severity: Severity
    code: str
    what: str
    hint: str


def check_freeze(order: FreezeOrder, facts: FreezeFacts, *, hold_s: float) -> tuple[Finding, ...]:
    """Return all reasons against this freeze, refusals first."""
    targets = {target.key: target for target in order.targets}
    findings = [
        *_layered(targets, facts),
        *_own(targets, facts),
        *_databases(targets, facts),
        *_machine(targets, facts, hold_s=hold_s),
        *_unjournaled(targets, facts),
        *_left_out(order),
    ]
    return tuple(sorted(findings, key=lambda finding: finding.severity is Severity.WARN))


def _refuse(code: str, what: str, hint: str) -> Finding:
    return Finding(severity=Severity.REFUSE, code=code, what=what, hint=hint)


def _warn(code: str, what: str, hint: str) -> Finding:
    return Finding(severity=Severity.WARN, code=code, what=what, hint=hint)


def _layered(targets: Mapping[str, FreezeTarget], facts: FreezeFacts) -> Iterator[Finding]:
    """Yield devices that must write to a frozen filesystem to serve another one.

    A mounted loop image is frozen before its holder, but its thaw waits for the holder. An image
    that is not mounted here (in a container, raw) is not in the order at all.
    """
    for loop in facts.loops:
        if loop.holder in targets:
            yield _refuse(
                "loop-image-on-target",
                f"{loop.device} is backed by {loop.image} on {targets[loop.holder].path}, "
                "which is to be frozen; a freeze of one under the other can hang",
                "unmount and detach the image, or leave the disk that holds it out",
            )
    for key, kind in facts.user_space_devices.items():
        if key in targets:
            yield _refuse(
                "user-space-device",
                f"{targets[key].path} lies on a {kind} device, which a program serves; if that "
                "program writes to a frozen filesystem, the freeze hangs",
                "leave that filesystem out",
            )


def _own(targets: Mapping[str, FreezeTarget], facts: FreezeFacts) -> Iterator[Finding]:
    for place in facts.own_places:
        # The state may have no place other than /. Nothing is written while frozen, and the
        # self-test, which / requires, shows that.
        if place.key in targets and targets[place.key].path != "/":
            yield _refuse(
                "own-place-on-target",
                f"the agent's own {place.what} {place.path} lies on {targets[place.key].path}, "
                "which is to be frozen",
                "move it to another filesystem, such as one in memory",
            )
    if facts.markers_key in targets:
        yield _refuse(
            "marker-on-target",
            f"the marker's directory lies on {targets[facts.markers_key].path}",
            "keep /run in memory (tmpfs)",
        )


def _databases(targets: Mapping[str, FreezeTarget], facts: FreezeFacts) -> Iterator[Finding]:
    """Yield processes whose direct writes through io_uring can hang a freeze on this kernel."""
    if not hangs_io_uring_writers(facts.release, facts.upstream):
        return
    for process in facts.databases:
        touched = sorted(targets[key].path for key in process.keys if key in targets)
        if not touched:
            continue
        where = f"{process.name} (process {process.pid}) on {', '.join(touched)}"
        if process.io_uring:
            yield _refuse(
                "io-uring-writer",
                f"{where} uses io_uring, and on kernel {facts.release} that can hang a freeze",
                f"switch its native asynchronous I/O off, or {_MENDED}",
            )
        else:
            yield _warn(
                "database-on-old-kernel",
                f"{where} may use io_uring, which can hang a freeze on kernel {facts.release}",
                _MENDED,
            )


def _machine(
    targets: Mapping[str, FreezeTarget], facts: FreezeFacts, *, hold_s: float
) -> Iterator[Finding]:
    if facts.tmp_on_loop and facts.bind_mounts:
        yield _refuse(
            "shared-hosting-stack",
            "a temporary directory is a loop mount and parts of filesystems are mounted elsewhere, "
            "as on shared-hosting stacks, whose freezes are known to hang",
            "use consistency flush on this machine",
        )
    if facts.hung_task_panic:
        what = f"the kernel panics when a task is blocked for {facts.hung_task_timeout_s:g} s"
        hint = "set kernel.hung_task_panic to 0, or its timeout higher"
        short = 0 < facts.hung_task_timeout_s <= hold_s + SLOW_PANIC_MARGIN_S
        yield (_refuse if short else _warn)("hung-task-panic", what, hint)
    if kernel_version(facts.release) < (5, 17):
        yield _warn(
            "kernel-before-5.17",
            f"on kernel {facts.release} a disk that fails while frozen leaves tasks blocked "
            "until a reboot",
            "upgrade the kernel",
        )
    if any(target.path == "/" for target in targets.values()) and not facts.root_tested:
        yield _refuse(
            "root-not-tested",
            "the root filesystem is to be frozen and that was never tried on this machine",
            "run the self-test (`snap-self doctor`) first, or leave the system disk out",
        )


def _unjournaled(targets: Mapping[str, FreezeTarget], facts: FreezeFacts) -> Iterator[Finding]:
    """Yield filesystems without a journal: a freeze makes them consistent but not marked clean.

    Only an unmount marks these clean: ext4's freeze flushes the journal and clears its mark only.
    """
    for target in targets.values():
        if target.fstype == "ext2" or target.key in facts.unjournaled:
            yield _warn(
                "no-journal",
                f"{target.path} ({target.fstype}) has no journal: frozen, it is consistent, but "
                "its copy still says that it was not cleanly unmounted",
                "run e2fsck on the copy before it is mounted; it finds nothing to repair",
            )


def _left_out(order: FreezeOrder) -> Iterator[Finding]:
    for left in order.left_out:
        if left.weakens:
            yield _warn(
                "cannot-freeze",
                f"{left.path} ({left.fstype}) is not frozen: {left.why}",
                "it is only flushed; its content is as after a power cut",
            )

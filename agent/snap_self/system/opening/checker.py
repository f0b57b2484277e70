"""Lets a filesystem's own checker look at an opened copy, read-only.

It looks after the log was replayed, while the copy is mounted read-only and its disk is sealed: so
what it sees does not change. On the disk the magic is zeroed by then, and it stays so; the checker
sees it through a view of its own (``view``).
"""

from __future__ import annotations

import marshal
from collections.abc import Mapping
from dataclasses import dataclass

from snap_self.model.opening import Checked, CheckResult, Opened
from snap_self.ports import Commands
from snap_self.system.opening.superblocks import Kind, family
from snap_self.system.opening.view import NO_PROGRAM, NO_WAY, TIME_OUT
from snap_self.system.python_child import bare_command

_VIEW = "snap_self.system.opening.view"
_BEYOND_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checker:
    """How a checker is called to change nothing, and what its status means.

    Args:
        damaged: statuses that tell of damage; any other but 0 tells that it could not work.
    """

    argv: tuple[str, ...]
    damaged: frozenset[int]


# e2fsck(8): the sum of 1 and 2, errors corrected; 4, errors left uncorrected; 8, operational, which
# it adds after nearly every damage that it was told to leave; 16 usage, 32 cancelled, 128 library.
# xfs_repair(8): with -n 1 if corruption was found. btrfs-check(8): 1 likewise. fsck.fat(8): 1 for
# all that it would mend.
_EXT_DAMAGED = frozenset(status for status in range(64) if status & 7 and not status & 16)
_CHECKERS: Mapping[Kind, _Checker] = {
    Kind.EXT: _Checker(argv=("e2fsck", "-f", "-n"), damaged=_EXT_DAMAGED),
    Kind.XFS: _Checker(argv=("xfs_repair", "-n", "-f"), damaged=frozenset({1})),
    Kind.BTRFS: _Checker(argv=("btrfs", "check", "--readonly"), damaged=frozenset({1})),
    Kind.FAT: _Checker(argv=("fsck.vfat", "-n"), damaged=frozenset({1})),
}
_FAILURES: Mapping[int, tuple[CheckResult, str]] = {
    NO_WAY: (CheckResult.NO_WAY, "this kernel has no FUSE, through which the copy is shown to it"),
    NO_PROGRAM: (CheckResult.NO_PROGRAM, "it is not installed"),
    TIME_OUT: (CheckResult.UNFINISHED, "it did not end in time"),
}


def check(commands: Commands, opened: Opened, *, limit_s: float) -> Checked:
    """Return what the checker of its filesystem says of an opened copy."""
    kind = family(opened.fstype)
    if kind is None or kind not in _CHECKERS:
        return Checked(result=CheckResult.NO_PROGRAM, program="", why="no checker is known")
    checker = _CHECKERS[kind]
    order = (opened.device, (*opened.taken, *opened.shown), limit_s, checker.argv)
    command = bare_command((marshal.dumps(order).hex(),), module=_VIEW)
    try:
        status, out, err = commands.run(command, timeout_s=limit_s + _BEYOND_S)
    except TimeoutError:
        status, out, err = TIME_OUT, "", ""
    except OSError as error:
        status, out, err = NO_WAY, "", error.strerror or ""
    if status != 0:
        result, why = _FAILURES.get(status, (CheckResult.UNFINISHED, err.strip()[-300:]))
        return Checked(result=result, program=checker.argv[0], why=why)
    told, _, words = out.partition("\n")
    return _judged(checker, int(told), words.strip())


def _judged(checker: _Checker, status: int, words: str) -> Checked:
    if status == 0:
        result = CheckResult.CLEAN
    elif status in checker.damaged:
        result = CheckResult.DAMAGED
    else:
        result = CheckResult.UNFINISHED
    why = "" if result is CheckResult.CLEAN else words
    return Checked(result=result, program=checker.argv[0], why=why, status=status)

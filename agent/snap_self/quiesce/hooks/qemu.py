"""qemu-ga's protocol: a directory of executables, or the script that runs those in one.

Each gets one argument, ``freeze`` or ``thaw``. qemu-ga's script always succeeds. Here the exit
status of a directory's hooks counts, and they are thawed in reverse order.

Source: scripts/qemu-guest-agent/fsfreeze-hook of qemu; qemu-ga(8), ``--fsfreeze-hook``.
"""

from __future__ import annotations

import posixpath

from snap_self.model.hooks import HookStep
from snap_self.model.trust import PathKind
from snap_self.quiesce.hooks.building import Builder, hook_name
from snap_self.quiesce.hooks.names import is_ignored
from snap_self.quiesce.hooks.trust import EXECUTE, judge_folder

NAMES = ("fsfreeze-hook", "fsfreeze-hook.d")


def qemu_steps(path: str, builder: Builder) -> tuple[HookStep, ...]:
    """Return the steps of a dispatcher script, or of every executable in a directory."""
    try:
        hops = builder.files.walk(path)
    except OSError as error:
        return (_unreadable(path, builder, error),)
    if hops[-1].kind is not PathKind.FOLDER:
        return (_step(path, builder),)
    why, hint = judge_folder(hops)
    if why:
        return (builder.broken(hook_name(path), why, hint),)
    try:
        names = sorted(builder.files.names(path))
    except OSError as error:
        return (_unreadable(path, builder, error),)
    paths = [posixpath.join(path, name) for name in names if not is_ignored(name)]
    return tuple(_step(each, builder) for each in paths if _runs(each, builder))


def _step(path: str, builder: Builder) -> HookStep:
    return HookStep(
        name=hook_name(path),
        start=builder.command(path, "freeze", phase="pre"),
        stop=builder.command(path, "thaw", phase="post"),
        timeout_s=builder.timeout_s,
    )


def _runs(path: str, builder: Builder) -> bool:
    try:
        end = builder.files.walk(path)[-1]
    except OSError:
        return False
    return end.kind is PathKind.FILE and bool(end.mode & EXECUTE)


def _unreadable(path: str, builder: Builder, error: OSError) -> HookStep:
    why = f"{path} cannot be read: {error.strerror or error}"
    return builder.broken(hook_name(path), why, "correct hooks.fsfreeze_hook in the configuration")

"""Which protocol a file in the hook directory, or a configuration key, uses.

Other tools' hooks in the hook directory are recognised by their names: ``fsfreeze-hook`` and
``fsfreeze-hook.d`` (qemu-ga), ``prescript.sh`` with ``postscript.sh`` (Alibaba Cloud),
``pre.sh`` with ``post.sh`` (Google Cloud), ``VMSnapshotScriptPluginConfig.json`` (Azure).
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from snap_self.config.settings import HookSettings
from snap_self.model.hooks import HookStep
from snap_self.model.trust import PathKind
from snap_self.quiesce.hooks import alibaba, azure, google, qemu
from snap_self.quiesce.hooks.building import Builder
from snap_self.quiesce.hooks.names import is_ignored
from snap_self.quiesce.hooks.native import native_steps
from snap_self.quiesce.hooks.trust import EXECUTE, judge_folder


class _Pair(Protocol):
    """A protocol of two scripts that belong together."""

    PRE: str
    POST: str


def find_steps(
    settings: HookSettings, builder: Builder
) -> tuple[tuple[HookStep, ...], tuple[str, ...]]:
    """Return every hook in the order of starting, and a sentence for each ignored file."""
    notes: list[str] = []
    steps = (
        *_in_folder(settings.dir, builder, notes),
        *(qemu.qemu_steps(settings.fsfreeze_hook, builder) if settings.fsfreeze_hook else ()),
        *_pair(settings, builder),
        *(google.google_steps(settings.google_dir, builder) if settings.google_dir else ()),
        *(azure.azure_steps(settings.azure_config, builder) if settings.azure_config else ()),
    )
    return tuple(_named_apart(steps)), tuple(notes)


def _named_apart(steps: Sequence[HookStep]) -> Iterator[HookStep]:
    """Give each step a unique name: two folders may hold hooks with the same name."""
    counts: Counter[str] = Counter()
    for step in steps:
        counts[step.name] += 1
        count = counts[step.name]
        yield step if count == 1 else replace(step, name=f"{step.name} ({count})")


def _pair(settings: HookSettings, builder: Builder) -> tuple[HookStep, ...]:
    if not settings.prescript and not settings.postscript:
        return ()
    return alibaba.alibaba_steps(settings.prescript, settings.postscript, builder)


def _in_folder(folder: str, builder: Builder, notes: list[str]) -> Iterator[HookStep]:
    if not folder:
        return
    try:
        why, hint = judge_folder(builder.files.walk(folder))
        names = sorted(builder.files.names(folder))
    except FileNotFoundError:
        return
    except OSError as error:
        why, hint, names = f"{folder} cannot be read: {error.strerror or error}", "", []
    if why:
        yield builder.broken("hooks", why, hint)
        return
    for name in names:
        if not is_ignored(name):
            yield from _entry(folder, name, names, builder, notes)


def _entry(
    folder: str, name: str, names: Sequence[str], builder: Builder, notes: list[str]
) -> tuple[HookStep, ...]:
    path = posixpath.join(folder, name)
    if name in qemu.NAMES:
        # The dispatcher runs the directory's hooks itself.
        called = name == qemu.NAMES[1] and qemu.NAMES[0] in names
        return () if called else qemu.qemu_steps(path, builder)
    if name in (alibaba.PRE, alibaba.POST):
        pre, post = posixpath.join(folder, alibaba.PRE), posixpath.join(folder, alibaba.POST)
        return alibaba.alibaba_steps(pre, post, builder) if name == _first(alibaba, names) else ()
    if name in (google.PRE, google.POST):
        return google.google_steps(folder, builder) if name == _first(google, names) else ()
    if name == azure.NAME:
        return azure.azure_steps(path, builder)
    return native_steps(path, builder) if _runs(path, builder, notes) else ()


def _first(pair: _Pair, names: Sequence[str]) -> str:
    """Return the name that stands for both scripts: the pre part's, if there is one."""
    return pair.PRE if pair.PRE in names else pair.POST


def _runs(path: str, builder: Builder, notes: list[str]) -> bool:
    """Return whether it should be run; if it cannot be looked at, yes: its start then says why."""
    try:
        end = builder.files.walk(path)[-1]
    except OSError:
        return True
    if end.kind is PathKind.FILE and end.mode & EXECUTE:
        return True
    why = "it is not executable" if end.kind is PathKind.FILE else "it is not a file"
    notes.append(f"{path} is not run as a hook: {why}")
    return False

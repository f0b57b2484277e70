"""Ways back to a snapshot, as steps for a person."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way back.

    Args:
        title: what it does, and to what.
        cautions: what to know before.
        console: the steps in the ECS console.
        commands: the same as commands; lines beginning with ``#`` say what to wait or look for.
        after: what to do or to know when it is done.
    """

    title: str
    cautions: tuple[str, ...]
    console: tuple[str, ...]
    commands: tuple[str, ...]
    after: tuple[str, ...] = ()

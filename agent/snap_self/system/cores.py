"""Core dumps: none of a process that holds keys; its children keep the caller's limit."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_CORE = resource.RLIMIT_CORE


class CoreLimit:
    """The core file limit of this process; its children get the limit that it was given.

    A program that takes dumps from the kernel (``kernel.core_pattern``) is not bound by the limit;
    systemd-coredump respects it (core(5), systemd-coredump(8)).
    """

    def __init__(self) -> None:
        self._given = resource.getrlimit(_CORE)
        self._forbidden = False

    def forbid(self) -> None:
        """Tell the kernel to write no core file: memory holds keys and tokens."""
        self._forbidden = True
        self._set(0)

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Start children inside the block with the limit that this process was given."""
        if not self._forbidden:
            yield
            return
        self._set(self._given[0])
        try:
            yield
        finally:
            self._set(0)

    def _set(self, soft: int) -> None:
        with suppress(OSError, ValueError):  # a sandbox may refuse it; the run matters more
            resource.setrlimit(_CORE, (soft, self._given[1]))


CORE_LIMIT = CoreLimit()
"""Created at the first import of the module, before the limit is changed."""

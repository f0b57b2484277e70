"""Calls that may never return, made on threads of the test's own process."""

from __future__ import annotations

import errno
import threading
from collections.abc import Mapping
from typing import Any

from snap_self.system.disks.aside import Pending
from snap_self.system.disks.questions import QUESTIONS


class InThreads:
    """The twin of ``AsideProcess``."""

    def begin(self, question: str, *arguments: object) -> Pending:
        """Ask on a thread."""
        pending = Pending()
        threading.Thread(target=self._ask, args=(pending, question, arguments), daemon=True).start()
        return pending

    def _ask(self, pending: Pending, question: str, arguments: tuple[object, ...]) -> None:
        try:
            pending.answered((0, QUESTIONS[question](*arguments)))
        except OSError as error:
            pending.answered((error.errno or errno.EIO, None))
        except ValueError:
            pending.answered((errno.EINVAL, None))


class Answers:
    """Answers as told; what it was not told does not exist.

    Args:
        told: question and first argument to the answer, or to an errno.
    """

    def __init__(self, told: Mapping[tuple[str, str], Any] | None = None) -> None:
        self.told = dict(told or {})
        self.asked: list[tuple[object, ...]] = []

    def begin(self, question: str, *arguments: object) -> Pending:
        """Answer at once."""
        self.asked.append((question, *arguments))
        answer = self.told.get((question, str(arguments[0])), errno.ENOENT)
        pending = Pending()
        pending.answered((answer, None) if isinstance(answer, int) else (0, answer))
        return pending

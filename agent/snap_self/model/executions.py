"""Executions of OOS, which bring disks back from outside the instance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

# Statuses of one that will do nothing any more.
DONE, FAILED, CANCELLED = "Success", "Failed", "Cancelled"
ENDED = frozenset({DONE, FAILED, CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One execution as the API shows it; also what the journal keeps of it.

    Args:
        status: its own word (``Running``); empty where it cannot be read.
        said: why it is so, in the API's words; may be empty.
        by: who started it, in the API's words; empty where they cannot be read.
        began: when it was started; None where that cannot be read.
        finished: when it ended; None while it goes on.
        tags: those it was started with, as far as they can be read.
    """

    execution_id: str
    status: str
    said: str = ""
    by: str = ""
    began: datetime | None = None
    finished: datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether it will do nothing any more."""
        return self.status in ENDED


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionOrder:
    """One StartExecution, complete.

    Args:
        content: the template's text; empty to start the one that the account keeps.
        parameters: the template's, each of JSON's types.
        client_token: at most 64 ASCII characters; the same order keeps the same token.
    """

    content: str
    parameters: Mapping[str, Any]
    description: str
    tags: Mapping[str, str]
    client_token: str

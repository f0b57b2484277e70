"""Executions of OOS, which bring disks back from outside the instance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Statuses of one that will do nothing any more.
ENDED = frozenset({"Success", "Failed", "Cancelled"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One execution as the API shows it.

    Args:
        status: its own word (``Running``); empty where it cannot be read.
    """

    execution_id: str
    status: str

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

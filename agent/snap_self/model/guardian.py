"""What the guardian's processes listen to; imports little, for it is loaded into locked memory."""

from __future__ import annotations

from enum import Enum


class Source(Enum):
    """Where something came from that woke the guardian or the understudy."""

    AGENT = "agent"
    GUARDIAN = "guardian"
    UNDERSTUDY = "understudy"
    HELPER = "helper"
    SIGNAL = "signal"
    TIMER = "timer"

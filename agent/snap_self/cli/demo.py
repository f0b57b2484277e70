"""The demo."""

from __future__ import annotations


def run_demo(*, keep: bool) -> int:
    """Run it."""
    del keep
    return 2

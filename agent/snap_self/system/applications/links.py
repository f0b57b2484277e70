"""Looks at connections without reading from them."""

from __future__ import annotations

import select


def silent_link(descriptor: int) -> str:
    """Implement ``ports.LinkProbe``; no system call here touches a disk or waits.

    Source: poll(2); ``POLLRDHUP`` tells the end from an answer: both make a socket readable.
    """
    poller = select.poll()
    poller.register(descriptor, select.POLLIN | select.POLLRDHUP)
    events = sum(event for _, event in poller.poll(0))
    if not events:
        return ""
    if events & (select.POLLHUP | select.POLLRDHUP | select.POLLERR | select.POLLNVAL):
        return "the server closed the connection"
    return "the server sent something that nobody asked for"

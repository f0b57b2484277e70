"""The system's log, for whoever reads later what happened here."""

from __future__ import annotations

import syslog


def write_notice(text: str) -> None:
    """Write a line to the system log; it is no fault if there is none."""
    syslog.openlog("snap-self", syslog.LOG_PID, syslog.LOG_DAEMON)
    syslog.syslog(syslog.LOG_NOTICE, text.replace("\0", " "))

"""dnf 4 plugin: lets snap-self take a snapshot before a risky transaction.

It runs inside dnf's own Python, which is 3.6 on EL8 and Alibaba Cloud Linux 3, so it imports
nothing of the agent and starts it as a child. Switch it off for one call with
``--disableplugin=snap_self``, for good with ``snap-self hook disable dnf``.

dnf stops a transaction only for ``dnf.exceptions.Error``. Every other exception of a plugin is
logged with its traceback and the transaction goes on, so nothing else is let out of here.
"""

import json
import logging
import subprocess
import sys
import tempfile

import dnf
import dnf.exceptions

GUARD = "/etc/snap-self/hook-guard"
STOP = 99
# The person pressed Ctrl-C, or the agent was told to end: 128 and the signal, or minus the signal.
INTERRUPTED = (129, 130, 143, -1, -2, -15)
GRACE_S = 30

logger = logging.getLogger("dnf.plugin.snap_self")


class SnapSelf(dnf.Plugin):
    """Tells the agent of each transaction and stops dnf when the agent says so."""

    name = "snap_self"

    def __init__(self, base, cli):
        super().__init__(base, cli)
        self.base = base

    def pre_transaction(self):
        """Called when packages are downloaded and checked, and nothing is changed yet."""
        try:
            event = self._event()
            status = _ask(event) if event else 0
        except Exception as error:  # noqa: BLE001  a fault of ours must not keep anybody from installing
            logger.warning("snap-self: no snapshot was considered: %s", error)
            return
        if status == STOP:
            raise dnf.exceptions.Error(
                "snap-self stopped this transaction, nothing was changed; the reason stands above"
            )
        if status in INTERRUPTED:
            raise dnf.exceptions.Error("snap-self was interrupted; nothing was changed")
        if status != 0:
            logger.warning("snap-self: no snapshot was considered: its guard ended with %d", status)

    def _event(self):
        """Return the transaction as the agent's documentation says; None where there is none."""
        if self.base.conf.installroot != "/":
            return None
        # Groups and environments are items too, and have neither an architecture nor a version.
        items = [
            [item.action_name, item.name, item.arch, item.evr]
            for item in self.base.transaction or ()
            if item.is_package()
        ]
        if not items:
            return None
        return {
            "v": 1,
            "program": sys.argv[0] if sys.argv else "",
            # Programs other than dnf that use its Python interface have none.
            "arguments": [str(word) for word in getattr(self.base, "args", None) or ()],
            "root": self.base.conf.installroot,
            "items": items,
        }


def _ask(event):
    """Start the agent by its guard, tell it the event, and return the exit status."""
    # No pipe: dnf leaves SIGPIPE at its default, so a guard that does not read would end dnf.
    with tempfile.TemporaryFile() as told:
        told.write(json.dumps(event).encode("utf-8"))
        told.seek(0)
        # dnf's standard output is the caller's; the agent talks to people on standard error.
        child = subprocess.Popen(
            [GUARD, "dnf4"], stdin=told, stdout=subprocess.DEVNULL, close_fds=True
        )
    try:
        child.wait()
    except KeyboardInterrupt:
        _let_it_clean_up(child)
        raise
    return child.returncode


def _let_it_clean_up(child):
    """Wait for a child that got the same Ctrl-C: it may have filesystems to thaw."""
    try:
        child.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        child.terminate()

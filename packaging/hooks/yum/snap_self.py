"""yum 3 plugin (EL7, Alibaba Cloud Linux 2): a snapshot before a risky transaction.

It runs inside yum's own Python 2.7, so it imports nothing of the agent and starts it as a
child. Switch it off for one call with ``--disableplugin=snap_self``, for good with
``snap-self hook disable dnf``.

yum ends with a message for ``PluginYumExit``. Any other exception would end it with a traceback, so
nothing else is let out of here. yum's API: http://yum.baseurl.org/wiki/WritingYumPlugins.html
"""
# ruff: noqa: UP031, RUF005, PTH123  Python 2.7 has no other way

import json
import os
import subprocess
import sys
import tempfile

from yum.plugins import TYPE_CORE, PluginYumExit

requires_api_version = "2.3"
# TYPE_CORE is loaded by yum-cron and other users of yum's API too.
plugin_type = (TYPE_CORE,)

GUARD = "/etc/snap-self/hook-guard"
STOP = 99
# The person pressed Ctrl-C, or the agent was told to end: 128 and the signal, or minus the signal.
INTERRUPTED = (129, 130, 143, -1, -2, -15)


def pretrans_hook(conduit):
    """Called when packages are downloaded and checked, and nothing is changed yet."""
    try:
        event = make_event(conduit)
        status = ask(event) if event else 0
    except Exception:  # noqa: BLE001  a fault of ours must not keep anybody from installing
        conduit.error(2, "snap-self: no snapshot was considered: %s" % (sys.exc_info()[1],))
        return
    if status == STOP:
        raise PluginYumExit(
            "snap-self stopped this transaction, nothing was changed; the reason stands above"
        )
    if status in INTERRUPTED:
        raise PluginYumExit("snap-self was interrupted; nothing was changed")
    if status != 0:
        conduit.error(2, "snap-self: no snapshot was considered: its guard ended with %d" % status)


def make_event(conduit):
    """Return the transaction as the agent's documentation says; None where there is none."""
    conf = conduit.getConf()
    if conf.installroot != "/":
        return None
    members = conduit.getTsInfo().getMembers()
    items = [[word_of(member)] + name_of(member) for member in members]
    if not items:
        return None
    return {
        "v": 1,
        "program": as_text(sys.argv[0]),
        "arguments": [as_text(word) for word in sys.argv[1:]],
        "root": conf.installroot,
        "items": items,
    }


def word_of(member):
    """Return dnf's word for what happens to a package; yum has numbers and lists for it."""
    if member.ts_state == "ud":
        return "Upgraded"
    if member.ts_state == "od":
        return "Obsoleted"
    if member.ts_state == "e":
        return "Removed"
    if member.ts_state not in ("u", "i"):
        return ""
    if member.reinstall:
        return "Reinstall"
    if member.downgrades:
        return "Downgrade"
    if member.updates:
        return "Upgrade"
    return "Install"


def name_of(member):
    """Return name, architecture and version of a member."""
    name, arch, epoch, version, release = member.pkgtup
    evr = "%s-%s" % (version, release)
    if epoch not in (None, "", "0", 0):
        evr = "%s:%s" % (epoch, evr)
    return [name, arch, evr]


def as_text(word):
    """Return a word of the command line, which is bytes, as text."""
    return word.decode("utf-8", "replace") if isinstance(word, bytes) else word


def ask(event):
    """Start the agent by its guard, tell it the event, and return the exit status."""
    # No pipe: where SIGPIPE is at its default, a guard that does not read would end yum.
    with tempfile.TemporaryFile() as told:
        told.write(json.dumps(event).encode("utf-8"))
        told.seek(0)
        # yum's standard output is the caller's; the agent talks to people on standard error.
        with open(os.devnull, "w") as nowhere:
            child = subprocess.Popen([GUARD, "yum"], stdin=told, stdout=nowhere, close_fds=True)
    try:
        child.wait()
    except KeyboardInterrupt:
        # The child got the same Ctrl-C, and may have filesystems to thaw.
        child.wait()
        raise
    return child.returncode

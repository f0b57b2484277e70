"""A real systemd-logind on a bus of its own, in a mount namespace with a ``/run`` of its own.

Nothing of this machine can be shut down through it: its bus has no systemd to be asked for that.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent_runner import AgentRunner

LOGIND = Path("/lib/systemd/systemd-logind")
LIMIT_S = 20.0
NAMES = ("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager")
BUS = """<busconfig>
<type>system</type>
<listen>unix:path=/run/dbus/system_bus_socket</listen>
<auth>EXTERNAL</auth>
<policy context="default">
  <allow user="*"/> <allow own="*"/> <allow eavesdrop="true"/>
  <allow send_destination="*"/> <allow receive_sender="*"/>
  <allow send_type="method_call"/> <allow receive_type="method_call"/>
</policy>
</busconfig>
"""
# The seat has no virtual terminals: those are this machine's.
SCRIPT = f"""set -eu
mount -t tmpfs none /run
mkdir -p /run/dbus /run/udev /run/systemd/system /run/systemd/inhibit /run/systemd/logind.conf.d
printf '[Login]\\nNAutoVTs=0\\nReserveVT=0\\n' >/run/systemd/logind.conf.d/test.conf
cat >/run/bus.conf <<'END'
{BUS}END
dbus-daemon --config-file=/run/bus.conf --nofork &
bus=$!
trap 'kill $bus' EXIT
while ! [ -S /run/dbus/system_bus_socket ]; do sleep 0.02; done
if [ "$1" = with-logind ]; then {LOGIND} & login=$!; trap "kill $login $bus; wait" EXIT; fi
echo ready
read -r _
"""


@dataclass(frozen=True, slots=True)
class Logind:
    """Where it runs."""

    pid: int

    @property
    def wrapper(self) -> tuple[str, ...]:
        """Return what puts a command into its namespace."""
        return ("nsenter", f"--mount=/proc/{self.pid}/ns/mnt", "--wdns=/", "--")

    def agent(self, runner: AgentRunner) -> AgentRunner:
        """Return a runner whose agent meets this logind; its follower is on and looks often."""
        quick = {"SNAP_SELF_FOLLOW_ENABLED": "true", "SNAP_SELF_FOLLOW_PAUSE": "1s"}
        return runner.with_wrapper(*self.wrapper).with_env(**quick)

    def inhibitors(self) -> list[list[str]]:
        """Return what, who, why and mode of each inhibitor, as logind lists them."""
        call = ("busctl", "--json=short", "call", *NAMES, "ListInhibitors")
        done = self._run(*call)
        assert done.returncode == 0, done.stderr
        listed: list[list[str]] = json.loads(done.stdout)["data"][0]
        return [entry[:4] for entry in listed]

    def answers(self) -> bool:
        """Tell whether it can be asked by now."""
        return self._run("busctl", "call", *NAMES, "ListInhibitors").returncode == 0

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        argv = [*self.wrapper, *command]
        return subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_S, check=False)


def lacking() -> str:
    """Return what is not installed here; empty if it can be run."""
    programs = ("dbus-daemon", "busctl", "systemd-inhibit", "nsenter", "unshare")
    lack = [name for name in programs if shutil.which(name) is None]
    return ", ".join(lack if LOGIND.exists() else [*lack, str(LOGIND)])


@contextmanager
def logind_running(*, logind: bool = True) -> Iterator[Logind]:
    """Run the bus, and logind on it unless it is to be missing."""
    assert not lacking(), f"not installed: {lacking()}"
    process = subprocess.Popen(
        [
            *("unshare", "--mount", "--propagation", "private", "--"),
            *("sh", "-c", SCRIPT, "sh", "with-logind" if logind else "without"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            one = Logind(process.pid)
            end = time.monotonic() + LIMIT_S
            while logind and not one.answers():
                assert time.monotonic() < end, "logind never answered"
                time.sleep(0.05)
            yield one
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(LIMIT_S)

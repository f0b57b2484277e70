"""Cloud Assistant inside a virtual machine: an agent there, on a virtio port of its own.

It is QEMU's guest agent, as a service of its own that starts late in the boot. It counts as running
while it answers.
"""

from __future__ import annotations

import base64
import contextlib
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ecs_simulator.assistant import Command, Ended
from ecs_simulator.guest_channel import GuestChannel, Refused, Silent

_INTERPRETERS: Mapping[str, tuple[str, str]] = {
    "RunShellScript": ("sh", "-c"),
    "RunPythonScript": ("python3", "-c"),
    "RunPerlScript": ("perl", "-e"),
}
_HOME = "/root"
# An answer counts for so long; a guest that is switched off does not say that it goes.
_FRESH_S = 10.0
_PING_LIMIT_S = 3.0
_HOLD_S = 2.0
_LOOK_S = 0.5
_BEGIN = 'cd "$0" && exec "$@" 2>&1'
_STOP = 'kill -KILL "$0"'
_STOP_TREE = 't() { for c in $(pgrep -P "$1"); do t "$c"; done; kill -KILL "$1"; }; t "$0"'


class GuestAssistant:
    """The assistant of the one instance that is a virtual machine; close it in the end.

    Nobody is asked in the guest before somebody asks here.

    Args:
        path: QEMU's socket of its port.
    """

    def __init__(self, instance_id: str, path: Path) -> None:
        self._instance_id = instance_id
        self._channel = GuestChannel(path)
        self._one_question = threading.Lock()
        self._asked = threading.Event()
        self._closed = threading.Event()
        self._answered_at: float | None = None
        self._pids: dict[str, int] = {}
        self._watcher = threading.Thread(target=self._watch, name="assistant", daemon=True)
        self._watcher.start()

    def is_up(self, instance_id: str) -> bool:
        """Tell whether it answered a moment ago, and have it asked again."""
        if instance_id != self._instance_id:
            return False
        self._asked.set()
        at = self._answered_at
        return at is not None and time.monotonic() - at < _FRESH_S

    def _watch(self) -> None:
        while not self._closed.is_set():
            is_asked = self._asked.wait(_HOLD_S)
            self._asked.clear()
            if self._closed.is_set():
                return
            if not is_asked:
                with self._one_question:
                    self._channel.hold()
                continue
            with contextlib.suppress(Silent, Refused):
                self._ask("guest-ping", within_s=_PING_LIMIT_S)
                self._answered_at = time.monotonic()

    def begin(self, instance_id: str, command: Command, ended: Ended) -> None:
        """Start a command and return at once; one whose guest goes away meanwhile never ends."""
        del instance_id  # there is one alone
        threading.Thread(target=self._run, args=(command, ended), daemon=True).start()

    def _run(self, command: Command, ended: Ended) -> None:
        argv = (*_INTERPRETERS[command.kind], command.content.decode())
        with contextlib.suppress(Silent, Refused):
            pid = self._start(_BEGIN, command.folder or _HOME, *argv)
            self._pids[command.command_id] = pid
            until = time.monotonic() + command.timeout_s
            while time.monotonic() < until and not self._closed.wait(_LOOK_S):
                told = self._ask("guest-exec-status", {"pid": pid})
                if told["exited"]:
                    code = told["exitcode"] if "exitcode" in told else 128 + told.get("signal", 0)
                    return ended(code, base64.b64decode(told.get("out-data", "")))
        return None

    def stop(self, instance_id: str, command: Command) -> None:
        """End a command that has run for too long, if it still runs."""
        del instance_id
        pid = self._pids.get(command.command_id)
        if pid is not None:
            with contextlib.suppress(Silent, Refused):
                self._start(_STOP_TREE if command.whole_tree else _STOP, str(pid))

    def close(self) -> None:
        """Ask nothing more."""
        self._closed.set()
        self._asked.set()
        self._watcher.join()
        with self._one_question:
            self._channel.close()

    def _start(self, script: str, *arguments: str) -> int:
        argv = ["-c", script, *arguments]
        asked = {"path": "/bin/sh", "arg": argv, "capture-output": True}
        return int(self._ask("guest-exec", asked)["pid"])

    def _ask(
        self, question: str, arguments: Mapping[str, Any] | None = None, *, within_s: float = 30.0
    ) -> Any:
        with self._one_question:
            if self._closed.is_set():
                raise Silent("nothing is asked any more")
            return self._channel.ask(question, arguments, within_s=within_s)

"""The process that opens and closes copies; started as ``python -c``, one question each.

The agent does not wait for it beyond a limit: a mount of a disk that does not answer cannot be
ended, by no signal. It then undoes by itself what it still gets done.
"""

from __future__ import annotations

import marshal
import os
import socket
import sys
from contextlib import suppress

from snap_self.system.opening import closing, work
from snap_self.system.opening.held import Disk, Grip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    _Told = Mapping[str, tuple[str, str]]

MOST_BYTES = 1 << 17


def main() -> None:
    """Answer the question that comes through the socket, and end; without one, end."""
    with socket.socket(fileno=int(sys.argv[3])) as line:
        question = line.recv(MOST_BYTES)
        if question:
            name, arguments = marshal.loads(question)  # nosec B302  # noqa: S302 - our own process
            try:
                QUESTIONS[name](line, **arguments)
            except work.Trouble as trouble:
                _answer(line, ("trouble", (trouble.kind, str(trouble), trouble.told)))
            except OSError as error:
                text = error.strerror or type(error).__name__
                _answer(line, ("trouble", (work.FAILED, text, "")))
    os._exit(0)  # the agent waits for it, and taking the interpreter apart takes longer


def _answer(line: socket.socket, answer: Any) -> None:
    with suppress(OSError):  # the agent is gone
        line.send(marshal.dumps(answer))


def _open(line: socket.socket, by_id: str, disks: _Told, **order: Any) -> None:
    with Grip(by_id=by_id) as grip:
        _open_held(line, grip, work.Order(disks=_disks(disks), **order))


def _open_held(line: socket.socket, grip: Grip, order: work.Order) -> None:
    done = work.open_copy(grip, order)
    mounted = done.mounted
    facts = {
        "device": done.device,
        "loops": done.loops,
        "taken": tuple((magic.offset, magic.value) for magic in done.taken),
        "shown": done.shown,
        "hidden": done.hidden,
        "sealed": done.sealed,
        "follows_links": mounted.follows_links,
        "old_calls": mounted.old_calls,
    }
    try:
        socket.send_fds(line, [marshal.dumps(("done", facts))], [mounted.root])
    except OSError:  # the agent is gone, or waits no longer
        mounted.undo()
        work.unseal(grip, (done.device, *order.disks))
        return
    os.close(mounted.root)


def _physical_volumes(line: socket.socket, by_id: str, disks: _Told) -> None:
    """Send what holds the disks too: LVM's programs write to them by their names."""
    with Grip(by_id=by_id) as grip:
        nodes = work.physical_volumes(grip, _disks(disks))
        with suppress(OSError):  # the agent is gone
            socket.send_fds(line, [marshal.dumps(("done", nodes))], grip.descriptors)


def _unmount(line: socket.socket, by_id: str, disks: _Told, at: str, wait_s: float) -> None:
    with Grip(by_id=by_id) as grip:
        grip.hold_those_there(_disks(disks))
        ended = closing.unmount_all(grip.nodes, at, wait_s=wait_s)
    _answer(line, ("done", (ended.lazily, ended.holders)))


def _close(line: socket.socket, by_id: str, disks: _Told, at: str, wait_s: float) -> None:
    with Grip(by_id=by_id) as grip:
        grip.hold_those_there(_disks(disks))
        ended = closing.unmount_all(grip.nodes, at, wait_s=wait_s)
        left = closing.release(grip)
    _answer(line, ("done", (ended.lazily, ended.holders, *left)))


def _signs(line: socket.socket, by_id: str, disks: _Told) -> None:
    with Grip(by_id=by_id) as grip:
        for node, disk in _disks(disks).items():
            grip.hold(node, disk)
        found, used = work.signs(grip)
    _answer(line, ("done", (found, used)))


def _disks(told: _Told) -> dict[str, Disk]:
    return {node: Disk(*known) for node, known in told.items()}


QUESTIONS: Mapping[str, Callable[..., None]] = {
    "open": _open,
    "physical_volumes": _physical_volumes,
    "unmount": _unmount,
    "close": _close,
    "signs": _signs,
}

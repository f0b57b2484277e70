"""Programs of another user that listen on loopback and keep what they are sent."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--")
# The interpreter of the tests may lie where only root gets to.
PYTHON = next(
    (path for path in ("/usr/bin/python3", "/usr/local/bin/python3") if Path(path).exists()),
    sys.executable,
)
_PROGRAM = """
import json, socket, sys
host, family, manner = json.loads(sys.argv[1])
listener = socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
if family == 6:
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
listener.bind((host, int(sys.argv[2])))
listener.listen()
print(listener.getsockname()[1], flush=True)
while manner != "never":
    connection, _ = listener.accept()
    if manner == "once":
        listener.close()
        print("accepted", flush=True)
        break
    connection.settimeout(10)
    got = connection.recv(65536)
    print(json.dumps(got.decode("latin-1")), flush=True)
    connection.close()
sys.stdin.read()
"""


class Listener:
    """A running one."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self._process = process
        self.port = port

    def wait_until_accepted(self) -> None:
        """Wait for the one that listens once."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "accepted\n"

    def received(self) -> list[str]:
        """End it and return what came on each connection that has ended."""
        self._process.kill()
        out, _ = self._process.communicate()
        return [json.loads(line) for line in out.splitlines()]


@contextmanager
def listening(
    host: str, *, wrapper: tuple[str, ...] = AS_NOBODY, port: int = 0, manner: str = "always"
) -> Iterator[Listener]:
    """Run one for the length of a block; ``::`` takes IPv4 too.

    Args:
        manner: ``always`` accept; ``once``, and stop listening then; ``never``, so that connections
            stay in the kernel's queue.
    """
    about = json.dumps([host, 6 if ":" in host else 4, manner])
    process = subprocess.Popen(
        [*wrapper, PYTHON, "-I", "-c", _PROGRAM, about, str(port)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
    )
    try:
        assert process.stdout is not None
        yield Listener(process, int(process.stdout.readline()))
    finally:
        process.kill()
        process.communicate()

"""Run the self-contained agent where the system's Python or its libraries are gone or damaged.

A program, started in two ways, each with a description in JSON as its first argument:

* before the agent's command line: makes a mount namespace, puts the tree at /opt/snap-self, hides
  what is to be hidden, and becomes the agent. The words with which ``AgentRunner`` starts one go.
* with ``--enter PID``: hides it in the namespace of an agent that runs already.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from pathlib import Path

CLONE_NEWNS = 0x00020000  # linux/sched.h
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 1 << 18  # linux/mount.h
PROGRAM = "/opt/snap-self/bin/snap-self"
RUNNER_WORDS = 3

PYTHON = (
    *("/usr/bin/python*", "/usr/bin/pydoc*", "/usr/libexec/platform-python*", "/usr/lib/python3*"),
    *("/usr/lib64/python3*", "/usr/local/bin/python*", "/usr/local/lib/python3*"),
    "/usr/share/python3*",
)
FOLDERS = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/local/lib", "/usr/bin", "/usr/sbin")
C_LIBRARY = (
    *("/lib*/*/libc.so.6", "/lib64/libc.so.6", "/lib*/*/libm.so.6", "/lib64/libm.so.6"),
    *("/lib*/*/ld-linux*.so.*", "/lib64/ld-linux*.so.*", "/etc/ld.so.cache"),
    *("/lib*/*/libssl.so*", "/lib*/*/libcrypto.so*", "/lib*/*/libz.so*", "/lib*/*/libnss_*"),
)

libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Do what the arguments say."""
    what = json.loads(sys.argv[1])
    scratch = Path(what["scratch"])
    if sys.argv[2] == "--enter":
        with Path(f"/proc/{sys.argv[3]}/ns/mnt").open("rb") as space:
            _done("setns", libc.setns(space.fileno(), CLONE_NEWNS))
        _hide(what["hide"], scratch)
        return
    _done("unshare", libc.unshare(CLONE_NEWNS))
    _mount(None, "/", MS_REC | MS_PRIVATE)
    # Its own: another agent of this machine ends every stale freeze that it finds a marker of.
    _mount("tmpfs", "/run", 0, "tmpfs")
    _mount("tmpfs", "/opt", 0, "tmpfs")
    Path("/opt/snap-self").mkdir()
    _mount(f"{what['tree']}/opt/snap-self", "/opt/snap-self", MS_BIND)
    _hide(what["hide"], scratch)
    program = what.get("program") or PROGRAM
    argv = [program, *sys.argv[2 + RUNNER_WORDS :]]
    os.execve(program, argv, {**os.environ, **what.get("environment", {})})


def _hide(what: str, scratch: Path) -> None:
    """Hide the system's Python; with ``damaged`` and ``gone`` its C library and more too."""
    if what == "nothing":
        return
    empty_file, empty_folder, garbage = (scratch / name for name in ("file", "folder", "garbage"))
    if not empty_folder.exists():
        empty_file.touch()
        empty_folder.mkdir()
        garbage.write_bytes(b"\x7fELF" + b"half written " * 1000)
    # All is found before the first thing is hidden, this program's own libraries among them.
    covers = [(path, empty_folder if path.is_dir() else empty_file) for path in _found(PYTHON)]
    if what == "damaged":
        covers += [(path, garbage) for path in _found(C_LIBRARY)]
    if what == "gone":
        covers += [(path, empty_folder) for path in _found(FOLDERS)]
    for path, cover in covers:
        _mount(str(cover), str(path), MS_BIND)


def _found(patterns: tuple[str, ...]) -> list[Path]:
    paths = {path for pattern in patterns for path in Path("/").glob(pattern.lstrip("/"))}
    return sorted({path.resolve() for path in paths if path.exists()})


def _mount(source: str | None, target: str, flags: int, fstype: str | None = None) -> None:
    words = [os.fsencode(word) if word else None for word in (source, target, fstype)]
    _done(f"mount {target}", libc.mount(*words, ctypes.c_ulong(flags), None))


def _done(what: str, status: int) -> None:
    if status != 0:
        raise OSError(ctypes.get_errno(), what)


if __name__ == "__main__":
    main()

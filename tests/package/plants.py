"""A folder of another user, full of what root must not run: modules, and programs of every name."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

NOBODY = 65534
OTHER_MODULES = (
    "pip",
    "setuptools",
    "snap_self",
    "ecs_simulator",
    "sitecustomize",
    "usercustomize",
)
PROGRAM_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin")
# Only with what is built in: a plant finds plants.
MODULE = """\
import posix
log = posix.open({log!r}, posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND, 0o666)
posix.write(log, "module {name} {{}}\\n".format(posix.getuid()).encode("latin-1"))
raise SystemExit("a plant was imported: {name}")
"""
PROGRAM = """\
#!/bin/sh
echo "program $0 $*" >>{log}
exec /usr/bin/env PATH=/usr/sbin:/usr/bin:/sbin:/bin "${{0##*/}}" "$@"
"""


@dataclass(frozen=True)
class Plants:
    """Where the plants are; each notes that it was run, and by whom.

    Args:
        folder: holds a module of every name that the interpreter could look for.
        programs: holds a program for every one that this machine has.
    """

    folder: Path
    programs: Path
    log: Path

    def variables(self, path: str) -> dict[str, str]:
        """Return variables that lead to them."""
        return {
            "HOME": str(self.folder),
            "PATH": f"{self.programs}:{path}",
            "PYTHONPATH": str(self.folder),
            "PYTHONUSERBASE": str(self.folder),
            "PYTHONSTARTUP": str(self.folder / "site.py"),
            "BASH_ENV": str(self.folder / "env.sh"),
        }

    def run(self) -> list[str]:
        """Return what of them was run."""
        return self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []


def plant(folder: Path) -> Plants:
    """Make them, of a user who is not root."""
    made = Plants(folder, folder / "bin", folder / "log")
    made.programs.mkdir(parents=True)
    for name in {*sys.stdlib_module_names, *OTHER_MODULES}:
        text = MODULE.format(log=str(made.log), name=name)
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    macros = f"%_dbpath %(echo rpmmacros >>{made.log}; echo /var/lib/rpm)\n"
    (folder / ".rpmmacros").write_text(macros, encoding="utf-8")
    (folder / "env.sh").write_text(f"echo BASH_ENV >>{made.log}\n", encoding="utf-8")
    program = made.programs / "planted program"
    program.write_text(PROGRAM.format(log=made.log), encoding="utf-8")
    program.chmod(0o755)
    for name in {path.name for place in PROGRAM_FOLDERS for path in Path(place).iterdir()}:
        (made.programs / name).symlink_to(program.name)
    for path in (folder, made.programs, *folder.iterdir(), program):
        os.chown(path, NOBODY, NOBODY)
    return made

"""Runs programs that a file names, as those that print keys; root runs none others could change."""

from __future__ import annotations

import errno
import os
import pwd
import re
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence

from snap_self.model.trust import Distrusted
from snap_self.system.commands import SystemCommands
from snap_self.system.environment import SYSTEM_PATH
from snap_self.system.trust import check_trusted, distrust_place

# Root's own environment decides the proxies. A program's command sets everything else it needs:
# `/usr/bin/env VAULT_ADDR=https://vault.example /usr/bin/vault ...`
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
# Characters that may stand beside a path in a shell's text or in an option.
_BETWEEN = re.compile(r"""[\s'"`=:;,|&<>(){}$@]+""")
_URL = re.compile(r"\bhttps?://[^\s'\"]*", re.IGNORECASE)
_KEPT = frozenset((*_PROXIES, *map(str.lower, _PROXIES)))


class KeyPrograms:
    """Implement ``ports.Commands`` with a clean environment, in the root directory.

    The program gets the system's ``PATH``; ``HOME``, ``USER`` and ``LOGNAME`` from the user
    database; ``LANG=C.UTF-8``; and the caller's proxies.

    Args:
        env: the agent's own environment.
        more: variables that it gets beside these.
        stdin: what it reads; nothing where it is empty.
    """

    def __init__(
        self, env: Mapping[str, str], *, more: Mapping[str, str] | None = None, stdin: bytes = b""
    ) -> None:
        kept = {name: value for name, value in env.items() if name in _KEPT}
        self._env = {**kept, **(more or {})}
        self._stdin = stdin

    def run(self, argv: Sequence[str], *, timeout_s: float) -> tuple[int, str, str]:
        """Return exit status (negative: ended by that signal), standard output and standard error.

        Raises:
            Distrusted: others could change the program, or could change or create what an argument
                names, also in a shell's text or a variable for env(1).
            OSError: it could not be started.
            TimeoutError: it and its group were killed at the time limit.
        """
        program = checked_program(argv)
        env = {"PATH": SYSTEM_PATH, **_who(), "LANG": "C.UTF-8", **self._env}
        commands = SystemCommands(env=env, folder="/", stdin=self._stdin)
        return commands.run([program, *argv[1:]], timeout_s=timeout_s)


def checked_program(argv: Sequence[str]) -> str:
    """Return the path of the program that a command names, if root may run it so.

    Raises:
        Distrusted: as ``KeyPrograms.run``.
        OSError: there is no such program.
    """
    program = _found(argv[0])
    check_trusted(program, sticky=False)
    for path in _places_named(argv[1:]):
        _check_place(path)
    return program


def _found(program: str) -> str:
    if program.startswith("/"):
        return program
    found = shutil.which(program, path=SYSTEM_PATH) if "/" not in program else None
    if found is None:
        why = f"its program is neither in {SYSTEM_PATH} nor named by an absolute path"
        raise OSError(errno.ENOENT, why)
    return found


def _places_named(arguments: Sequence[str]) -> Iterator[str]:
    """Yield each path in an argument: a script, ``--config=/x``, ``-I/x``.

    A relative path begins at the root directory, where the program is started.
    """
    for argument in arguments:
        for word in _BETWEEN.split(_URL.sub(" ", argument)):
            if word and word not in (".", ".."):
                yield f"/{word}" if word[0] != "/" else word
            if word.startswith("-") and "/" in word:
                yield word[word.index("/") :]


def _check_place(path: str) -> None:
    """Refuse a path if others could put something there, even if nothing is there yet.

    Raises:
        Distrusted: they could.
    """
    try:
        if stat.S_ISCHR(os.stat(path).st_mode):  # noqa: PTH116
            return  # everybody may write to /dev/null
    except OSError:
        pass
    try:
        found = distrust_place(path, sticky=False)
    except OSError:
        return  # the program gets the same error
    if found is not None:
        raise Distrusted(found)


def _who() -> Mapping[str, str]:
    try:
        user = pwd.getpwuid(os.geteuid())
    except KeyError:
        return {"HOME": "/"}
    return {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name}

"""The plugin ``actions`` of libdnf5 as its documentation describes it, and nothing more.

dnf 5 cannot be had where these tests run. This stand-in is written from the plugin's documentation
(https://dnf5.readthedocs.io/en/latest/libdnf5_plugins/actions.8.html), strictly: what is not
documented is a fault.
"""

from __future__ import annotations

import io
import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

HOOKS = (
    "pre_base_setup",
    "post_base_setup",
    "repos_configured",
    "repos_loaded",
    "pre_add_cmdline_packages",
    "post_add_cmdline_packages",
    "goal_resolved",
    "pre_transaction",
    "post_transaction",
)
# Option to the version it came with and its values.
OPTIONS: Mapping[str, tuple[tuple[int, int, int], tuple[str, ...]]] = {
    "enabled": ((0, 3, 0), ("1", "host-only", "installroot-only")),
    "mode": ((1, 2, 0), ("plain", "json")),
    "raise_error": ((1, 4, 0), ("0", "1")),
}
STOP_SINCE = (1, 4, 0)
LEVELS = ("CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG", "TRACE")
PACKAGE_ATTRIBUTES = (
    *("name", "arch", "version", "release", "epoch", "na", "evr", "nevra", "full_nevra"),
    *("download_size", "install_size", "license", "location", "vendor", "repo_id"),
    *("direction", "action", "reason"),
)
ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class ParseError(Exception):
    """A line of an actions file is wrong: the plugin cannot be loaded, so dnf cannot be used."""


@dataclass(frozen=True, slots=True)
class Action:
    """One line of an actions file."""

    hook: str
    options: Mapping[str, str]
    argv: tuple[str, ...]


def parse_file(text: str, version: tuple[int, int, int]) -> list[Action]:
    """Read an actions file as a plugin of some version does.

    Raises:
        ParseError: that version cannot read it.
    """
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [_parse_line(line, version) for line in lines]


def _parse_line(line: str, version: tuple[int, int, int]) -> Action:
    parts = line.split(":", 4)
    if len(parts) != 5:
        raise ParseError(f"five items are expected: {line}")
    hook, package_filter, direction, options, command = parts
    if hook not in HOOKS or direction not in ("", "in", "out"):
        raise ParseError(line)
    if direction and not package_filter:
        raise ParseError("a direction without a package filter")
    found: dict[str, str] = {}
    for option in split(options):
        name, _, value = option.partition("=")
        since, values = OPTIONS.get(name, ((999, 0, 0), ()))
        if version < since or value not in values:
            raise ParseError(f"option {option}")
        found[name] = value
    argv = tuple(unescape(argument) for argument in split(command))
    if not argv or not argv[0].startswith("/"):
        raise ParseError("no command")
    return Action(hook, found, argv)


def split(text: str) -> list[str]:
    """Cut at spaces that have no backslash before them."""
    words: list[str] = []
    word, escaped = "", False
    for letter in text:
        if letter == " " and not escaped:
            words += [word] if word else []
            word = ""
            continue
        word += letter
        escaped = letter == "\\" and not escaped
    return words + ([word] if word else [])


def unescape(text: str) -> str:
    """Replace what a backslash escapes; substitution of ``${…}`` is not used by us."""
    if "${" in text:
        raise ParseError("a substitution")
    letters = iter(text)
    return "".join(
        letter if letter != "\\" else _unescaped(next(letters, "")) for letter in letters
    )


def _unescaped(letter: str) -> str:
    return ESCAPES.get(letter, letter)


def plain_outcome(
    out: str, exit_status: int, options: Mapping[str, str], version: tuple[int, int, int]
) -> str:
    """Return why dnf ends with an error after an action in ``mode=plain``; else nothing."""
    wrong = f"Exit code: {exit_status}" if exit_status else ""
    for line in out.splitlines():
        if line.startswith("stop=") and version >= STOP_SINCE:
            return f"Action calls for stop: {line[5:]}"
        if not line.startswith(("tmp.", "conf.", "var.", "log.")):
            wrong = f"Syntax error: Action output line: {line}"
    return wrong if options.get("raise_error") == "1" else ""


class JsonPlugin:
    """The plugin's end of one conversation in ``mode=json``.

    ``stdin`` and ``stdout`` are the action process's.

    Args:
        packages: the transaction; each with every attribute that may be asked for.
        piece: how many bytes of a reply can be read at a time.
    """

    def __init__(
        self,
        packages: Iterable[Mapping[str, str]] = (),
        *,
        version: tuple[int, int, int] = (1, 4, 1),
        piece: int = 65536,
    ) -> None:
        self.packages = list(packages)
        self.version = version
        self.piece = piece
        self.requests: list[dict[str, Any]] = []
        self.logged: list[tuple[str, str]] = []
        self.stopped = ""
        self.fault = ""
        self.closed = False
        self._replies: deque[bytes] = deque()
        self.stdin = _Replies(self)
        self.stdout = _Requests(self)

    def outcome(self, exit_status: int, options: Mapping[str, str]) -> str:
        """Return why dnf ends with an error; empty where the transaction goes on."""
        if self.stopped:
            return f"Action calls for stop: {self.stopped}"
        wrong = self.fault or (f"Exit code: {exit_status}" if exit_status else "")
        return wrong if options.get("raise_error") == "1" else ""

    def hear(self, data: bytes) -> None:
        """Take what the process wrote.

        Raises:
            BrokenPipeError: the pipes are closed.
        """
        if self.closed:
            raise BrokenPipeError
        text, decoder = data.decode(), json.JSONDecoder()
        while text := text.lstrip():
            try:
                request, end = decoder.raw_decode(text)
            except json.JSONDecodeError as error:
                self._close(f"syntax error: {error}")
                return
            text = text[end:]
            self._answer(request)

    def read(self) -> bytes:
        """Return a piece of the replies, nothing where there will be none."""
        if not self._replies:
            return b""
        reply = self._replies.popleft()
        if len(reply) > self.piece:
            self._replies.appendleft(reply[self.piece :])
        return reply[: self.piece]

    def _close(self, fault: str = "") -> None:
        self.fault, self.closed = fault, True

    def _answer(self, request: Any) -> None:
        if not isinstance(request, dict) or set(request) - {"op", "domain", "args"}:
            self._close("not a request")
            return
        self.requests.append(request)
        operation, args = request.get("op"), request.get("args") or {}
        if operation == "stop" and self.version >= STOP_SINCE:
            self.stopped = args["message"]
            self._close()
        elif operation == "log":
            self._log(args)
        elif operation == "get" and request.get("domain") == "trans_packages":
            self._list(args)
        else:
            self._reply(request, "ERROR", message=f"Unknown operation {operation}")

    def _log(self, args: Mapping[str, str]) -> None:
        request = {"op": "log", "domain": ""}
        if args.get("level") not in LEVELS:
            self._reply(request, "ERROR", message="Bad log level")
            return
        self.logged.append((args["level"], args["message"]))
        self._reply(request, "OK")

    def _list(self, args: Mapping[str, Any]) -> None:
        request = {"op": "get", "domain": "trans_packages"}
        output: Sequence[str] = args.get("output", ())
        unknown = [name for name in output if name not in PACKAGE_ATTRIBUTES]
        if unknown:
            self._reply(request, "ERROR", message=f"Bad package attribute: {unknown[0]}")
            return
        listed = [{name: package[name] for name in output} for package in self.packages]
        self._reply(request, "OK", **{"return": {"trans_packages": listed}})

    def _reply(self, request: Mapping[str, str], status: str, **more: object) -> None:
        head = {"op": "reply", "requested_op": request["op"], "domain": request["domain"]}
        self._replies.append(
            json.dumps({**head, "status": status, **more}, ensure_ascii=False).encode()
        )


class _Replies(io.RawIOBase):
    def __init__(self, plugin: JsonPlugin) -> None:
        self._plugin = plugin

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._plugin.read()


class _Requests(io.RawIOBase):
    def __init__(self, plugin: JsonPlugin) -> None:
        self._plugin = plugin

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._plugin.hear(bytes(data))
        return len(data)


def package(
    action: str, name: str, evr: str, *, arch: str = "x86_64", direction: str = ""
) -> dict[str, str]:
    """Return an entry of ``trans_packages`` with the attributes that are asked for."""
    return {
        "action": action,
        "direction": direction or ("OUT" if action in "EO" else "IN"),
        "name": name,
        "evr": evr,
        "arch": arch,
    }

"""Reads about running programs with psutil."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from snap_self.model.applications import ProcessFact

# Addresses that loopback leads to.
HERE = frozenset({"127.0.0.1", "0.0.0.0", "::", "::1"})  # noqa: S104  # compared, not bound to


class SystemProcesses:
    """Implement ``ports.ProcessReader``; what may not be looked at stays empty."""

    def named(self, names: Collection[str]) -> Sequence[ProcessFact]:
        """Return every process with one of these names, by process id."""
        return sorted(self._named(names), key=lambda fact: fact.pid)

    def _named(self, names: Collection[str]) -> Iterator[ProcessFact]:
        import psutil  # slow to load

        for process in psutil.process_iter(["name"]):
            name = process.info["name"]
            if name in names and not _is_helper(process, name):
                yield _fact(process, name)


def _is_helper(process: Any, name: str) -> bool:
    """Tell whether the parent has the same name: PostgreSQL's backends, forked Redis."""
    parent = _asked(process.parent, None)
    return parent is not None and _asked(parent.name, "") == name


def _fact(process: Any, name: str) -> ProcessFact:
    # psutil 6 renamed the method.
    links = getattr(process, "net_connections", None) or process.connections
    listening = [each for each in _asked(lambda: links("inet"), []) if each.status == "LISTEN"]
    return ProcessFact(
        pid=process.pid,
        name=name,
        argv=tuple(_asked(process.cmdline, [])),
        cwd=_asked(process.cwd, ""),
        sockets=tuple(each.laddr for each in _asked(lambda: links("unix"), []) if each.laddr),
        ports=tuple(sorted({each.laddr.port for each in listening if each.laddr.ip in HERE})),
        files=tuple(each.path for each in _asked(process.open_files, [])),
    )


def _asked(question: Callable[[], Any], otherwise: Any) -> Any:
    import psutil

    try:
        return question()
    except (psutil.Error, OSError):
        return otherwise

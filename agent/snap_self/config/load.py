"""Files, then environment, into one :class:`Config`; every fault is found before one is raised."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snap_self.config.keys import BY_ENV, BY_NAME, ENV_PREFIX, KEYS, SECTIONS, Key
from snap_self.config.lines import find_lines, line_of
from snap_self.config.settings import Config
from snap_self.errors import ConfigError, RuleError
from snap_self.model.shown import shown

FOLDER = Path("/etc/snap-self")
MAIN_FILE = "config.toml"
EXTRA_FOLDER = "conf.d"
# Read elsewhere: by package-manager hooks, and by the project's own tests.
ENV_ELSEWHERE = frozenset({"SNAP_SELF_SKIP", "SNAP_SELF_HOOK_LIMIT"})
ENV_SLIP = 0.85
WRITABLE_BY_OTHERS = 0o022


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFile:
    """A configuration file as it was read.

    Args:
        mode: permission bits.
        owner: user id.
    """

    content: bytes = field(repr=False)
    mode: int
    owner: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the configuration comes from.

    Args:
        read: returns a file; raises OSError.
        listing: returns the names in a folder; raises OSError.
        as_root: the process is root, so only root may have written the files.
    """

    env: Mapping[str, str] = field(repr=False)
    read: Callable[[Path], ConfigFile]
    listing: Callable[[Path], Sequence[str]]
    as_root: bool
    folder: Path = FOLDER


def default_config() -> Config:
    """Return the configuration of a machine that has none."""
    return _build(_defaults())


def load_config(sources: Sources) -> Config:
    """Return what files and environment say; the later one wins per key, tables are joined.

    Raises:
        ConfigError: with every fault there is.
    """
    loader = _Loader(sources)
    for path in loader.files():
        loader.add_file(path)
    loader.add_environment()
    loader.check_joined()
    if loader.faults:
        raise _config_error(loader.faults)
    return _build(loader.values)


@dataclass(slots=True)
class _Loader:
    """Gathers values and faults."""

    sources: Sources
    values: dict[Key, Any] = field(default_factory=lambda: _defaults())
    faults: list[str] = field(default_factory=list)

    def files(self) -> Iterator[Path]:
        yield self.sources.folder / MAIN_FILE
        extra = self.sources.folder / EXTRA_FOLDER
        try:
            names = self.sources.listing(extra)
        except FileNotFoundError:
            return
        except OSError as error:
            self.faults.append(f"{extra} cannot be read: {error.strerror}")
            return
        for name in sorted(names):
            if name.endswith(".toml") and not name.startswith("."):
                yield extra / name

    def add_file(self, path: Path) -> None:
        try:
            file = self.sources.read(path)
        except FileNotFoundError:
            return
        except OSError as error:
            self.faults.append(f"{path} cannot be read: {error.strerror}")
            return
        if self.sources.as_root and (file.owner != 0 or file.mode & WRITABLE_BY_OTHERS):
            self.faults.append(
                f"{path} can be changed by others than root; mend it with: "
                f"chown root {path} && chmod go-w {path}"
            )
            return
        self._add_text(path, file.content)

    def _add_text(self, path: Path, content: bytes) -> None:
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            self.faults.append(f"{path}:{line}: not UTF-8")
            return
        try:
            tables = parse_toml(text)
        except RecursionError:
            self.faults.append(f"{path}: nested too deeply")
        except ValueError as error:  # the TOML parser's own error, and that of huge numbers
            self.faults.append(_syntax_fault(path, text, str(error)))
        else:
            self._add_tables(_Place(path, find_lines(text)), tables)

    def _add_tables(self, place: _Place, tables: Mapping[str, Any]) -> None:
        for section, table in tables.items():
            if section not in SECTIONS:
                self._unknown(place.at(section), f"[{section}]", section, SECTIONS)
            elif not isinstance(table, dict):
                self.faults.append(f"{place.at(section)}: {section} is not a table")
            else:
                for name, value in table.items():
                    self._add_entry(place, (section, name), value)

    def _add_entry(self, place: _Place, path: tuple[str, str], value: object) -> None:
        key = BY_NAME.get(path)
        if key is not None:
            self._add_value(place.at(*path), key, value, key.dotted)
            return
        known = [each.name for each in KEYS if each.section == path[0]]
        self._unknown(place.at(*path), ".".join(path), path[1], known)

    def add_environment(self) -> None:
        given = {
            name: value
            for name, value in self.sources.env.items()
            if name.startswith(ENV_PREFIX) and value and name not in ENV_ELSEWHERE
        }
        chosen: dict[Key, str] = {}
        for name, value in sorted(given.items()):
            key = BY_ENV.get(name)
            if key is None:
                # Others may use the prefix for things of their own; what looks like a slip is told.
                known = [*BY_ENV, *ENV_ELSEWHERE]
                if _near(name, known, cutoff=ENV_SLIP):
                    self._unknown("environment", name, name, known)
            elif key in chosen:
                self.faults.append(f"environment: {chosen[key]} and {name} both set {key.dotted}")
            else:
                chosen[key] = name
                self._add_value("environment", key, value, name)

    def _add_value(self, where: str, key: Key, value: object, what: str) -> None:
        try:
            parsed = key.parse(value, what)
        except RuleError as error:
            named = error.message if what in error.message else f"{what}: {error.message}"
            self.faults.append(f"{where}: {named} ({error.hint})")
            return
        self.values[key] = key.merge(self.values[key], parsed) if key.merge else parsed

    def check_joined(self) -> None:
        """Check tables again that were joined from several files."""
        for key in KEYS:
            if key.merge and not self.faults:
                self._add_value("all files together", key, dict(self.values[key]), key.dotted)

    def _unknown(self, where: str, what: str, word: str, known: Iterable[str]) -> None:
        known = list(known)
        near = _near(word, known)
        advice = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
        self.faults.append(f"{where}: {_named(what)} is not known; {advice}")


def _near(word: str, known: Sequence[str], *, cutoff: float = 0.6) -> list[str]:
    import difflib  # only a fault pays for it

    return difflib.get_close_matches(word, known, n=1, cutoff=cutoff)


@dataclass(frozen=True, slots=True)
class _Place:
    """A file, and where its keys stand."""

    path: Path
    lines: Mapping[tuple[str, ...], int]

    def at(self, *keys: str) -> str:
        line = line_of(self.lines, keys)
        return f"{self.path}:{line}" if line else f"{self.path}"


def _named(what: str) -> str:
    """Return a key as it is when plain, else in quotes and printable."""
    return what if re.fullmatch(r"[][\w.-]{1,80}", what) else shown(what)


def parse_toml(text: str) -> dict[str, Any]:
    """Return a file's tables.

    Raises:
        ValueError: it is not TOML.
    """
    # Loaded only where there is a file: most machines have none.
    parser = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    tables: dict[str, Any] = parser.loads(text)
    return tables


def _syntax_fault(path: Path, text: str, message: str) -> str:
    line = re.search(r"\(at line (\d+), column \d+\)$", message)
    end = text.rstrip().count("\n") + 1 if message.endswith("(at end of document)") else 0
    place = f"{path}:{line[1] if line else end}" if line or end else f"{path}"
    reason = message.rpartition(" (at ")[0] or message
    return f"{place}: not TOML: {reason}"


def _defaults() -> dict[Key, Any]:
    return {key: key.parse(key.default, key.dotted) for key in KEYS}


def _build(values: Mapping[Key, Any]) -> Config:
    made: dict[str, Any] = {
        section: kind(**{k.attribute: v for k, v in values.items() if k.section == section})
        for section, kind in SECTIONS.items()
    }
    return Config(**made)


def _config_error(faults: Sequence[str]) -> ConfigError:
    message = faults[0]
    if len(faults) > 1:
        message = "\n  ".join((f"{len(faults)} faults in the configuration:", *faults))
    return ConfigError(
        message,
        hint="config.example.toml, which comes with snap-self, lists every key and its default",
    )

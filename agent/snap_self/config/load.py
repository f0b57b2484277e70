"""Files, then environment, into one :class:`Config`; every fault is found before one is raised."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snap_self.config.fault import Fault, Place
from snap_self.config.key import ENV_PREFIX, Key
from snap_self.config.keys import BY_ENV, BY_NAME, KEYS, SECTIONS
from snap_self.config.lines import find_lines, line_of
from snap_self.config.parsers import Parser
from snap_self.config.settings import Config
from snap_self.errors import ConfigError, RuleError
from snap_self.model.shown import shown
from snap_self.model.trust import Distrust

FOLDER = Path("/etc/snap-self")
MAIN_FILE = "config.toml"
EXTRA_FOLDER = "conf.d"
EXAMPLE = "config.example.toml"
# Read elsewhere: by package-manager hooks, and by the project's own tests.
ENV_ELSEWHERE = frozenset({"SNAP_SELF_SKIP", "SNAP_SELF_HOOK_LIMIT", "SNAP_SELF_HOOK_LONGEST"})
ENV_SLIP = 0.85
ENVIRONMENT = Place(word="environment")
JOINED = Place(word="all files together")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the configuration comes from.

    Args:
        read: returns a file; raises OSError.
        listing: returns the names in a folder; raises OSError.
        distrust: returns all that others could change on the way to a path; raises OSError.
        example: returns the path of a file with every key; asked only where there is a fault.
    """

    env: Mapping[str, str] = field(repr=False)
    read: Callable[[Path], bytes]
    listing: Callable[[Path], Sequence[str]]
    distrust: Callable[[Path], Sequence[Distrust]]
    folder: Path = FOLDER
    example: Callable[[], str] = lambda: EXAMPLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A configuration, as far as it can be used.

    Args:
        config: keys with a fault have their defaults.
        fault: every fault there is; None without one.
        in_doubt: keys, with a dot, of which it is not known what was meant: their value or name has
            a fault, or a file that may have them cannot be used.
        faults: the same as ``fault``, one by one.
        files: which were there to be read.
    """

    config: Config
    fault: ConfigError | None = None
    in_doubt: frozenset[str] = frozenset()
    faults: tuple[Fault, ...] = ()
    files: tuple[Path, ...] = ()


def default_config() -> Config:
    """Return the configuration of a machine that has none."""
    return _build(_defaults())


def load_config(sources: Sources) -> Config:
    """Return what files and environment say; the later one wins per key, tables are joined.

    Raises:
        ConfigError: with every fault there is.
    """
    loaded = load_usable(sources)
    if loaded.fault is not None:
        raise loaded.fault
    return loaded.config


def load_usable(sources: Sources) -> Loaded:
    """Return the same without what has a fault, for a command that has more to tell than that."""
    loader = _Loader(sources)
    for path in loader.files():
        loader.add_file(path)
    loader.add_environment()
    loader.check_joined()
    return loader.loaded()


def load_alone(sources: Sources, path: Path) -> Loaded:
    """Return what one file says, read as each of the folder is, without all others.

    Who may change it is looked at only where it would be read from: anywhere else it is a draft.
    """
    loader = _Loader(sources)
    loader.add_draft(path)
    return loader.loaded()


def reads(path: Path, folder: Path = FOLDER) -> bool | None:
    """Tell whether a file is read where it lies; None where it lies elsewhere than we look."""
    if path.parent == folder / EXTRA_FOLDER:
        return _is_extra(path.name)
    return path.name == MAIN_FILE if path.parent == folder else None


def _is_extra(name: str) -> bool:
    return name.endswith(".toml") and not name.startswith(".")


@dataclass(slots=True)
class _Loader:
    """Gathers values and faults."""

    sources: Sources
    values: dict[Key, Any] = field(default_factory=lambda: _defaults())
    faults: list[Fault] = field(default_factory=list)
    in_doubt: set[Key] = field(default_factory=set)
    read: list[Path] = field(default_factory=list)

    def loaded(self) -> Loaded:
        """Return what was gathered."""
        told = [fault.told for fault in self.faults]
        return Loaded(
            config=_build(self.values),
            fault=_config_error(told, self.sources.example()) if told else None,
            in_doubt=frozenset(key.dotted for key in self.in_doubt),
            faults=tuple(self.faults),
            files=tuple(self.read),
        )

    def files(self) -> Iterator[Path]:
        extra = self.sources.folder / EXTRA_FOLDER
        # Whoever may write to a folder can take a file away, so an empty one is judged too.
        for folder in (self.sources.folder, extra):
            self._is_trusted(folder)
        yield self.sources.folder / MAIN_FILE
        try:
            names = self.sources.listing(extra)
        except FileNotFoundError:
            return
        except OSError as error:
            self._unreadable(extra, error)
            return
        for name in sorted(names):
            if _is_extra(name):
                yield extra / name

    def add_file(self, path: Path) -> None:
        if not self._is_trusted(path):
            return
        try:
            content = self.sources.read(path)
        except FileNotFoundError:
            return
        except OSError as error:
            self._unreadable(path, error)
            return
        self._add_text(path, content)

    def add_draft(self, path: Path) -> None:
        """Add a file that was named, so that it has to be there."""
        if reads(path, self.sources.folder) and not self._is_trusted(path):
            return
        try:
            content = self.sources.read(path)
        except OSError as error:
            self._unreadable(path, error)
            return
        self._add_text(path, content)

    def _unreadable(self, path: Path, error: OSError) -> None:
        self._useless(Place(file=str(path)), f"{path} cannot be read: {error.strerror}")

    def _is_trusted(self, path: Path) -> bool:
        """Tell whether it may be used; what cannot be looked at is told by whoever reads it."""
        try:
            found = self.sources.distrust(path)
        except OSError:
            return True
        for each in found:
            told = f"{each.why}; mend it with: {each.hint}"
            if told not in [fault.told for fault in self.faults]:
                self._useless(Place(file=str(path)), told)
        return not found

    def _useless(self, place: Place, told: str, keys: Iterable[Key] = KEYS) -> None:
        """Note a fault that hides what these keys were to be."""
        keys = tuple(keys)
        only = keys[0] if len(keys) == 1 else None
        named = {"key": only.dotted, "accepted": only.accepted} if only else {}
        self.faults.append(Fault(told=told, place=place, **named))
        self.in_doubt.update(keys)

    def _add_text(self, path: Path, content: bytes) -> None:
        self.read.append(path)
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            place = Place(file=str(path), line=content.count(b"\n", 0, error.start) + 1)
            self._useless(place, f"{place}: not UTF-8")
            return
        try:
            tables = parse_toml(text)
        except RecursionError:
            self._useless(Place(file=str(path)), f"{path}: nested too deeply")
        except ValueError as error:  # the TOML parser's own error, and that of huge numbers
            place = Place(file=str(path), line=_syntax_line(text, str(error)))
            reason = str(error).rpartition(" (at ")[0] or str(error)
            self._useless(place, f"{place}: not TOML: {reason}")
        else:
            self._add_tables(_Lines(path, find_lines(text)), tables)

    def _add_tables(self, lines: _Lines, tables: Mapping[str, Any]) -> None:
        for section, table in tables.items():
            if section not in SECTIONS:
                meant = self._unknown(lines.at(section), f"[{section}]", section, SECTIONS)
                self.in_doubt.update(key for key in KEYS if key.section == meant)
            elif not isinstance(table, dict):
                keys = [key for key in KEYS if key.section == section]
                place = lines.at(section)
                self._useless(place, f"{place}: {section} is not a table", keys)
            else:
                for name, value in table.items():
                    self._add_entry(lines, (section, name), value)

    def _add_entry(self, lines: _Lines, path: tuple[str, str], value: object) -> None:
        key = BY_NAME.get(path)
        if key is not None:
            self._add_value(lines.at(*path), key, value, key.dotted)
            return
        known = [each.name for each in KEYS if each.section == path[0]]
        meant = self._unknown(lines.at(*path), ".".join(path), path[1], known)
        self.in_doubt.update(key for key in KEYS if (key.section, key.name) == (path[0], meant))

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
                    meant = self._unknown(ENVIRONMENT, name, name, known)
                    self.in_doubt.update(key for key in (BY_ENV.get(meant),) if key)
            elif key in chosen:
                twice = f"{ENVIRONMENT}: {chosen[key]} and {name} both set {key.dotted}"
                self._useless(ENVIRONMENT, twice, [key])
            else:
                chosen[key] = name
                self._add_value(ENVIRONMENT, key, value, name, parse=key.env_parse)

    def _add_value(
        self, where: Place, key: Key, value: object, what: str, *, parse: Parser | None = None
    ) -> None:
        try:
            parsed = (parse or key.parse)(value, what)
        except RuleError as error:
            named = error.message if what in error.message else f"{what}: {error.message}"
            self._useless(where, f"{where}: {named} ({error.hint})", [key])
            return
        if not key.merge:
            self.in_doubt.discard(key)
        self.values[key] = key.merge(self.values[key], parsed) if key.merge else parsed

    def check_joined(self) -> None:
        """Check tables again that were joined from several files; drop those that do not fit."""
        told_already = bool(self.faults)
        for key in (each for each in KEYS if each.merge):
            known = len(self.faults)
            self._add_value(JOINED, key, dict(self.values[key]), key.dotted)
            if len(self.faults) > known:
                self.values[key] = _defaults()[key]
            if told_already:
                del self.faults[known:]

    def _unknown(self, where: Place, what: str, word: str, known: Iterable[str]) -> str:
        """Note that a word is not known, and return what was probably meant; empty for nothing."""
        known = list(known)
        near = _near(word, known)
        advice = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
        told = f"{where}: {_named(what)} is not known; {advice}"
        self.faults.append(Fault(told=told, place=where, key=what.strip("[]")))
        return near[0] if near else ""


def _near(word: str, known: Sequence[str], *, cutoff: float = 0.6) -> list[str]:
    import difflib  # only a fault pays for it

    return difflib.get_close_matches(word, known, n=1, cutoff=cutoff)


@dataclass(frozen=True, slots=True)
class _Lines:
    """A file, and where its keys stand."""

    path: Path
    lines: Mapping[tuple[str, ...], int]

    def at(self, *keys: str) -> Place:
        return Place(file=str(self.path), line=line_of(self.lines, keys))


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


def _syntax_line(text: str, message: str) -> int | None:
    line = re.search(r"\(at line (\d+), column \d+\)$", message)
    end = text.rstrip().count("\n") + 1 if message.endswith("(at end of document)") else None
    return int(line[1]) if line else end


def _defaults() -> dict[Key, Any]:
    return {key: key.parse(key.default, key.dotted) for key in KEYS}


def _build(values: Mapping[Key, Any]) -> Config:
    given: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for key, value in values.items():
        own = given[key.section]
        if key.table:
            own[key.table] = {**own.get(key.table, {}), key.name: value}
        else:
            own[key.attribute] = value
    made: dict[str, Any] = {section: kind(**given[section]) for section, kind in SECTIONS.items()}
    return Config(**made)


def _config_error(faults: Sequence[str], example: str) -> ConfigError:
    several = len(faults) > 1
    return ConfigError(
        f"{len(faults)} faults in the configuration:" if several else faults[0],
        faults=tuple(faults) if several else (),
        hint=f"{example} lists every key and its default",
    )

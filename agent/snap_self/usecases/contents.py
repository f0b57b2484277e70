"""How files differ in their content, then and now, as unified diffs.

Only what is named is looked at: contents may hold secrets, and nobody is shown one unasked.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence

from snap_self.model.differences import Kind
from snap_self.model.looking import Content, Contents, Entry
from snap_self.ports_looking_back import Tree
from snap_self.recovery.contents import MOST_BYTES

MOST_LINES = 20_000
MOST_FILES = 1_000
MOST_DEPTH = 64
# A file with a NUL so early is no text, as grep(1) and git have it.
BEGIN = 8192


def compare_contents(then: Tree, now: Tree, paths: Sequence[str]) -> Contents:
    """Return how what is, or lies below, these paths differs in its content."""
    comparison = _Comparison(then, now)
    for path in paths:
        comparison.compare(path)
    return comparison.contents()


_EMPTY = "an empty file"
# Stands behind a last line without an end, and is no line itself.
_OPEN_END = "\n"
_Pair = tuple[Entry | None, Entry | None]


class _Comparison:
    """Walks two trees side by side."""

    def __init__(self, then: Tree, now: Tree) -> None:
        self._trees = (then, now)
        self._found: list[Content] = []
        self._notes: list[str] = []
        self._same = 0
        self._looked = 0
        self._full = False

    def contents(self) -> Contents:
        """Return what was found."""
        if self._full:
            self._notes.append(f"only the first {MOST_FILES} files were compared")
        return Contents(found=tuple(self._found), same=self._same, notes=tuple(self._notes))

    def compare(self, path: str, above: _Pair | None = None, depth: int = 0) -> None:
        """Compare what a path is in both trees.

        Args:
            above: the folder that it lies in, then and now; None for a path that was asked for.
        """
        if self._full:
            return
        try:
            then, now = (tree.look(path) for tree in self._trees)
            if then is None and now is None:
                self._notes.append(f"{path} is there neither then nor now")
            elif _is_folder(then) or _is_folder(now):
                self._folder(path, (then, now), above, depth)
            else:
                self._file(path, then, now)
        except OSError as error:
            self._leave_out(path, error.strerror or "it cannot be read")

    def _leave_out(self, path: str, why: str) -> None:
        self._notes.append(f"{path} was left out: {why}")

    def _not_read(self, path: str, entry: Entry) -> None:
        """Note a file too large to be read; what has no content needs no word."""
        if stat.S_ISREG(entry.mode):
            self._leave_out(path, f"more than {MOST_BYTES >> 20} MiB, and of the same size as then")

    def _folder(self, path: str, pair: _Pair, above: _Pair | None, depth: int) -> None:
        if not all(each is None or _is_folder(each) for each in pair):
            self._found.append(Content(path=path, kind=Kind.CHANGED, why="of another kind now"))
        elif above and any(map(_is_mounted, pair, above)):
            self._leave_out(path, "a filesystem of its own is mounted there")
        elif depth >= MOST_DEPTH:
            self._leave_out(path, "it lies too deep")
        else:
            listings = (
                tree.names(path) if entry else ()
                for tree, entry in zip(self._trees, pair, strict=True)
            )
            for name in sorted({name for names in listings for name in names}):
                self.compare(f"{path.rstrip('/')}/{name}", pair, depth + 1)

    def _file(self, path: str, then: Entry | None, now: Entry | None) -> None:
        if self._looked == MOST_FILES:
            self._full = True
            return
        self._looked += 1
        was, is_now = (
            _read(tree, path, entry) for tree, entry in zip(self._trees, (then, now), strict=True)
        )
        if then is not None and now is not None:
            if was == is_now and was is not None:
                self._same += 1
                return
            if was is is_now and _is_alike(then, now):
                self._not_read(path, then)
                return
        kind = Kind.NEW if then is None else Kind.GONE if now is None else Kind.CHANGED
        why = next((why for why in map(_why_unshown, (then, now), (was, is_now)) if why), "")
        lines = () if why else tuple(_unified(path, was, is_now))
        self._found.append(
            Content(path=path, kind=kind, lines=lines, why=why or ("" if lines else _EMPTY))
        )


def _is_folder(entry: Entry | None) -> bool:
    return entry is not None and stat.S_ISDIR(entry.mode)


def _is_mounted(entry: Entry | None, above: Entry | None) -> bool:
    return entry is not None and above is not None and entry.device != above.device


def _is_alike(then: Entry, now: Entry) -> bool:
    """Tell whether two that were not read are of one kind, and of one size if that says a thing."""
    if stat.S_IFMT(then.mode) != stat.S_IFMT(now.mode):
        return False
    return not stat.S_ISREG(now.mode) or then.size == now.size


def _read(tree: Tree, path: str, entry: Entry | None) -> bytes | None:
    """Return what a file holds, of a link where it leads; None where that is not to be shown."""
    if entry is None:
        return b""
    if stat.S_ISLNK(entry.mode):
        return os.fsencode(f"link to {entry.target}")
    if not stat.S_ISREG(entry.mode) or entry.size > MOST_BYTES:
        return None
    held = tree.read(path, MOST_BYTES)
    return held if len(held) <= MOST_BYTES else None


def _why_unshown(entry: Entry | None, held: bytes | None) -> str:
    if held is None:
        is_file = entry is not None and stat.S_ISREG(entry.mode)
        return f"more than {MOST_BYTES >> 20} MiB" if is_file else "no file"
    if b"\0" in held[:BEGIN]:
        return f"not text, {len(held)} bytes in one of the two"
    return f"more than {MOST_LINES} lines" if held.count(b"\n") > MOST_LINES else ""


def _unified(path: str, was: bytes | None, is_now: bytes | None) -> Iterator[str]:
    from difflib import unified_diff  # only who asks for a content waits for it

    then, now = _lines(was), _lines(is_now)
    for line in unified_diff(then, now, f"then{path}", f"now{path}", lineterm=""):
        yield line if line[1:] != _OPEN_END else "\\ No newline at end of file"


def _lines(held: bytes | None) -> list[str]:
    *lines, last = os.fsdecode(held or b"").split("\n")
    return [*lines, last, _OPEN_END] if last else lines

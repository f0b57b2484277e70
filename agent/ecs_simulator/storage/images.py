"""Sparse image files in the simulator's own folder: made, copied and cloned; holes are skipped."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from ecs_simulator.identifiers import check_id
from ecs_simulator.storage import kernel, own

GIB = 1 << 30


class Images:
    """The images in one folder, each named by the id of its disk or snapshot."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def path(self, name: str) -> Path:
        return self._place / _file_name(name)

    def has(self, name: str) -> bool:
        return os.path.lexists(self.path(name))

    def make(self, name: str, size_gib: int) -> None:
        """Make an empty image that takes up no room yet.

        Raises:
            OSError: there is something of that name.
        """
        with self.opened(name, os.O_RDWR | os.O_CREAT) as image:
            os.ftruncate(image, size_gib * GIB)

    @contextlib.contextmanager
    def opened(self, name: str, flags: int) -> Iterator[int]:
        """Give a descriptor of an image, which is never reached through a link."""
        with (
            own.folder(self._place) as folder,
            own.file(folder, _file_name(name), flags) as image,
        ):
            yield image

    def fill(self, name: str, source: Images, of: str) -> None:
        """Give an image another one's content and at least its size; made when it is missing."""
        made = 0 if self.has(name) else os.O_CREAT
        with (
            source.opened(of, os.O_RDONLY) as given,
            self.opened(name, os.O_RDWR | made) as image,
        ):
            duplicate(given, image)

    def remove(self, name: str) -> None:
        """Remove an image if it is there; if it is a link, remove the link."""
        with own.folder(self._place) as folder, contextlib.suppress(FileNotFoundError):
            os.unlink(_file_name(name), dir_fd=folder)


def _file_name(name: str) -> str:
    try:
        return f"{check_id(name, 'image')}.img"
    except ValueError as error:
        raise kernel.StorageError(str(error)) from error


def duplicate(source: int, target: int) -> None:
    """Give the target the source's content and at least its size; shared where that can be done."""
    size = max(os.fstat(source).st_size, os.fstat(target).st_size)
    if not kernel.clone(source, target):
        _copy_extents(source, target)
    os.ftruncate(target, size)


def _copy_extents(source: int, target: int) -> None:
    os.ftruncate(target, 0)
    os.ftruncate(target, os.fstat(source).st_size)
    place = 0
    while (begin := _next_data(source, place)) is not None:
        place = os.lseek(source, begin, os.SEEK_HOLE)
        _copy_range(source, target, begin=begin, end=place)


def _next_data(descriptor: int, place: int) -> int | None:
    try:
        return os.lseek(descriptor, place, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:  # nothing but a hole up to the end
            return None
        raise


def _copy_range(of: int, to: int, *, begin: int, end: int) -> None:
    while begin < end:
        done = os.copy_file_range(of, to, min(end - begin, GIB), begin, begin)
        if done == 0:
            return
        begin += done

"""Sparse image files: made, copied and cloned without their holes."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from ecs_simulator.storage import kernel

GIB = 1 << 30


def make_image(path: Path, size_gib: int) -> None:
    """Make an empty image that takes up no room yet."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(descriptor, size_gib * GIB)
    finally:
        os.close(descriptor)


def duplicate(source: Path, target: Path) -> None:
    """Give the target the source's content and at least its size; shared where that can be done."""
    size = max(source.stat().st_size, target.stat().st_size if target.exists() else 0)
    if not kernel.clone(source, target):
        _copy_extents(source, target)
    os.truncate(target, size)


def _copy_extents(source: Path, target: Path) -> None:
    with source.open("rb", buffering=0) as of, target.open("wb", buffering=0) as to:
        size = os.fstat(of.fileno()).st_size
        os.ftruncate(to.fileno(), size)
        place = 0
        while (begin := _next_data(of.fileno(), place)) is not None:
            place = os.lseek(of.fileno(), begin, os.SEEK_HOLE)
            _copy_range(of.fileno(), to.fileno(), begin=begin, end=place)


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

"""A small ext4 filesystem in memory, to test a freeze on."""

from __future__ import annotations

import os
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from snap_self.system.environment import program_environment
from snap_self.system.state.files import make_run_folder

_SIZE_BYTES = 16 << 20
_LIMIT_S = 20.0
_LOOP_MAJOR = 7


class LoopScratch:
    """The real ``ScratchFilesystem``: an image in a directory on tmpfs, mounted by a loop device.

    Args:
        directory: on tmpfs, for root only: ``/run/snap-self``.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._folder: Path | None = None

    def __enter__(self) -> str:
        """Make it, and check that it is its own loop mount, never the root filesystem."""
        make_run_folder(self._directory)
        self._folder = Path(tempfile.mkdtemp(prefix="selftest-", dir=self._directory))
        image, mounted = self._folder / "image", self._folder / "mounted"
        mounted.mkdir()
        try:
            with image.open("wb") as file:
                file.truncate(_SIZE_BYTES)
            _run("mkfs.ext4", "-q", "-F", str(image))
            _run("mount", "-o", "loop,nosuid,nodev,noexec", str(image), str(mounted))
            device = mounted.stat().st_dev
            if os.major(device) != _LOOP_MAJOR or device == Path("/").stat().st_dev:
                raise OSError(0, "the scratch filesystem is not on a loop device")
        except OSError:
            self.__exit__()
            raise
        return str(mounted)

    def __exit__(self, *error: object) -> None:
        """Unmount it, which frees the loop device too, and remove the image."""
        if self._folder is None:
            return
        mounted = self._folder / "mounted"
        if mounted.is_mount():
            _run("umount", str(mounted))
        (self._folder / "image").unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            mounted.rmdir()
        self._folder.rmdir()
        self._folder = None


def _run(*argv: str) -> None:
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
            cwd="/",
            env=program_environment(),
        )
    except subprocess.TimeoutExpired:
        raise OSError(0, f"{argv[0]} took longer than {_LIMIT_S:g} s") from None
    if done.returncode:
        raise OSError(0, f"{argv[0]}: {done.stderr.strip()}")

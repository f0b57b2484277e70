"""The process's own streams, as everything the command line says passes them."""

from __future__ import annotations

import io
import os
import sys
from dataclasses import dataclass
from typing import TextIO

from snap_self.output.streams import DataStream, Streams, make_streams
from snap_self.system.courtesy import CourtesyFile, courteous
from snap_self.system.terminal import columns_of


@dataclass(slots=True)
class _Messages:
    """Standard error as messages are written to it, once for the whole process."""

    of: TextIO
    stream: TextIO
    file: CourtesyFile | None


_MESSAGES: list[_Messages] = []


def console(*, verbosity: int = 0, json: bool = False) -> Streams:
    """Return standard output and standard error."""
    err = _messages().stream
    return make_streams(
        sys.stdout,
        err,
        env=os.environ,
        verbosity=verbosity,
        json=json,
        columns=columns_of(err, os.environ),
        out_columns=columns_of(sys.stdout, os.environ),
    )


def data_stream(stream: TextIO) -> TextIO:
    """Return standard output as a stream that tells a loss as such, whoever writes to it."""
    if isinstance(stream, DataStream) or not isinstance(stream, io.TextIOWrapper):
        return stream
    encoding, errors = stream.encoding, stream.errors
    return DataStream(stream.detach(), encoding=encoding, errors=errors)


def end_messages() -> None:
    """Let what is not written yet be read, for a while."""
    for messages in _MESSAGES:
        if messages.file:
            messages.file.finish()


def _messages() -> _Messages:
    if not _MESSAGES or _MESSAGES[-1].of is not sys.stderr:
        made = courteous(sys.stderr)
        stream, file = made or (sys.stderr, None)
        _MESSAGES[:] = [_Messages(sys.stderr, stream, file)]
    return _MESSAGES[-1]

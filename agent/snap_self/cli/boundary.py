"""The one place where failures become messages and exit statuses.

What only a failure needs is imported when there is one: ``--help`` is not to wait for it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from snap_self.errors import ExitStatus, SnapSelfError, UsageError
from snap_self.output.streams import OutputLost, Streams, make_streams

ENDED_BY_SIGNAL = "ended-by-signal"
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class Interrupted(BaseException):
    """A signal asked the process to end. Not an Exception, so that nothing swallows it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run_bounded(command: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    """Run a command line and return its exit status, whatever happens in it."""
    fill_standard_streams()
    for number in ENDING_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup(1)
            signal.signal(number, _interrupt)
    streams = _streams(arguments)
    try:
        status = command(arguments)
    except SnapSelfError as error:
        status = fail(streams, error)
    except Interrupted as interrupt:
        status = tell_interrupted(streams, interrupt.number)
        _leave(status)
    except OutputLost as lost:
        status = _lost(streams, lost)
    # The border: a parser's complaint, or a bug of ours, must end in a message and a status.
    except Exception as error:  # noqa: BLE001
        status = _foreign(streams, error)
    return _flush(status)


def fail(streams: Streams, error: SnapSelfError) -> int:
    """Say what failed in the form that was asked for, and return the exit status."""
    from snap_self.output.jsonform import dumps, fault_json
    from snap_self.output.text import write_error

    write_error(streams, error)
    if streams.json:
        try:
            streams.data(dumps(fault_json(error)))
        except OutputLost:
            _forget_stdout()
    return int(error.exit_status)


def tell_interrupted(streams: Streams, number: int) -> int:
    """Say that a signal ended the command, and return the exit status."""
    from snap_self.output.jsonform import dumps, fault_json

    status = 128 + number
    message = f"ended by {signal.Signals(number).name}"
    hint = (
        "what the cloud was asked for goes on, and the next snap-self command tells what became "
        "of it"
    )
    streams.fault(f"snap-self: {message}; {hint}")
    if streams.json:
        said = fault_json(SnapSelfError(message, hint=hint))
        said |= {"exit_status": status, "error": {**said["error"], "code": ENDED_BY_SIGNAL}}
        with suppress(OutputLost):
            streams.data(dumps(said))
    return status


def _lost(streams: Streams, lost: OutputLost) -> int:
    """Return the status of a command whose last words found no reader: never that of success."""
    _forget_stdout()
    if lost.reader_gone:
        return 128 + signal.SIGPIPE
    streams.fault(f"snap-self: standard output cannot be written: {lost.why}")
    streams.fault("  -> the command itself came to its end; `snap-self list` shows what was made")
    return int(ExitStatus.ENVIRONMENT)


def fill_standard_streams() -> None:
    """Open what the caller closed, or the next file opened would get what is printed.

    What stands for standard output refuses all that is written to it, so that this is noticed.
    """
    for descriptor, path in enumerate((os.devnull, "/dev/full", os.devnull)):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(path, os.O_RDWR)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
            os.set_inheritable(descriptor, True)
    # Python has no object for a stream that was closed when it started.
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)


def _interrupt(number: int, frame: FrameType | None) -> None:
    del frame
    # A second signal ends at once, also while something is waited for.
    signal.signal(number, signal.SIG_DFL)
    raise Interrupted(number)


def _leave(status: int) -> None:
    """End without waiting for calls that other threads still have under way."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    with suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(status)


def _foreign(streams: Streams, error: Exception) -> int:
    complaint = getattr(error, "format_message", None)
    if callable(complaint):
        usage = UsageError(str(complaint()), hint="`snap-self --help` shows what can be asked for")
        return fail(streams, usage)
    return _bug(streams, error)


def _bug(streams: Streams, error: Exception) -> int:
    where = write_details(error)
    bug = SnapSelfError(
        f"a bug in snap-self: {type(error).__name__}",
        hint=f"please report it with {where}",
    )
    return fail(streams, bug)


def write_details(error: Exception) -> str:
    """Write the traceback to a private file: code lines and types, no values of variables.

    The exception's own text stays out, since a foreign one may quote a signed URL.
    """
    import tempfile
    import traceback

    frames = traceback.format_list(traceback.extract_tb(error.__traceback__))
    text = "".join(frames) + f"{type(error).__module__}.{type(error).__name__}\n"
    try:
        handle, name = tempfile.mkstemp(prefix="snap-self-bug-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8") as details:
            details.write(text)
    except OSError:
        return f"these lines:\n{text}"
    return str(Path(name))


def _streams(arguments: Sequence[str]) -> Streams:
    """Return streams for faults met before the options are parsed."""
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    verbosity = int("--verbose" in own or "-v" in own)
    return make_streams(
        sys.stdout, sys.stderr, env=os.environ, verbosity=verbosity, json="--json" in own
    )


def _flush(status: int) -> int:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_stdout()
        return status or 128 + signal.SIGPIPE
    except (OSError, ValueError):
        # Standard output is closed or its disk is full: the reader must not take it for success.
        _forget_stdout()
        return status or int(ExitStatus.ENVIRONMENT)
    return status


def _forget_stdout() -> None:
    """Keep the interpreter from complaining about the dead stream when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

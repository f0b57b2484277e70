"""The one place where failures become messages and exit statuses.

What only a failure needs is imported when there is one: ``--help`` is not to wait for it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from snap_self.cli.console import console, data_stream, end_messages
from snap_self.cli.invocation import invocation
from snap_self.errors import EnvironmentFault, ExitStatus, SnapSelfError
from snap_self.model.asked import Asked
from snap_self.model.invocation import CHECK, RUN, SNAPSHOT
from snap_self.output.streams import OutputLost, Streams

if TYPE_CHECKING:
    from snap_self.model.report import Report

ENDED_BY_SIGNAL = "ended-by-signal"
# What a monitoring plugin ends with when it could not look; of https://www.monitoring-plugins.org.
PLUGIN_UNKNOWN = 3
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class Interrupted(BaseException):
    """A signal asked the process to end. Not an Exception, so that nothing swallows it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run_bounded(
    command: Callable[[Sequence[str]], int], arguments: Sequence[str], early: Sequence[int] = ()
) -> int:
    """Run a command line and return its exit status, whatever happens in it.

    Args:
        early: signals that came before.
    """
    fill_standard_streams()
    for number in ENDING_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup(1)
            signal.signal(number, _interrupt)
    try:
        for came in early:
            _interrupt(came, None)
        status = command(arguments)
    except Interrupted as interrupt:
        makes = invocation().command in (SNAPSHOT, RUN)
        asked = Asked.NOTHING if makes and not _BEGUN else None
        status = tell_interrupted(_streams(), interrupt.number, _own(), asked=asked)
        leave(_own_status(status))
    # The border: a parser's complaint, or a bug of ours, must end in a message and a status.
    except Exception as error:  # noqa: BLE001
        status = _own_status(tell(_streams(), error, _own()))
    return _flush(status)


def note_session() -> None:
    """Note that a command has begun to work: from now on it knows what it has asked for."""
    _BEGUN.append(True)


_BEGUN: list[bool] = []


def note_left(lines: Callable[[], Sequence[str]]) -> None:
    """Note what tells, at the end of the process, what earlier commands left that costs money."""
    _LEFT[:] = [lines]


_LEFT: list[Callable[[], Sequence[str]]] = []


def _say_left(status: int) -> None:
    """Say it as the last words; not again where they were those of the command itself."""
    for lines in _LEFT if status != ExitStatus.DISK_LEFT else ():
        # How to speak is read from the command line once more, which takes a while.
        if told := lines():
            _streams().fault(*told)
    _LEFT.clear()


def _own_status(status: int) -> int:
    """Return a failure's status: whoever starts a command has one for all failures of its own."""
    return _STATUS_OF_ALL.get(invocation().command, status) if status else status


def _own() -> Mapping[str, object]:
    status = _STATUS_OF_ALL.get(invocation().command)
    return {} if status is None else {"exit_status": status}


_STATUS_OF_ALL = {RUN: int(ExitStatus.NOT_STARTED), CHECK: PLUGIN_UNKNOWN}


def tell(streams: Streams, error: Exception, more: Mapping[str, object] | None = None) -> int:
    """Say what ended a command, whatever it was, and return the exit status.

    Args:
        more: what the JSON object has beyond the fault.
    """
    if isinstance(error, SnapSelfError):
        return fail(streams, error, more)
    if isinstance(error, OutputLost):
        return _lost(streams, error)
    return fail(streams, _foreign(error), more)


def fail(streams: Streams, error: SnapSelfError, more: Mapping[str, object] | None = None) -> int:
    """Say what failed in the form that was asked for, and return the exit status."""
    from snap_self.output.jsonform import fault_json, write_json
    from snap_self.output.text import write_error

    if not streams.json and invocation().command == CHECK:
        _say_plugin(streams, " ".join(line.strip() for line in error.lines), error.hint)
        return int(error.exit_status)
    write_error(streams, error)
    if streams.json:
        try:
            write_json(streams, {**fault_json(error, invocation()), **(more or {})})
        except OutputLost:
            forget_stdout()
    return int(error.exit_status)


def _say_plugin(streams: Streams, message: str, hint: str = "") -> None:
    """Say it on standard output: whoever started a monitoring plugin reads nothing else."""
    from snap_self.output.checked import fault_line

    try:
        streams.data(fault_line(message, hint))
    except OutputLost:
        forget_stdout()


def tell_interrupted(
    streams: Streams,
    number: int,
    more: Mapping[str, object] | None = None,
    *,
    asked: Asked | None = None,
    cut_short: Report | None = None,
) -> int:
    """Say that a signal ended the command, and what was asked of the cloud by then.

    Returns the exit status.

    Args:
        more: what the JSON object has beyond the fault.
        asked: what had been asked for; None for a command that asks for no snapshot.
        cut_short: the report of the run, if it had asked the cloud for something.
    """
    from snap_self.output.interrupted import interrupted_json, interrupted_lines
    from snap_self.output.jsonform import write_json

    _give_up_what_would_wait()
    status, name = 128 + number, signal.Signals(number).name
    if not streams.json and invocation().command == CHECK:
        _say_plugin(streams, f"ended by {name}")
    else:
        streams.fault(*interrupted_lines(name, asked, cut_short))
    if streams.json:
        said = interrupted_json(name, invocation(), asked, cut_short)
        said |= {"exit_status": status, "error": {**said["error"], "code": ENDED_BY_SIGNAL}}
        said |= more or {}
        with suppress(OutputLost):
            write_json(streams, said)
    return status


def _lost(streams: Streams, lost: OutputLost) -> int:
    """Return the status of a command whose last words found no reader: never that of success."""
    forget_stdout()
    if lost.reader_gone:
        return 128 + signal.SIGPIPE
    streams.fault(f"snap-self: standard output cannot be written: {why_lost(lost)}")
    return int(ExitStatus.ENVIRONMENT)


def why_lost(lost: OutputLost) -> str:
    """Return why standard output takes nothing; of what stands for a closed one, that it does."""
    return "it is closed" if _CLOSED else lost.why


_CLOSED: list[int] = []


def fill_standard_streams() -> None:
    """Open what the caller closed, or the next file opened would get what is printed.

    What stands for standard output refuses all that is written to it, so that this is noticed.
    """
    for descriptor, path in enumerate((os.devnull, "/dev/full", os.devnull)):
        try:
            os.fstat(descriptor)
        except OSError:
            _CLOSED.extend([descriptor] if descriptor == 1 else [])
            opened = os.open(path, os.O_RDWR)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
            os.set_inheritable(descriptor, True)
    # Python has no object for a stream that was closed when it started.
    sys.stdin = sys.stdin or os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)
    # Python itself looks for its descriptor there too, as for a child with both streams in one.
    sys.stdout = sys.__stdout__ = data_stream(sys.stdout)  # type: ignore[assignment,misc]


def _interrupt(number: int, frame: FrameType | None) -> None:
    del frame
    # A second signal ends at once, also while something is waited for.
    signal.signal(number, signal.SIG_DFL)
    raise Interrupted(number)


def leave(status: int) -> NoReturn:
    """End without waiting for calls that other threads still have under way."""
    _say_left(status)
    end_messages()
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    with suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(status)


def _foreign(error: Exception) -> SnapSelfError:
    if callable(getattr(error, "format_message", None)):
        from snap_self.cli.misspelt import complaint

        return complaint(error)
    if _lacks_memory_or_thread(error):
        return EnvironmentFault(
            "this machine gives snap-self no more memory or threads",
            hint="raise the limits it was started with (`ulimit -v`, `ulimit -u`; in a systemd "
            "unit MemoryMax=, TasksMax=, LimitAS=, LimitNPROC=), or free some",
        )
    where = write_details(error)
    return SnapSelfError(
        f"a bug in snap-self: {type(error).__name__}",
        hint=f"please report it with {where}",
    )


def _lacks_memory_or_thread(error: Exception) -> bool:
    """Tell whether the kernel refused memory or a thread; Python has a class only for the first."""
    import threading

    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    no_thread = last is not None and last.tb_frame.f_code is threading.Thread.start.__code__
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and no_thread)


def write_details(error: Exception) -> str:
    """Write the traceback to a private file: code lines and types, no values of variables.

    The exception's own text stays out, since a foreign one may quote a signed URL.
    """
    import traceback

    from snap_self.system.state.bug_files import write_bug

    frames = traceback.format_list(traceback.extract_tb(error.__traceback__))
    lines = [*"".join(frames).splitlines(), f"{type(error).__module__}.{type(error).__name__}"]
    try:
        return str(write_bug(_state_folder(), "".join(f"{line}\n" for line in lines)))
    except OSError:
        return f"these lines: {' | '.join(line.strip() for line in lines)}"


def _state_folder() -> Path:
    from snap_self.cli.wiring import load_settings
    from snap_self.config.load import default_config

    try:
        return load_settings(os.environ).state.dir
    # What is wrong may be the configuration, or the code that reads it.
    except Exception:  # noqa: BLE001
        return default_config().state.dir


def _streams() -> Streams:
    """Return streams for faults met before the options are parsed."""
    asked = invocation()
    return console(verbosity=asked.verbosity, json=asked.json)


def _flush(status: int) -> int:
    _say_left(status)
    end_messages()
    try:
        sys.stdout.flush()
    except OutputLost as lost:
        forget_stdout()
        # The reader must not take it for success.
        failed = 128 + signal.SIGPIPE if lost.reader_gone else int(ExitStatus.ENVIRONMENT)
        return status or (PLUGIN_UNKNOWN if invocation().command == CHECK else failed)
    return status


def _give_up_what_would_wait() -> None:
    """Let go of standard output if its reader does not read: an end is not to wait for that.

    What was cut off by the signal is still in a buffer, and would be written on the way out.
    """
    import select

    waiting = select.poll()
    waiting.register(1, select.POLLOUT)
    if not any(event & select.POLLOUT for _, event in waiting.poll(0)):
        forget_stdout()


def forget_stdout() -> None:
    """Keep the interpreter from complaining about the dead stream when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

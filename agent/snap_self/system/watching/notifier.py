"""Start the processes that tell people what happened; nobody waits for them.

Every run calls this, and most have nobody to tell: nothing is imported before that is known.
"""

from __future__ import annotations

import os

from snap_self.notifying.sinks import sinks_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from snap_self.config.settings import NotifySettings
    from snap_self.model.occurrences import Occurrence

# The hidden option with which our own command reads what happened.
ARGUMENTS = ("notify", "--occurrences")


class Notifiers:
    """Implement ``ports_watching.Notifier``.

    A process tells nothing before the one that was started before it has ended: a begin that comes
    after its end would be a run that goes on for ever.

    Args:
        env: the processes' environment; they read the configuration anew.
    """

    def __init__(self, settings: NotifySettings, env: Mapping[str, str]) -> None:
        self._settings = settings
        self._env = env
        # The end of a pipe that ends when the last one started does.
        self._last: int | None = None

    def __call__(self, happened: Sequence[Occurrence], /) -> None:
        """Have people told what happened, as far as the configuration wants it.

        It returns as soon as the process runs, and raises nothing. Where that cannot be started,
        the system's log tells.
        """
        wanted = [each for each in happened if sinks_of(each.kind, self._settings)]
        if not wanted:
            return
        try:
            before, self._last = self._last, _start(wanted, self._env, self._last)
        except (OSError, ValueError, MemoryError) as error:
            from snap_self.system.system_log import write_notice

            write_notice(f"notify: could not be started: {type(error).__name__}")
        else:
            if before is not None:
                os.close(before)

    def wait(self, limit_s: float) -> None:
        """Wait until the last one started has ended; no longer than that."""
        if self._last is not None:
            import select

            poll = select.poll()
            poll.register(self._last, select.POLLIN)
            poll.poll(limit_s * 1000)


def _start(happened: Sequence[Occurrence], env: Mapping[str, str], after: int | None) -> int:
    """Start one; return the end of a pipe that ends with it.

    It has none of our terminal, group, streams and other descriptors.

    A package manager waits for every process that still holds the pipes of its hooks. And where a
    service ends with this process, systemd sends SIGTERM to all that is left of it, maybe before
    that process can say that it wants none: so it is born with the signal blocked.
    """
    import json
    import signal
    import subprocess

    from snap_self.model.notifying import Handed
    from snap_self.system.commands import ready_to_read
    from snap_self.system.let_go import let_go
    from snap_self.system.python_child import child_command
    from snap_self.system.state.plainform import to_plain

    text = json.dumps(to_plain(Handed(happened=tuple(happened), after=after)))
    ended, running = os.pipe()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGHUP))
    try:
        with ready_to_read(text.encode()) as stdin:
            process = subprocess.Popen(
                child_command(ARGUMENTS),
                stdin=stdin,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                close_fds=True,
                pass_fds=(running,) if after is None else (running, after),
                start_new_session=True,
                cwd="/",
                env=dict(env),
            )
    except (OSError, ValueError, MemoryError):
        os.close(ended)
        raise
    finally:
        os.close(running)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    let_go(process)
    return ended

"""Start the process that tells people what happened; nobody waits for it.

Every run calls this, and most have nobody to tell: nothing is imported before that is known.
"""

from __future__ import annotations

from snap_self.notifying.sinks import sinks_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from snap_self.config.settings import NotifySettings
    from snap_self.model.occurrences import Occurrence

# The hidden option with which our own command reads what happened.
ARGUMENTS = ("notify", "--occurrences")


def start_notifier(
    occurrences: Sequence[Occurrence], settings: NotifySettings, env: Mapping[str, str]
) -> None:
    """Have people told what happened, as far as the configuration wants it.

    It returns as soon as the process runs, and raises nothing. Where that cannot be started, the
    system's log tells.

    Args:
        env: the process's environment; it reads the configuration anew.
    """
    wanted = [each for each in occurrences if sinks_of(each.kind, settings)]
    if not wanted:
        return
    try:
        _start(wanted, env)
    except (OSError, ValueError, MemoryError) as error:
        from snap_self.system.system_log import write_notice

        write_notice(f"notify: could not be started: {type(error).__name__}")


def _start(occurrences: Sequence[Occurrence], env: Mapping[str, str]) -> None:
    """Start it without our terminal, group, streams or other descriptors.

    A package manager waits for every process that still holds the pipes of its hooks. And where a
    service ends with this process, systemd sends SIGTERM to all that is left of it, maybe before
    that process can say that it wants none: so it is born with the signal blocked.
    """
    import json
    import signal
    import subprocess

    from snap_self.system.commands import ready_to_read
    from snap_self.system.python_child import child_command
    from snap_self.system.state.plainform import to_plain

    text = json.dumps(to_plain(tuple(occurrences)))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGHUP))
    try:
        with ready_to_read(text.encode()) as stdin:
            process = subprocess.Popen(
                child_command(ARGUMENTS),
                stdin=stdin,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                close_fds=True,
                start_new_session=True,
                cwd="/",
                env=dict(env),
            )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    # It outlives this process, which never waits for it; Popen must not warn about that.
    process.returncode = 0

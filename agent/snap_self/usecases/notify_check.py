"""Whether what `[notify]` names can be used, without telling anybody anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from snap_self.config.settings import NotifySettings
from snap_self.model.notifying import Robot, SecretFault, Sink
from snap_self.notifying.robots import SIGNED
from snap_self.notifying.sinks import configured
from snap_self.notifying.urls import check_url
from snap_self.usecases.doctor import Finding, Verdict
from snap_self.usecases.notify import robot_secret, robot_url

CHECK = "notify"


def check_notify(
    settings: NotifySettings,
    read_secret: Callable[[str], str],
    check_program: Callable[[Sequence[str]], object],
) -> Iterator[Finding]:
    """Yield what stands in the way of telling people; nothing where nobody is to be told.

    Args:
        check_program: raises OSError where root may not run the command.
    """
    found = list(_faults(settings, read_secret, check_program))
    for text, hint in found:
        yield Finding(check=CHECK, verdict=Verdict.WARN, text=text, hint=hint)
    told = [_named(sink, settings) for sink in configured(settings)]
    if told and not found:
        unsigned = settings.robot in SIGNED and not settings.robot_secret_file
        signature = "; the robot's messages are not signed" if unsigned else ""
        text = f"{', '.join(told)} can be told{signature}; `snap-self notify --test` tries it"
        yield Finding(check=CHECK, verdict=Verdict.OK, text=text)


def _faults(
    settings: NotifySettings,
    read_secret: Callable[[str], str],
    check_program: Callable[[Sequence[str]], object],
) -> Iterator[tuple[str, str]]:
    if settings.ping_url_file:
        path = settings.ping_url_file
        yield from _fault(lambda: check_url(read_secret(path), path))
    if settings.robot is not Robot.NONE:
        yield from _fault(lambda: robot_url(settings, read_secret))
        yield from _fault(lambda: robot_secret(settings, read_secret))
    elif settings.robot_url_file or settings.robot_secret_file:
        yield (
            "notify.robot is empty, so no robot is told anything",
            "write dingtalk, feishu or wecom, or take the robot's files out",
        )
    if settings.command:
        try:
            check_program(settings.command)
        except OSError as error:
            yield (
                f"notify.command is not run: {error.strerror or error}",
                "name a program by its absolute path that root alone can change",
            )


def _fault(read: Callable[[], object]) -> Iterator[tuple[str, str]]:
    try:
        read()
    except SecretFault as fault:
        yield fault.message, fault.hint


def _named(sink: Sink, settings: NotifySettings) -> str:
    return {
        Sink.PING: "a ping URL",
        Sink.ROBOT: f"a {settings.robot.value} robot",
        Sink.COMMAND: "a command",
    }[sink]

"""Tell people what happened: each in a set time, and none in another's way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from snap_self.config.settings import NotifySettings
from snap_self.model.notifying import (
    SINK_S,
    Delivery,
    Notice,
    Outcome,
    Pace,
    Robot,
    SecretFault,
    Sink,
)
from snap_self.notifying.message import message
from snap_self.notifying.pacing import Turn, take_turn, turn_lost
from snap_self.notifying.program import variables
from snap_self.notifying.robots import (
    MOST_BYTES,
    Meaning,
    RobotAnswer,
    read_answer,
    robot_post,
)
from snap_self.notifying.sinks import PING_ENDS, PING_TEST_END, configured, sinks_of
from snap_self.notifying.urls import check_url, with_end
from snap_self.ports import (
    Clock,
    HttpFailed,
    HttpRequest,
    HttpTransport,
    NoticePace,
    NoticeProgram,
)

_LEAST_S = 0.2
# Of a ping's body and of what a command finds in its environment.
MOST_MESSAGE_BYTES = 8192
OK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyTools:
    """What people are told with.

    Args:
        host: this machine's own name.
        read_secret: returns the one line of a private file; raises ``SecretFault``.
        transport: makes the HTTP client, which takes a while.
        as_json: returns what a command gets of a notice.
    """

    clock: Clock
    host: str
    read_secret: Callable[[str], str]
    transport: Callable[[], HttpTransport]
    run_program: NoticeProgram
    pace: NoticePace
    as_json: Callable[[Notice], object]


def notify(
    notices: Sequence[Notice], settings: NotifySettings, tools: NotifyTools
) -> tuple[Delivery, ...]:
    """Tell everybody what the configuration has them told, and return what became of it."""
    telling = _Telling(settings, tools)
    made: list[Delivery] = []
    for sink in configured(settings):
        wanted = [each for each in notices if each.test or sink in _told(each, settings)]
        if wanted:
            made += telling.tell(sink, wanted)
    return tuple(made)


def _told(notice: Notice, settings: NotifySettings) -> tuple[Sink, ...]:
    return sinks_of(notice.occurrence.kind, settings)


class _NoTime(Exception):
    """The time of one of them is used up."""


@dataclass(slots=True)
class _Telling:
    settings: NotifySettings
    tools: NotifyTools
    until: float = 0.0

    def tell(self, sink: Sink, notices: Sequence[Notice]) -> Iterator[Delivery]:
        """Tell one of them all that is for it."""
        self.until = self.tools.clock.monotonic() + SINK_S
        # A robot gets one message of them all, which is called as the first of them.
        for each in (notices,) if sink is Sink.ROBOT else tuple((one,) for one in notices):
            try:
                yield self._by[sink](each)
            except _NoTime:
                why = f"no time was left of its {SINK_S:g} s"
                yield _failed(sink, each[0].event, why)

    @property
    def _by(self) -> Mapping[Sink, Callable[[Sequence[Notice]], Delivery]]:
        return {
            Sink.ROBOT: self._by_robot,
            Sink.PING: lambda each: self._by_ping(each[0]),
            Sink.COMMAND: lambda each: self._by_program(each[0]),
        }

    def _left_s(self) -> float:
        left_s = self.until - self.tools.clock.monotonic()
        if left_s < _LEAST_S:
            raise _NoTime
        return left_s

    def _by_ping(self, notice: Notice) -> Delivery:
        """Ping a URL, with the text as the body."""
        path = self.settings.ping_url_file
        end = PING_TEST_END if notice.test else PING_ENDS[notice.occurrence.kind]
        text = message([notice], self.tools.host, Pace(), MOST_MESSAGE_BYTES)
        if notice.occurrence.result:
            text += f"\nResult: {notice.occurrence.result}"
        try:
            url = with_end(check_url(self.tools.read_secret(path), path), end)
            status, _ = self._post(url, text.encode("utf-8", "replace"), "text/plain")
        except SecretFault as fault:
            return _failed(Sink.PING, notice.event, fault.message, fault.hint)
        except HttpFailed as failed:
            return _failed(Sink.PING, notice.event, failed.reason, failed.hint)
        if 200 <= status < 300:
            return Delivery(sink=Sink.PING, event=notice.event, outcome=Outcome.SENT, status=status)
        hint = _PING_HINTS.get(status, "")
        return _failed(Sink.PING, notice.event, _status_words(status), hint, status=status)

    def _by_program(self, notice: Notice) -> Delivery:
        """Run the command, with the notice as JSON to read."""
        text = message([notice], self.tools.host, Pace(), MOST_MESSAGE_BYTES)
        event = notice.event
        try:
            status = self.tools.run_program(
                self.settings.command,
                variables=variables(notice, self.tools.host, text),
                stdin=f"{json.dumps(self.tools.as_json(notice))}\n".encode(),
                timeout_s=self._left_s(),
            )
        except TimeoutError:
            why = f"it did not end within {SINK_S:g} s and was killed, with all of its group"
            return _failed(Sink.COMMAND, event, why)
        except OSError as error:
            return _failed(Sink.COMMAND, event, f"it is not run: {error.strerror or error}")
        if status == 0:
            return Delivery(sink=Sink.COMMAND, event=event, outcome=Outcome.SENT, status=0)
        how = f"it was ended by signal {-status}" if status < 0 else f"it ended with {status}"
        hint = "what it prints is not kept, as it may be secret: run it by hand to see it"
        return _failed(Sink.COMMAND, event, how, hint, status=status)

    def _by_robot(self, notices: Sequence[Notice]) -> Delivery:
        """Give the robot one message about all of them, if it may have one now."""
        events = [each.event for each in notices]
        turn = self._take_turn(notices)
        if not turn.granted:
            return Delivery(
                sink=Sink.ROBOT,
                event=events[0],
                outcome=Outcome.HELD_BACK,
                why="a message was sent less than ten minutes ago; the next one tells of it",
            )
        try:
            answer, status = self._ask_robot(notices, turn.told)
        except SecretFault as fault:
            self._lose_turn(turn, notices)
            return _failed(Sink.ROBOT, events[0], fault.message, fault.hint)
        except HttpFailed as failed:
            self._lose_turn(turn, notices)
            return _failed(Sink.ROBOT, events[0], failed.reason, failed.hint)
        except _NoTime:
            self._lose_turn(turn, notices)
            raise
        if answer.meaning is not Meaning.TAKEN:
            self._lose_turn(turn, notices, muted=answer.meaning is Meaning.LIMITED)
        return Delivery(
            sink=Sink.ROBOT,
            event=events[0],
            outcome=Outcome.SENT if answer.meaning is Meaning.TAKEN else Outcome.FAILED,
            status=status,
            answer=answer.code,
            why=answer.why,
            hint=answer.hint,
        )

    def _ask_robot(self, notices: Sequence[Notice], told: Pace) -> tuple[RobotAnswer, int]:
        settings, tools = self.settings, self.tools
        url = robot_url(settings, tools.read_secret)
        secret = robot_secret(settings, tools.read_secret)
        text = message(notices, tools.host, told, MOST_BYTES[settings.robot])
        post = robot_post(settings.robot, url, secret, text, tools.clock.now())
        status, body = self._post(post.url, post.body, "application/json; charset=utf-8")
        if status == OK:
            return read_answer(settings.robot, body), status
        meaning = Meaning.LIMITED if status == 429 else Meaning.UNCLEAR
        return RobotAnswer(meaning=meaning, why=_status_words(status)), status

    def _post(self, url: str, body: bytes, kind: str) -> tuple[int, bytes]:
        """Return the HTTP status and the body of the answer.

        Raises:
            HttpFailed: there was none in time; only its ``reason`` holds nothing of the URL.
        """
        left_s = self._left_s()
        answer = self.tools.transport().send(
            HttpRequest(
                method="POST",
                url=url,
                headers={"Content-Type": kind},
                body=body,
                timeout_s=left_s,
                total_s=left_s,
            )
        )
        return answer.status, answer.body

    def _take_turn(self, notices: Sequence[Notice]) -> Turn:
        """Take a turn; a test has one always, and takes nobody's."""
        made = [Turn(granted=True, told=Pace(), pace=Pace())]
        events, now = [each.event for each in notices], self.tools.clock.now()

        def take(pace: Pace) -> Pace:
            made[:] = [take_turn(pace, events, now)]
            return made[0].pace

        if not any(each.test for each in notices):
            self._change_pace(take)
        return made[0]

    def _lose_turn(self, turn: Turn, notices: Sequence[Notice], *, muted: bool = False) -> None:
        if any(each.test for each in notices):
            return
        events, now = [each.event for each in notices], self.tools.clock.now()
        self._change_pace(lambda pace: turn_lost(pace, turn, events, now, muted=muted))

    def _change_pace(self, change: Callable[[Pace], Pace]) -> None:
        try:
            self.tools.pace.change(change)
        except OSError:
            # Nobody would be told that a machine is so ill; the vendor's own limit holds too.
            return


def robot_url(settings: NotifySettings, read_secret: Callable[[str], str]) -> str:
    """Return the robot's URL.

    Raises:
        SecretFault: there is none that can be used.
    """
    path = settings.robot_url_file
    if not path:
        raise SecretFault(
            f"notify.robot is {settings.robot.value}, and notify.robot_url_file is empty",
            hint="name the file with the robot's URL",
        )
    return check_url(read_secret(path), path)


def robot_secret(settings: NotifySettings, read_secret: Callable[[str], str]) -> str:
    """Return what messages are signed with; empty where the robot wants no signature.

    Raises:
        SecretFault: it cannot be read, or a WeCom robot is to have one.
    """
    path = settings.robot_secret_file
    if path and settings.robot is Robot.WECOM:
        raise SecretFault(
            "notify.robot_secret_file is set, and a WeCom robot has no secret beside its URL",
            hint="leave it empty, or see that notify.robot is right",
        )
    return read_secret(path) if path else ""


def _failed(
    sink: Sink, event: str, why: str, hint: str = "", *, status: int | None = None
) -> Delivery:
    return Delivery(
        sink=sink, event=event, outcome=Outcome.FAILED, status=status, why=why, hint=hint
    )


def _status_words(status: int) -> str:
    if 300 <= status < 400:
        return f"it answered with a redirect (HTTP status {status}), and none is followed"
    return f"it answered with HTTP status {status}"


_PING_HINTS = {404: "see that the file has the URL of a check that is there still"}

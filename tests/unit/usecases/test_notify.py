"""Everybody is told what the configuration says, within a set time, and none in another's way."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from fakes.chat_robots import ChatRobot, DingTalk, Feishu, WeCom
from fakes.clock import START, FakeClock
from fakes.http import FakeTransport, Handler, answer, nobody
from fakes.notifying import FakePace, FakeProgram
from snap_self.config.load import default_config
from snap_self.config.settings import NotifySettings
from snap_self.model.notifying import (
    ALL_S,
    SINK_S,
    Delivery,
    Notice,
    Outcome,
    Robot,
    SecretFault,
    Sink,
)
from snap_self.model.occurrences import Occasion, Occurrence
from snap_self.output.notified import log_line
from snap_self.output.occurrences import occurrence_json
from snap_self.ports import HttpRequest, HttpResponse
from snap_self.usecases.notify import NotifyTools, notify

SERVER = "https://robots.example"
PING = f"{SERVER}/t0ken/ping"
FAILED = Occurrence(kind=Occasion.FAILED, at=START, text="the cloud refused", run_id="R1")
NOBODY = default_config().notify
BY_PING = replace(NOBODY, ping_url_file="/ping")
BY_PROGRAM = replace(NOBODY, command=("/bin/tell", "us"))


def by_robot(kind: ChatRobot) -> NotifySettings:
    names = {DingTalk: Robot.DINGTALK, Feishu: Robot.FEISHU, WeCom: Robot.WECOM}
    secret = "/secret" if kind.secret else ""
    return replace(
        NOBODY, robot=names[type(kind)], robot_url_file="/robot", robot_secret_file=secret
    )


@dataclass
class Rig:
    """What people are told with, of which a test keeps what it needs."""

    handler: Handler = lambda request: answer("OK")
    secrets: dict[str, str] = field(default_factory=lambda: {"/ping": PING})
    clock: FakeClock = field(default_factory=FakeClock)
    program: FakeProgram = field(default_factory=FakeProgram)
    pace: FakePace = field(default_factory=FakePace)
    clients: int = 0
    reading_s: float = 0.0

    def __post_init__(self) -> None:
        self.transport = FakeTransport(self.handler)

    def client(self) -> FakeTransport:
        self.clients += 1
        return self.transport

    def read_secret(self, path: str) -> str:
        self.clock.advance(self.reading_s)
        if path not in self.secrets:
            raise SecretFault(f"{path} cannot be read", hint="write it")
        return self.secrets[path]

    def tell(
        self, settings: NotifySettings, *kinds: Occasion, test: bool = False
    ) -> tuple[Delivery, ...]:
        tools = NotifyTools(
            clock=self.clock,
            host="web-1",
            read_secret=self.read_secret,
            transport=self.client,
            run_program=self.program,
            pace=self.pace,
            as_json=lambda notice: occurrence_json(notice.occurrence),
        )
        notices = [Notice(occurrence=replace(FAILED, kind=kind), test=test) for kind in kinds]
        return notify(notices, settings, tools)


def robot_rig(kind: ChatRobot) -> Rig:
    return Rig(
        handler=kind, secrets={"/robot": kind.url(SERVER), "/secret": kind.secret, "/ping": PING}
    )


ROBOTS: tuple[Callable[[], ChatRobot], ...] = (
    lambda: DingTalk(token="t0ken", secret="s3cret", now=START.timestamp),
    lambda: Feishu(token="t0ken", secret="s3cret", now=START.timestamp),
    lambda: WeCom(token="t0ken", now=START.timestamp),
)


@pytest.mark.parametrize("make", ROBOTS)
def test_robot_gets_the_text(make: Callable[[], ChatRobot]) -> None:
    kind = make()
    (made,) = robot_rig(kind).tell(by_robot(kind), Occasion.FAILED)
    assert (made.sink, made.outcome, made.status, made.answer) == (
        *(Sink.ROBOT, Outcome.SENT, 200),
        0,
    )
    assert "the cloud refused" in kind.texts[0]
    assert "web-1" in kind.texts[0]


@pytest.mark.parametrize("make", ROBOTS)
def test_second_message_is_held_back_and_the_third_tells_of_it(
    make: Callable[[], ChatRobot],
) -> None:
    kind = make()
    rig, settings = robot_rig(kind), by_robot(kind)
    kind.now = lambda: rig.clock.now().timestamp()
    rig.tell(settings, Occasion.FAILED)
    (held,) = rig.tell(settings, Occasion.ASKED)
    rig.clock.advance(600)
    rig.tell(settings, Occasion.FAILED)
    assert held.outcome is Outcome.HELD_BACK
    assert len(kind.texts) == 2
    assert "1 more" in kind.texts[1]
    assert "1 asked" in kind.texts[1]


@pytest.mark.parametrize("make", ROBOTS)
def test_robot_that_takes_no_more_is_not_asked_again_soon(make: Callable[[], ChatRobot]) -> None:
    kind = make()
    kind.a_minute = 0
    rig, settings = robot_rig(kind), by_robot(kind)
    (refused,) = rig.tell(settings, Occasion.FAILED)
    (held,) = rig.tell(settings, Occasion.FAILED)
    assert (refused.outcome, refused.answer) == (Outcome.FAILED, kind.limited)
    assert held.outcome is Outcome.HELD_BACK
    assert len(rig.transport.requests) == 1


def test_refused_message_takes_no_turn_and_is_told_of_by_the_next() -> None:
    kind = DingTalk(token="t0ken", secret="s3cret", now=START.timestamp)
    rig, settings = robot_rig(kind), by_robot(kind)
    rig.secrets["/secret"] = "wrong"
    (refused,) = rig.tell(settings, Occasion.FAILED)
    rig.secrets["/secret"] = "s3cret"
    rig.tell(settings, Occasion.FROZEN)
    assert (refused.outcome, refused.answer) == (Outcome.FAILED, 310000)
    assert "1 failed" in kind.texts[0]


def test_several_occurrences_are_one_message_of_a_robot() -> None:
    kind = WeCom(token="t0ken")
    made = robot_rig(kind).tell(by_robot(kind), Occasion.FAILED, Occasion.FROZEN, Occasion.MADE)
    assert len(made) == len(kind.texts) == 1
    assert "FROZEN" in kind.texts[0]


def test_robot_is_told_although_nothing_can_be_remembered() -> None:
    kind = WeCom(token="t0ken")
    rig = robot_rig(kind)
    rig.pace.fault = OSError(30, "Read-only file system")
    (made,) = rig.tell(by_robot(kind), Occasion.FAILED)
    assert made.outcome is Outcome.SENT


def test_test_message_is_sent_whenever_and_takes_nobodys_turn() -> None:
    kind = WeCom(token="t0ken")
    rig, settings = robot_rig(kind), by_robot(kind)
    rig.tell(settings, Occasion.FAILED)
    before = rig.pace.pace
    (made,) = rig.tell(settings, Occasion.BEGUN, test=True)
    assert made.outcome is Outcome.SENT
    assert rig.pace.pace == before


@pytest.mark.parametrize(
    ("kind", "end"),
    [
        (Occasion.BEGUN, "/start"),
        (Occasion.MADE, ""),
        (Occasion.REUSED, ""),
        (Occasion.FAILED, "/fail"),
        (Occasion.UNPROTECTED, "/fail"),
        (Occasion.FROZEN, "/fail"),
    ],
)
def test_ping_goes_to_the_url_of_what_happened(kind: Occasion, end: str) -> None:
    rig = Rig()
    (made,) = rig.tell(BY_PING, kind)
    (request,) = rig.transport.requests
    assert (request.method, request.url) == ("POST", f"{PING}{end}")
    assert b"the cloud refused" in request.body
    assert made.outcome is Outcome.SENT


def test_ping_of_a_test_changes_no_state_of_the_check() -> None:
    rig = Rig()
    rig.tell(BY_PING, Occasion.BEGUN, test=True)
    assert [each.url for each in rig.transport.requests] == [f"{PING}/log"]


@pytest.mark.parametrize(
    ("status", "word"), [(301, "redirect"), (404, "404"), (429, "429"), (500, "500")]
)
@pytest.mark.parametrize("settings", [BY_PING, by_robot(WeCom(token="t0ken"))])
def test_other_http_status_is_a_failure_that_quotes_nothing(
    settings: NotifySettings, status: int, word: str
) -> None:
    def refuse(request: HttpRequest) -> HttpResponse:
        return answer(request.url, status=status, headers={"Location": f"{PING}/elsewhere"})

    rig = Rig(handler=refuse, secrets={"/ping": PING, "/robot": f"{SERVER}/x?key=t0ken"})
    (made,) = rig.tell(settings, Occasion.FAILED)
    assert (made.outcome, made.status) == (Outcome.FAILED, status)
    assert word in made.why
    assert len(rig.transport.requests) == 1
    assert "t0ken" not in f"{made!r} {log_line(made)}"


@pytest.mark.parametrize("settings", [BY_PING, by_robot(WeCom(token="t0ken"))])
def test_no_answer_is_a_failure(settings: NotifySettings) -> None:
    rig = Rig(handler=nobody, secrets={"/ping": PING, "/robot": f"{SERVER}/x?key=t0ken"})
    (made,) = rig.tell(settings, Occasion.FAILED)
    assert made.outcome is Outcome.FAILED
    assert "refused" in made.why


@pytest.mark.parametrize(
    "settings",
    [
        BY_PING,
        replace(NOBODY, robot=Robot.WECOM, robot_url_file="/robot"),
        replace(NOBODY, robot=Robot.WECOM),
        replace(NOBODY, robot=Robot.FEISHU, robot_url_file="/url", robot_secret_file="/none"),
        replace(NOBODY, robot=Robot.WECOM, robot_url_file="/url", robot_secret_file="/url"),
    ],
)
def test_file_that_cannot_be_used_is_a_failure_and_nobody_is_asked(
    settings: NotifySettings,
) -> None:
    rig = Rig(secrets={"/url": f"{SERVER}/t0ken"})
    (made,) = rig.tell(settings, Occasion.FAILED)
    assert made.outcome is Outcome.FAILED
    assert made.why
    assert made.hint
    assert rig.clients == 0


def test_command_gets_json_and_variables() -> None:
    rig = Rig()
    (made,) = rig.tell(BY_PROGRAM, Occasion.FAILED)
    (run,) = rig.program.runs
    assert (made.outcome, made.status, run.argv) == (Outcome.SENT, 0, ("/bin/tell", "us"))
    assert json.loads(run.stdin) == occurrence_json(FAILED)
    assert run.variables["SNAP_SELF_EVENT"] == "failed"
    assert run.variables["SNAP_SELF_RUN_ID"] == "R1"
    assert "the cloud refused" in run.variables["SNAP_SELF_MESSAGE"]
    assert rig.clients == 0


@pytest.mark.parametrize(
    ("ended", "word"),
    [(1, "ended with 1"), (-9, "signal 9"), (127, "ended with 127")],
)
def test_command_that_fails_is_told_by_its_status(ended: int, word: str) -> None:
    rig = Rig(program=FakeProgram(ends=lambda: ended))
    (made,) = rig.tell(BY_PROGRAM, Occasion.FAILED)
    assert (made.outcome, made.status) == (Outcome.FAILED, ended)
    assert word in made.why


def test_one_that_uses_up_its_time_does_not_use_up_that_of_others() -> None:
    kind = WeCom(token="t0ken")
    rig = robot_rig(kind)

    def slow(request: HttpRequest) -> HttpResponse:
        if request.url.startswith(PING):
            rig.clock.advance(request.total_s)
            return nobody(request)
        return kind(request)

    rig.transport = FakeTransport(slow)
    settings = replace(by_robot(kind), ping_url_file="/ping", command=("/bin/tell",))
    made = rig.tell(settings, Occasion.FAILED, Occasion.FROZEN)
    assert [(each.sink, each.outcome) for each in made] == [
        (Sink.PING, Outcome.FAILED),
        (Sink.PING, Outcome.FAILED),
        (Sink.ROBOT, Outcome.SENT),
        (Sink.COMMAND, Outcome.SENT),
        (Sink.COMMAND, Outcome.SENT),
    ]
    assert "no time was left" in made[1].why
    assert rig.program.runs[0].timeout_s == SINK_S
    assert rig.clock.monotonic() - FakeClock().monotonic() <= ALL_S


def test_all_that_is_told_takes_a_set_time_at_most() -> None:
    rig = Rig()

    def hang() -> int:
        rig.clock.advance(rig.program.runs[-1].timeout_s)
        raise TimeoutError

    rig.program.ends = hang
    made = rig.tell(BY_PROGRAM, *(Occasion.FAILED,) * 5)
    assert rig.clock.monotonic() - FakeClock().monotonic() == SINK_S
    assert [each.outcome for each in made] == [Outcome.FAILED] * 5
    assert len(rig.program.runs) == 1


def test_robot_whose_files_use_up_its_time_keeps_its_turn_and_the_command_is_told() -> None:
    kind = WeCom(token="t0ken")
    rig = robot_rig(kind)
    settings = replace(by_robot(kind), command=("/bin/tell",))
    rig.reading_s = 60.0
    robot, program = rig.tell(settings, Occasion.FAILED)
    assert (robot.sink, robot.outcome) == (Sink.ROBOT, Outcome.FAILED)
    assert "no time was left" in robot.why
    assert (program.sink, program.outcome) == (Sink.COMMAND, Outcome.SENT)
    rig.reading_s = 0.0
    again, _ = rig.tell(settings, Occasion.FAILED)
    assert again.outcome is Outcome.SENT

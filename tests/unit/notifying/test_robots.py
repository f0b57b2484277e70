"""What each vendor's robot is sent, held to the vendor's rules, and what its answers mean."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from fakes.chat_robots import ChatRobot, DingTalk, Feishu, WeCom
from fakes.clock import START
from snap_self.model.notifying import Robot
from snap_self.notifying.robots import Meaning, read_answer, robot_post
from snap_self.ports import HttpRequest

SERVER = "https://robots.example"
# The characters that a URL or a base64 text must not have by chance.
SECRETS = ("SEC000000", "a+b/c=&?%", "x" * 64)
KINDS: dict[Robot, type[ChatRobot]] = {
    Robot.DINGTALK: DingTalk,
    Robot.FEISHU: Feishu,
    Robot.WECOM: WeCom,
}
SIGNED = (Robot.DINGTALK, Robot.FEISHU)


def made(robot: Robot, secret: str = "", *, later: timedelta = timedelta(0)) -> ChatRobot:
    return KINDS[robot](token="t0ken", secret=secret, now=(START + later).timestamp)


def sent(kind: ChatRobot, robot: Robot, secret: str, text: str = "hello") -> HttpRequest:
    post = robot_post(robot, kind.url(SERVER), secret, text, START)
    return HttpRequest(
        method="POST",
        url=post.url,
        headers={"Content-Type": "application/json; charset=utf-8"},
        body=post.body,
    )


@pytest.mark.parametrize("robot", SIGNED)
@pytest.mark.parametrize("secret", SECRETS)
def test_message_is_signed_as_the_vendor_computes_it(robot: Robot, secret: str) -> None:
    kind = made(robot, secret)
    kind(sent(kind, robot, secret))
    assert (kind.texts, kind.refused) == (["hello"], [])


@pytest.mark.parametrize("robot", SIGNED)
def test_message_signed_with_another_secret_is_refused(robot: Robot) -> None:
    kind = made(robot, "right")
    answer = kind(sent(kind, robot, "wrong"))
    read = read_answer(robot, answer.body)
    assert read.meaning is Meaning.REFUSED
    assert "robot_secret_file" in read.hint


@pytest.mark.parametrize("robot", SIGNED)
def test_message_of_more_than_an_hour_ago_is_refused(robot: Robot) -> None:
    kind = made(robot, "right", later=timedelta(hours=1, seconds=1))
    kind(sent(kind, robot, "right"))
    assert kind.texts == []


@pytest.mark.parametrize("robot", KINDS)
def test_message_without_a_secret_is_not_signed(robot: Robot) -> None:
    kind = made(robot)
    request = sent(kind, robot, "")
    kind(request)
    assert kind.texts == ["hello"]
    assert "sign" not in request.url
    assert "sign" not in json.loads(request.body)


@pytest.mark.parametrize("robot", KINDS)
def test_text_in_any_script_gets_there_whole(robot: Robot) -> None:
    kind, text = made(robot), 'no snapshot: 快照失败 "x" \\ 🧊\nTo do: …'
    kind(sent(kind, robot, "", text))
    assert kind.texts == [text]


def test_feishu_calls_nobody_whom_a_name_on_the_machine_calls() -> None:
    kind = made(Robot.FEISHU)
    kind(sent(kind, Robot.FEISHU, "", 'before <at user_id="all">all</at>'))
    assert "<" not in kind.texts[0]


@pytest.mark.parametrize("robot", KINDS)
def test_answer_of_a_taken_message_says_so(robot: Robot) -> None:
    kind = made(robot)
    read = read_answer(robot, kind(sent(kind, robot, "")).body)
    assert (read.meaning, read.code, read.why) == (Meaning.TAKEN, 0, "")


def test_older_answer_of_feishu_is_understood() -> None:
    body = b'{"Extra": null, "StatusCode": 0, "StatusMessage": "success"}'
    assert read_answer(Robot.FEISHU, body).meaning is Meaning.TAKEN


@pytest.mark.parametrize(
    ("robot", "code"),
    [
        (Robot.DINGTALK, 130101),
        (Robot.DINGTALK, 410100),
        (Robot.FEISHU, 11232),
        (Robot.FEISHU, 9499),
        (Robot.WECOM, 45009),
    ],
)
def test_too_many_messages_are_told_from_other_refusals(robot: Robot, code: int) -> None:
    name = "code" if robot is Robot.FEISHU else "errcode"
    read = read_answer(robot, json.dumps({name: code, "errmsg": "slower"}).encode())
    assert (read.meaning, read.code) == (Meaning.LIMITED, code)


@pytest.mark.parametrize("robot", KINDS)
@pytest.mark.parametrize(
    "body",
    [b"", b"ok", b"[]", b"{}", b'{"errcode": "0", "code": "0"}', b'{"errcode": true}', b"\xff"],
)
def test_answer_without_a_code_is_not_taken_for_success(robot: Robot, body: bytes) -> None:
    read = read_answer(robot, body)
    assert (read.meaning, read.code) == (Meaning.UNCLEAR, None)
    assert read.why


@pytest.mark.parametrize("robot", KINDS)
@pytest.mark.parametrize("code", [310000, 300001, 19001, 19021, 19022, 19024, 93000, 45002, -1, 77])
def test_refusal_is_told_with_its_code_and_nothing_of_the_answer(robot: Robot, code: int) -> None:
    body = {"errcode": code, "code": code, "errmsg": "t0ken", "msg": "t0ken"}
    read = read_answer(robot, json.dumps(body).encode())
    assert read.meaning is Meaning.REFUSED
    assert str(code) in read.why
    assert read.hint
    assert "t0ken" not in repr(read)


def test_what_is_sent_is_not_shown_by_its_repr() -> None:
    post = robot_post(Robot.DINGTALK, DingTalk(token="t0ken").url(SERVER), "s3cret", "x", START)
    assert "t0ken" not in repr(post)
    assert "s3cret" not in repr(post)

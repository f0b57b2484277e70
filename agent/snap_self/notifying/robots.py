"""What each vendor's chat robot is sent, signed by its rules, and what its answers mean.

All three answer with HTTP status 200 and a code in the body, also where they refuse. What they say
beside the code is not passed on: it may quote the request.

Sources: https://open.dingtalk.com/document/robots/customize-robot-security-settings,
https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot,
https://developer.work.weixin.qq.com/document/path/91770.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from urllib.parse import quote_plus

from snap_self.model.notifying import Robot
from snap_self.notifying.urls import with_query

# Of the text. WeCom's limit is 2,048 bytes; the others take some 20 KB of JSON, in which a
# character may become two.
MOST_BYTES = {Robot.DINGTALK: 4096, Robot.FEISHU: 4096, Robot.WECOM: 2048}
# Who needs no secret beside the URL; the others may be told to want one, a keyword or an address.
SIGNED = frozenset({Robot.DINGTALK, Robot.FEISHU})


@dataclass(frozen=True, slots=True, kw_only=True)
class RobotPost:
    """One message as it goes out: a POST with a JSON body."""

    url: str = field(repr=False)
    body: bytes = field(repr=False)


class Meaning(Enum):
    """What a robot's answer says."""

    TAKEN = "taken"
    # Too many messages: nothing is taken for a while.
    LIMITED = "limited"
    REFUSED = "refused"
    # No answer of a robot.
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True, kw_only=True)
class RobotAnswer:
    """A robot's answer.

    Args:
        code: its own; None where there is none.
        why: in our words, a clause; empty where the message was taken.
        hint: what mends it.
    """

    meaning: Meaning
    code: int | None = None
    why: str = ""
    hint: str = ""


def robot_post(robot: Robot, url: str, secret: str, text: str, now: datetime) -> RobotPost:
    """Return the message as this robot wants it.

    Args:
        secret: empty where the robot does not ask for a signature.
        now: the vendors refuse what was signed more than an hour ago.
    """
    if robot is Robot.DINGTALK:
        stamp = str(int(now.timestamp() * 1000))
        sign = _mac(secret, f"{stamp}\n{secret}")
        query = f"timestamp={stamp}&sign={quote_plus(sign)}" if secret else ""
        return _post(with_query(url, query), {"msgtype": "text", "text": {"content": text}})
    if robot is Robot.FEISHU:
        stamp = str(int(now.timestamp()))
        signed = {"timestamp": stamp, "sign": _mac(f"{stamp}\n{secret}", "")} if secret else {}
        # Else whoever chose a name on this machine could call everybody: <at user_id="all">.
        plain = text.replace("<", "\u2039")
        return _post(url, {**signed, "msg_type": "text", "content": {"text": plain}})
    return _post(url, {"msgtype": "text", "text": {"content": text}})


def read_answer(robot: Robot, body: bytes) -> RobotAnswer:
    """Return what the body of an answer with HTTP status 200 says."""
    code = _code(robot, body)
    if code is None:
        return RobotAnswer(
            meaning=Meaning.UNCLEAR,
            why="what answered is not such a robot",
            hint=f"see that `notify.robot` is right, and that the URL is that of a {_NAMES[robot]}"
            " robot",
        )
    if code == 0:
        return RobotAnswer(meaning=Meaning.TAKEN, code=code)
    if code in _LIMITED[robot]:
        why = f"it takes no more messages for now (code {code})"
        hint = "too many machines, or other senders, use this robot: give it fewer"
        return RobotAnswer(meaning=Meaning.LIMITED, code=code, why=why, hint=hint)
    why, hint = _KNOWN[robot].get(code, ("it refused the message", ""))
    return RobotAnswer(
        meaning=Meaning.REFUSED,
        code=code,
        why=f"{why} (code {code})",
        hint=hint or f"look code {code} up in the documentation of {_NAMES[robot]}",
    )


def _mac(key: str, text: str) -> str:
    raw = hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()
    return base64.b64encode(raw).decode()


def _post(url: str, body: Mapping[str, object]) -> RobotPost:
    return RobotPost(url=url, body=json.dumps(body, ensure_ascii=False).encode())


def _code(robot: Robot, body: bytes) -> int | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    names = ("code", "StatusCode") if robot is Robot.FEISHU else ("errcode",)
    for name in names:
        code = value.get(name) if isinstance(value, dict) else None
        if type(code) is int:
            return code
    return None


_NAMES = {Robot.DINGTALK: "DingTalk", Robot.FEISHU: "Feishu", Robot.WECOM: "WeCom"}
# Feishu has 9499 also for a body that it cannot read.
_LIMITED: Mapping[Robot, frozenset[int]] = {
    Robot.DINGTALK: frozenset({130101, 410100}),
    Robot.FEISHU: frozenset({9499, 11232}),
    Robot.WECOM: frozenset({45009}),
}
_SIGNATURE = (
    "see that `notify.robot_secret_file` has the robot's own secret, and that the clock is right"
)
_NO_ROBOT = "the URL is of no robot", "copy the robot's URL anew: it was changed or deleted"
_KEYWORD = "it wants a keyword in each message", "take snap-self as the robot's keyword"
_ADDRESS = "it does not take messages from this machine's address", "allow the address there"
_KNOWN: Mapping[Robot, Mapping[int, tuple[str, str]]] = {
    Robot.DINGTALK: {
        310000: (
            "signature, keyword or address is not as its security settings want it",
            f"{_SIGNATURE}; or take snap-self as the robot's keyword",
        ),
        300001: _NO_ROBOT,
    },
    Robot.FEISHU: {
        19001: _NO_ROBOT,
        19021: ("the signature does not match, or is older than an hour", _SIGNATURE),
        19022: _ADDRESS,
        19024: _KEYWORD,
    },
    Robot.WECOM: {
        93000: _NO_ROBOT,
        45002: ("the message is too long for it", ""),
        40058: ("the message is not as it wants it", ""),
    },
}

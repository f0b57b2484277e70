"""Chat robots that hold what they are sent to their vendors' documented rules.

They compute signatures with another library than the agent, answer with HTTP status 200 and a code
in the body as the real ones do, and take so many messages a minute.

Sources: https://open.dingtalk.com/document/robots/customize-robot-security-settings,
https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot,
https://developer.work.weixin.qq.com/document/path/91770.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC

from snap_self.ports import HttpRequest, HttpResponse

HOUR_S = 3600.0
WECOM_TEXT_BYTES = 2048
OTHERS_BODY_BYTES = 20000


def mac(key: bytes, text: bytes) -> str:
    """Return a signature as the vendors write it."""
    made = HMAC(key, hashes.SHA256())
    made.update(text)
    return base64.b64encode(made.finalize()).decode()


@dataclass(kw_only=True)
class ChatRobot:
    """One vendor's robot; ``texts`` are the messages that it took.

    Args:
        secret: what messages must be signed with; empty where none need be.
        a_minute: it takes no more.
        now: its clock, in seconds since 1970.
    """

    token: str
    secret: str = ""
    a_minute: int = 20
    now: Callable[[], float] = time.time
    texts: list[str] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)

    path = "/"
    limited = 0

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer a request."""
        code = self.judge(request)
        if code == 0 and len(self.texts) >= self.a_minute:
            code = self.limited
        if code == 0:
            self.texts.append(self.text_of(json.loads(request.body)))
        else:
            self.refused.append(code)
        body = json.dumps(self.answer(code)).encode()
        return HttpResponse(status=200, headers={"Content-Type": "application/json"}, body=body)

    def url(self, server: str) -> str:
        """Return the URL that this robot is given out with."""
        raise NotImplementedError

    def judge(self, request: HttpRequest) -> int:
        """Return the code of the answer; 0 for a message that is as it must be."""
        raise NotImplementedError

    def text_of(self, body: Mapping[str, Any]) -> str:
        """Return the text of a message."""
        return str(body["text"]["content"])

    def answer(self, code: int) -> Mapping[str, Any]:
        """Return the body of an answer."""
        return {"errcode": code, "errmsg": "ok" if code == 0 else f"token {self.token} is refused"}


def _query(request: HttpRequest) -> Mapping[str, str]:
    return {name: given[0] for name, given in parse_qs(urlsplit(request.url).query).items()}


def _is_json(request: HttpRequest) -> bool:
    kind = {name.lower(): value for name, value in request.headers.items()}.get("content-type", "")
    return request.method == "POST" and kind.startswith("application/json")


class DingTalk(ChatRobot):
    """``timestamp`` in milliseconds and ``sign`` in the query, keyed with the secret."""

    path = "/robot/send"
    limited = 130101

    def url(self, server: str) -> str:
        """Return the URL that this robot is given out with."""
        return f"{server}{self.path}?access_token={self.token}"

    def judge(self, request: HttpRequest) -> int:
        """Return the code of the answer."""
        query = _query(request)
        if urlsplit(request.url).path != self.path or query.get("access_token") != self.token:
            return 300001
        if not _is_json(request) or len(request.body) > OTHERS_BODY_BYTES:
            return 40035
        if self.secret:
            stamp = query.get("timestamp", "")
            wanted = mac(self.secret.encode(), f"{stamp}\n{self.secret}".encode())
            fresh = stamp.isdigit() and abs(int(stamp) / 1000 - self.now()) < HOUR_S
            if query.get("sign") != wanted or not fresh:
                return 310000
        return 0 if json.loads(request.body).get("msgtype") == "text" else 400105


class Feishu(ChatRobot):
    """``timestamp`` in seconds and ``sign`` in the body, of an empty text."""

    path = "/open-apis/bot/v2/hook/"
    limited = 11232

    def url(self, server: str) -> str:
        """Return the URL that this robot is given out with."""
        return f"{server}{self.path}{self.token}"

    def judge(self, request: HttpRequest) -> int:
        """Return the code of the answer."""
        if urlsplit(request.url).path != f"{self.path}{self.token}":
            return 19001
        if not _is_json(request) or len(request.body) > OTHERS_BODY_BYTES:
            return 9499
        body = json.loads(request.body)
        if self.secret:
            stamp = str(body.get("timestamp", ""))
            wanted = mac(f"{stamp}\n{self.secret}".encode(), b"")
            fresh = stamp.isdigit() and abs(int(stamp) - self.now()) < HOUR_S
            if body.get("sign") != wanted or not fresh:
                return 19021
        return 0 if body.get("msg_type") == "text" else 19002

    def text_of(self, body: Mapping[str, Any]) -> str:
        """Return the text of a message."""
        return str(body["content"]["text"])

    def answer(self, code: int) -> Mapping[str, Any]:
        """Return the body of an answer."""
        if code == 0:
            return {"StatusCode": 0, "StatusMessage": "success", "code": 0, "msg": "success"}
        return {"code": code, "msg": f"refused: {self.token}", "data": {}}


class WeCom(ChatRobot):
    """The key in the query is the secret; a text has at most 2,048 bytes."""

    path = "/cgi-bin/webhook/send"
    limited = 45009

    def url(self, server: str) -> str:
        """Return the URL that this robot is given out with."""
        return f"{server}{self.path}?key={self.token}"

    def judge(self, request: HttpRequest) -> int:
        """Return the code of the answer."""
        if urlsplit(request.url).path != self.path or _query(request) != {"key": self.token}:
            return 93000
        body = json.loads(request.body) if _is_json(request) else {}
        if body.get("msgtype") != "text":
            return 40008
        return 45002 if len(self.text_of(body).encode()) > WECOM_TEXT_BYTES else 0

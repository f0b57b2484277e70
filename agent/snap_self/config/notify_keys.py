"""The keys of ``[notify]``: who is told of what happened. Nobody is, unless they say so."""

from __future__ import annotations

from snap_self.config import parsers
from snap_self.config.key import Key
from snap_self.model.occurrences import BAD, Occasion

_FILE = "an absolute path; or empty"
_PRIVATE = "of mode 0600, owned by root, with one line"

NOTIFY_KEYS: tuple[Key, ...] = (
    Key(
        section="notify",
        name="command",
        parse=parsers.argv,
        default=[],
        accepted="an array: a program and its arguments; or empty",
        doc="Run with one event as JSON on its standard input, for 10 s at most.",
        note="Root runs no program that others could change.",
        example='["/usr/local/bin/tell-us"]',
        scalar=False,
    ),
    Key(
        section="notify",
        name="on",
        parse=parsers.occasions,
        default=[each.value for each in Occasion if each in BAD],
        accepted=f"some of {', '.join(each.value for each in Occasion)}",
        doc="What the command and the robot are told of.",
        scalar=False,
    ),
    Key(
        section="notify",
        name="ping_url_file",
        parse=parsers.file_or_empty,
        default="",
        accepted=_FILE,
        doc=f"File {_PRIVATE}: a URL in healthchecks' form, for begin, success and failure.",
    ),
    Key(
        section="notify",
        name="robot",
        parse=parsers.robot,
        default="",
        accepted="dingtalk, feishu, wecom; or empty",
        doc="Chat robot that gets a message, at most one in ten minutes; not for a fleet.",
    ),
    Key(
        section="notify",
        name="robot_url_file",
        parse=parsers.file_or_empty,
        default="",
        accepted=_FILE,
        doc=f"File {_PRIVATE}: the robot's URL.",
    ),
    Key(
        section="notify",
        name="robot_secret_file",
        parse=parsers.file_or_empty,
        default="",
        accepted=_FILE,
        doc=f"File {_PRIVATE}: the secret that DingTalk or Feishu wants signatures with.",
    ),
)

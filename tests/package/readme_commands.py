"""The commands that README tells a reader to give, in its own order."""

from __future__ import annotations

import re

from agent_runner import CHECKOUT

_FENCE = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_REMARK = re.compile(r"(^|\s+)#\s.*$")


def readme_commands(heading: str) -> tuple[str, ...]:
    """Return the lines of all shell blocks below a heading of the second level, without remarks.

    Raises:
        AssertionError: there is no such heading, or no command below it.
    """
    text = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.S)
    assert section, f"README has no section {heading!r}"
    blocks = _FENCE.findall(section[1])
    lines = (_REMARK.sub("", line) for block in blocks for line in block.splitlines())
    commands = tuple(line for line in lines if line)
    assert commands, f"README has no command below {heading!r}"
    return commands

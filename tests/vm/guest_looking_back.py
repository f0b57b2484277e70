"""What stories of looking back share: the role's own policies, and a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from guest_copies import LIMIT_S
from guest_driver import Console, Guest

PROMPT = r"root@guest:~# $"


def allow(guest: Guest, *options: str) -> None:
    """Give the guest's role what ``snap-self policy`` prints there for it, and nothing else.

    Args:
        options: of further policies, such as ``--restore``; each is printed by itself.
    """
    asked = [(), *((option,) for option in options)]
    documents = [policy(guest, *each) for each in asked]
    role = guest.cloud.ready["role"]
    guest.cloud.control("PUT", "policies", {"name": role, "policies": documents})


def policy(guest: Guest, *options: str) -> dict[str, Any]:
    """Return the policy that the agent prints: what its reader pastes into the console."""
    document: dict[str, Any] = json.loads(guest.do(f"snap-self policy {' '.join(options)}"))
    return document


def refused(guest: Guest) -> list[str]:
    """Return the agent's calls that the cloud refused, with the code."""
    calls = guest.cloud.control("GET", "calls")["calls"]
    return [f"{call['action']}: {call['code']}" for call in calls if call["code"]]


class Shell:
    """Root's shell on the console, of which everything shown is kept."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._console.type("")
        self._console.wait_for(PROMPT)
        # A serial line knows no size, and what is drawn again and again makes no transcript.
        self.give("export TERM=dumb; stty cols 119 rows 50; bind 'set enable-bracketed-paste off'")
        self._begin = len(self._console.shown)

    def give(self, command: str, *answers: tuple[str, str]) -> str:
        """Type a command, and an answer to each question as it comes; return what it showed.

        Args:
            answers: pairs of a pattern of the question and what is typed then.
        """
        begin = len(self._console.shown)
        self._console.type(command)
        for question, answer in answers:
            self._console.wait_for(question, LIMIT_S)
            self._console.type(answer)
        self._console.wait_for(PROMPT, LIMIT_S)
        return "\n".join(lines(self._console.shown[begin:]))

    @property
    def transcript(self) -> list[str]:
        """Return the lines that were shown since it began, the prompts and what was typed too."""
        return lines("root@guest:~# " + self._console.shown[self._begin :])


def lines(shown: str) -> list[str]:
    """Return what a terminal's lines hold in the end; a carriage return begins a line anew."""
    return [line.rstrip("\r").rpartition("\r")[2] for line in shown.split("\n")]


def in_order(wanted: Iterable[str], there: Iterable[str]) -> list[str]:
    """Return the wanted lines that are not there, each looked for behind the one before."""
    rest = iter(there)
    return [line for line in wanted if line not in rest]

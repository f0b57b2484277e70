"""What stories of looking back share: the role's own policies, a terminal, and what may be left."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from guest_driver import Console, Guest

PROMPT = r"root@guest:~# $"
RULE = "/run/udev/rules.d/59-snap-self-temp.rules"
# An emulated processor is some twenty times slower than a real one.
LIMIT_S = 600.0
# One line for each thing that is still there; the disks themselves are asked of the cloud.
_LEFT = f"""
ls {RULE} /var/lib/snap-self/restores/*.json 2>/dev/null
grep -e /run/snap-self/copies -e snapself /proc/self/mountinfo
ls -d /run/snap-self/copies/* /dev/mapper/snapself* 2>/dev/null
losetup --noheadings --list --output NAME,BACK-FILE
systemctl list-units --all --plain --no-legend 'snap-self-unmount@*'
find / -xdev -name '.snap-self-2*' -type f 2>/dev/null
systemctl --failed --plain --no-legend
exit 0
"""


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


def left(guest: Guest) -> list[str]:
    """Return all that is left of any copy: disks, devices, mounts, rules, records, files, units."""
    described = guest.operator.call("DescribeDisks", PageSize=100)["Disks"]["Disk"]
    disks = {disk["DiskId"] for disk in described} - {*guest.disk_ids}
    serials = {disk["SerialNumber"] for disk in described if disk["DiskId"] in guest.disk_ids}
    devices = {*guest.do("lsblk -dno SERIAL").split()} - serials
    faults = guest.cloud.control("GET", "guest-faults")["faults"]
    return [*disks, *devices, *guest.do(_LEFT).splitlines(), *map(str, faults)]


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

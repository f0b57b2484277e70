"""The delay that is fixed for a machine."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fakes.journal import FakeJournal
from snap_self.errors import MetadataUnreachable
from snap_self.model.ids import InstanceId
from snap_self.model.progress import Event
from snap_self.usecases.job.spreading import Spread, delay_s, wait_for_turn
from snap_self.usecases.tools import Tools

ONE = InstanceId("i-bp1aaaaaaaaaaaaaaaaa")


class Machine:
    """What of the tools a delay needs."""

    def __init__(self, *, known: bool = True) -> None:
        self.known = known
        self.slept: list[float] = []
        self.said: list[str] = []
        clock = SimpleNamespace(sleep=self.slept.append)
        self.tools = cast(
            Tools,
            SimpleNamespace(
                clock=clock, identify=self._identify, store=FakeJournal(), listener=self._listen
            ),
        )

    def _identify(self) -> Any:
        if not self.known:
            raise MetadataUnreachable("no answer")
        return SimpleNamespace(instance_id=ONE)

    def _listen(self, event: Event) -> None:
        self.said.append(event.text)


def test_delay_is_the_documented_one() -> None:
    number = int(hashlib.sha256(ONE.encode()).hexdigest()[:16], 16)
    assert delay_s(ONE, 600) == number % 600 == delay_s(ONE, 600)


def test_thousand_machines_are_spread_evenly() -> None:
    delays = [delay_s(InstanceId(f"i-{number:020}"), 600) for number in range(1000)]
    a_minute_each = [sum(first <= d < first + 60 for d in delays) for first in range(0, 600, 60)]
    assert min(a_minute_each) > 60
    assert max(a_minute_each) < 140


def test_machine_waits_for_its_turn_and_says_so_before() -> None:
    machine, told = Machine(), list[float]()
    wait_for_turn(machine.tools, Spread(within_s=600, terminal=False, delayed=told.append))
    wanted = delay_s(ONE, 600)
    assert (machine.slept, told) == ([wanted], [wanted])
    assert machine.said == [f"beginning in {wanted} s: this machine's place when spread over 10m"]


@pytest.mark.parametrize(
    ("spread", "known", "said"),
    [
        (Spread(within_s=0, terminal=False), True, ""),
        (Spread(within_s=600, terminal=True), True, "somebody waits at this terminal"),
        (Spread(within_s=600, terminal=False), False, "which instance this is is not known"),
    ],
)
def test_no_delay_at_a_terminal_or_without_an_id(spread: Spread, known: bool, said: str) -> None:
    machine = Machine(known=known)
    wait_for_turn(machine.tools, spread)
    assert machine.slept == []
    assert said in "".join(machine.said)

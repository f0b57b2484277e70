"""The self-test, on twins; what it takes for the root filesystem to be frozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fakes.clock import FakeClock
from fakes.freezing import (
    FakeBoot,
    FakeFreezeCalls,
    FakeLink,
    FakeMarkers,
    FakeOpener,
    FakeStarter,
)
from snap_self.ports import GuardianLink, OpenedMount
from snap_self.quiesce.freeze.selftest import FACTS, root_tested, run_self_test
from snap_self.quiesce.freeze.session import FreezePorts
from snap_self.quiesce.freeze.wire import Cause, Kind, Message, decode

FD = 9
PATH = "/run/snap-self/selftest-x/mounted"
READY = Message(Kind.READY, number=3, first=502)
FROZEN = (Message(Kind.SYNCED), Message(Kind.FROZEN), Message(Kind.HELD))
GOOD = (Message(Kind.THAWED), Message(Kind.DONE, cause=Cause.ASKED), b"")
LATE = (Message(Kind.THAWED), Message(Kind.DONE, cause=Cause.DEADLINE), b"")


class Facts:
    def __init__(self) -> None:
        self.kept: dict[str, Mapping[str, str]] = {}

    def remember(self, name: str, facts: Mapping[str, str]) -> None:
        self.kept[name] = dict(facts)

    def recall(self, name: str) -> Mapping[str, str]:
        return self.kept.get(name, {})


class Scratch:
    def __init__(self, path: str = PATH) -> None:
        self.path = path
        self.there = False

    def __enter__(self) -> str:
        self.there = True
        return self.path

    def __exit__(self, *error: object) -> None:
        self.there = False


class Opener(FakeOpener):
    """Opens the one path any number of times."""

    def close(self, fd: int) -> None:
        self.open_fds.discard(fd)


class Link(FakeLink):
    """A guardian whose freeze and thaw show on the twin of the kernel."""

    def __init__(
        self, calls: FakeFreezeCalls, after_freeze: Sequence[Message | bytes], *, frozen: bool
    ) -> None:
        super().__init__({Kind.FREEZE: (*FROZEN, *after_freeze), Kind.THAW: GOOD})
        self._calls = calls
        self._frozen = frozen

    def send(self, data: bytes) -> bool:
        if decode(data).kind is Kind.FREEZE and self._frozen:
            self._calls.frozen.add(FD)
        else:
            self._calls.frozen.discard(FD)
        return super().send(data)


class Starter:
    """Gives the first session one link and the second another."""

    def __init__(self, *links: FakeLink) -> None:
        self._starters = [FakeStarter(link, ready=READY) for link in links]

    def start(self, *, mounts: object, fds: object) -> GuardianLink:
        return self._starters.pop(0).start(mounts=(), fds=())


class Stage:
    """A machine on which the freeze calls of the guardian show in ``calls``."""

    def __init__(self, *, late: bool = False, refuses: bool = True, path: str = PATH) -> None:
        self.calls = FakeFreezeCalls()
        first = Link(self.calls, (), frozen=refuses)
        second = Link(self.calls, () if late else LATE, frozen=late)
        opened = OpenedMount(fd=FD, mount_id=1, device=7, listed_device="7:1", listed_path=path)
        self.ports = FreezePorts(
            opener=Opener({path: opened}),
            starter=Starter(first, second),
            markers=FakeMarkers(device=1),
            calls=self.calls,
            boot=FakeBoot(living={501: 1, 502: 2}),
            clock=FakeClock(),
        )


def test_root_is_refused_without_the_key_and_without_the_test() -> None:
    facts = Facts()
    assert not root_tested(facts, release="6.12", allowed=True)
    facts.remember(FACTS, {"release": "6.12", "why": ""})
    assert root_tested(facts, release="6.12", allowed=True)
    assert not root_tested(facts, release="6.12", allowed=False)


def test_test_under_another_kernel_or_one_that_failed_does_not_count() -> None:
    facts = Facts()
    facts.remember(FACTS, {"release": "6.1", "why": ""})
    assert not root_tested(facts, release="6.12", allowed=True)
    facts.remember(FACTS, {"release": "6.12", "why": "it hung"})
    assert not root_tested(facts, release="6.12", allowed=True)


def test_root_itself_is_never_tried() -> None:
    stage, facts = Stage(path="/"), Facts()
    outcome = run_self_test(Scratch("/"), stage.ports, facts, release="6.12")
    assert outcome.why == "/ is not a filesystem of its own"
    assert stage.calls.calls == []
    assert not root_tested(facts, release="6.12", allowed=True)


def test_freeze_that_holds_and_ends_both_ways_passes_and_is_remembered() -> None:
    facts, scratch = Facts(), Scratch()
    assert run_self_test(scratch, Stage().ports, facts, release="6.12").why == ""
    assert root_tested(facts, release="6.12", allowed=True)
    assert not scratch.there


def test_guardian_that_misses_its_time_limit_fails_the_test() -> None:
    facts = Facts()
    outcome = run_self_test(Scratch(), Stage(late=True).ports, facts, release="6.12")
    assert "not ended at its time limit" in outcome.why
    assert not root_tested(facts, release="6.12", allowed=True)


def test_freeze_that_does_not_hold_fails_the_test_and_is_remembered() -> None:
    stage, facts, scratch = Stage(refuses=False), Facts(), Scratch()
    outcome = run_self_test(scratch, stage.ports, facts, release="6.12")
    assert "did not refuse a second freeze" in outcome.why
    assert not root_tested(facts, release="6.12", allowed=True)
    assert not scratch.there

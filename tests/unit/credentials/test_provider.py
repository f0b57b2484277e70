"""When keys are renewed, and what happens when renewing fails."""

from datetime import timedelta

import pytest

from fakes.clock import FakeClock
from fakes.instance import SECRET, surroundings
from snap_self.cloud.credentials.provider import Chain, CredentialProvider
from snap_self.cloud.credentials.sources import Offer, Skipped, Surroundings
from snap_self.errors import CredentialsUnusable, MetadataUnreachable
from snap_self.model.snapshots import Credentials


class Mint:
    """A source whose keys live as long as told; ``broken`` makes it fail."""

    def __init__(self, clock: FakeClock, life_s: float | None = 3600) -> None:
        self.clock = clock
        self.life_s = life_s
        self.loads = 0
        self.looks = 0
        self.broken = False

    def look(self, around: Surroundings) -> Offer | Skipped:
        self.looks += 1
        return Offer(load=self.load, how="mint", stale_margin_s=300)

    def load(self) -> Credentials:
        if self.broken:
            raise MetadataUnreachable("no answer")
        self.loads += 1
        ends = None if self.life_s is None else self.clock.now() + timedelta(seconds=self.life_s)
        return Credentials(
            access_key_id=f"STS.number{self.loads:06}",
            access_key_secret=SECRET,
            security_token="t",
            source="mint",
            expires=ends,
        )


def minted(life_s: float | None = 3600) -> tuple[CredentialProvider, Mint, FakeClock]:
    clock = FakeClock()
    mint = Mint(clock, life_s)
    chain = Chain(surroundings(clock=clock), (("mint", mint.look),))
    return CredentialProvider(chain, clock), mint, clock


def test_get_when_called_twice_then_loads_once() -> None:
    provider, mint, _ = minted()
    assert provider.get() is provider.get()
    assert mint.loads == 1


def test_get_when_the_keys_never_end_then_never_renews() -> None:
    provider, mint, clock = minted(None)
    provider.get()
    clock.advance(10**9)
    provider.get(min_life_s=10**6)
    assert mint.loads == 1


def test_get_when_within_the_margin_then_renews_from_the_same_source() -> None:
    provider, mint, clock = minted()
    provider.get()
    clock.advance(3301)
    assert provider.get().access_key_id == "STS.number000002"
    assert mint.looks == 1


def test_get_when_before_the_margin_then_keeps_the_keys() -> None:
    provider, mint, clock = minted()
    provider.get()
    clock.advance(3299)
    provider.get()
    assert mint.loads == 1


def test_get_when_a_longer_life_is_needed_then_renews_earlier() -> None:
    provider, mint, clock = minted()
    provider.get()
    clock.advance(2000)
    provider.get(min_life_s=1700)
    assert mint.loads == 2


def test_get_when_renewing_fails_then_serves_the_valid_old_keys() -> None:
    provider, mint, clock = minted()
    old = provider.get()
    clock.advance(3400)
    mint.broken = True
    assert provider.get() is old


def test_get_when_renewing_failed_a_moment_ago_then_waits_before_the_next_try() -> None:
    provider, mint, clock = minted()
    old = provider.get()
    clock.advance(3400)
    mint.broken = True
    provider.get()
    mint.broken = False
    clock.advance(29)
    assert provider.get() is old
    clock.advance(2)
    assert provider.get() is not old


def test_get_when_the_old_keys_have_ended_then_the_failure_comes_out() -> None:
    provider, mint, clock = minted()
    provider.get()
    clock.advance(3400)
    mint.broken = True
    provider.get()
    clock.advance(201)
    with pytest.raises(MetadataUnreachable):
        provider.get()


def test_get_when_the_old_keys_have_ended_then_tries_at_once() -> None:
    provider, mint, clock = minted(life_s=20)
    provider.get()
    clock.advance(21)
    provider.get()
    assert mint.loads == 2


def test_get_when_the_source_gives_short_keys_then_does_not_hammer_it() -> None:
    provider, mint, clock = minted(life_s=200)
    for _ in range(10):
        provider.get(min_life_s=1000)
        clock.advance(1)
    assert mint.loads == 1


def test_get_when_forced_then_renews_good_keys() -> None:
    provider, _, _ = minted()
    provider.get()
    assert provider.get(force=True).access_key_id == "STS.number000002"


def test_get_when_forced_and_renewing_fails_then_does_not_give_refused_keys() -> None:
    provider, mint, _ = minted()
    provider.get()
    mint.broken = True
    with pytest.raises(MetadataUnreachable):
        provider.get(force=True)


def test_get_when_the_keys_arrive_ended_then_blames_the_clock() -> None:
    provider, _, _ = minted(life_s=-5)
    with pytest.raises(CredentialsUnusable, match="ran out") as caught:
        provider.get()
    assert "clock" in caught.value.hint


def test_get_when_the_renewed_keys_arrive_ended_then_keeps_the_old() -> None:
    provider, mint, clock = minted()
    old = provider.get()
    clock.advance(3400)
    mint.life_s = -5
    assert provider.get() is old


def test_get_when_the_first_look_failed_then_the_next_walks_the_chain_again() -> None:
    provider, mint, _ = minted()
    mint.broken = True
    with pytest.raises(MetadataUnreachable):
        provider.get()
    mint.broken = False
    assert provider.get().source == provider.source == "mint"


def test_chain_when_warnings_are_offered_then_they_stand_in_the_trail() -> None:
    clock = FakeClock()
    mint = Mint(clock)

    def look(around: Surroundings) -> Offer | Skipped:
        return Offer(load=mint.load, how="mint", warnings=("warning: loose file",))

    chain = Chain(surroundings(clock=clock), (("mint", look),))
    chain.first()
    assert chain.trail == (("mint", "mint: used, key …0001; warning: loose file"),)


def test_chain_when_a_source_wins_then_later_ones_are_not_looked_at() -> None:
    clock = FakeClock()
    winner, late = Mint(clock), Mint(clock)
    Chain(surroundings(clock=clock), (("mint", winner.look), ("late", late.look))).first()
    assert late.looks == 0

"""Gives credentials that stay valid for a while, from the first source that is set up."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import datetime

from snap_self.cloud.credentials.sources import (
    DOCTOR_HINT,
    Look,
    Offer,
    Skipped,
    Surroundings,
    broken,
    masked,
)
from snap_self.errors import NoCredentials, SnapSelfError
from snap_self.model.snapshots import Credentials
from snap_self.ports import Clock

RETRY_REFRESH_S = 30.0
NONE_HINT = (
    "on an ECS instance the usual way is a RAM role: `snap-self policy` prints its policy and the "
    f"commands that make and bind it{DOCTOR_HINT}"
)


@dataclass(frozen=True, slots=True)
class _Held:
    """Keys in use, their source, and when their renewal was last tried."""

    credentials: Credentials
    offer: Offer
    tried: float


def left_s(expires: datetime | None, clock: Clock) -> float:
    """Return for how many more seconds keys are valid."""
    return float("inf") if expires is None else (expires - clock.now()).total_seconds()


def load_live(offer: Offer, clock: Clock) -> Credentials:
    """Return an offer's keys.

    Raises:
        CredentialsUnusable: they have already expired; otherwise as the source's load.
    """
    credentials = offer.load()
    if left_s(credentials.expires, clock) <= 0:
        ended = f"{credentials.expires:%Y-%m-%dT%H:%M:%SZ}"
        raise broken(
            f"the keys from {credentials.source} ran out at {ended}",
            hint="Check this machine's clock, then what gives out the keys.",
        )
    return credentials


class Chain:
    """Goes through the sources in order until one is set up.

    Args:
        sources: each source's name for people and its look function, in order.
    """

    def __init__(self, around: Surroundings, sources: tuple[tuple[str, Look], ...]) -> None:
        self._around = around
        self._sources = sources
        self._trail: list[tuple[str, str]] = []

    @property
    def trail(self) -> tuple[tuple[str, str], ...]:
        """Return each source that was looked at, with the result."""
        return tuple(self._trail)

    def first(self) -> tuple[Offer, Credentials]:
        """Return the first source that is set up, and its keys.

        Raises:
            NoCredentials: none is set up.
            CredentialsError, EnvironmentFault, CloudUnreachable: the first one set up fails.
        """
        self._trail = []
        for name, look in self._sources:
            try:
                found = look(self._around)
                if isinstance(found, Skipped):
                    self._trail.append((name, found.why))
                    continue
                credentials = load_live(found, self._around.clock)
            except SnapSelfError as error:
                self._trail.append((name, f"failed: {error.message}"))
                error.details = error.details or self._told()
                raise
            verdict = (
                f"{found.how}: used, key {masked(credentials.access_key_id)}",
                *found.warnings,
            )
            self._trail.append((name, "; ".join(verdict)))
            return found, credentials
        raise NoCredentials(
            "no credentials found: no source of the chain is set up",
            hint=NONE_HINT,
            details=self._told(),
        )

    def _told(self) -> tuple[str, ...]:
        return tuple(f"{name}: {verdict}" for name, verdict in self._trail)


class CredentialProvider:
    """Keeps credentials fresh; safe to use from several threads.

    The source that first gave keys is remembered and asked again before they expire.
    """

    def __init__(self, chain: Chain, clock: Clock) -> None:
        self._chain = chain
        self._clock = clock
        self._lock = threading.Lock()
        self._held: _Held | None = None

    @property
    def source(self) -> str:
        """Return which source gave the keys; empty before the first `get`."""
        return self._held.credentials.source if self._held else ""

    @property
    def trail(self) -> tuple[tuple[str, str], ...]:
        """Return each source that was looked at, with the result."""
        return self._chain.trail

    def get(self, *, min_life_s: float = 0.0, force: bool = False) -> Credentials:
        """Return keys that stay valid for ``min_life_s``, if the source has such keys.

        If renewing fails, or gives keys no better than the old ones, the old ones are returned
        while they are valid. A caller that must have a certain lifetime checks ``expires``.

        Args:
            force: renew even if the keys look valid, because the cloud refused them; the old
                ones are not returned again.

        Raises:
            NoCredentials, CredentialsError, EnvironmentFault, CloudUnreachable: there are none.
        """
        with self._lock:
            if self._held is None:
                offer, credentials = self._chain.first()
                self._hold(offer, credentials)
                return credentials
            if force or self._is_due(self._held, min_life_s):
                self._renew(self._held, must=force)
            return self._held.credentials

    def _is_due(self, held: _Held, min_life_s: float) -> bool:
        left = left_s(held.credentials.expires, self._clock)
        if left > max(min_life_s, held.offer.stale_margin_s):
            return False
        return left <= 0 or self._clock.monotonic() - held.tried >= RETRY_REFRESH_S

    def _renew(self, held: _Held, *, must: bool) -> None:
        try:
            self._hold(held.offer, load_live(held.offer, self._clock))
        except SnapSelfError:
            if must or left_s(held.credentials.expires, self._clock) <= 0:
                raise
            self._held = replace(held, tried=self._clock.monotonic())

    def _hold(self, offer: Offer, credentials: Credentials) -> None:
        self._held = _Held(credentials, offer, self._clock.monotonic())

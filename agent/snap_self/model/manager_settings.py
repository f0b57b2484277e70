"""What the configuration says about package managers, as a hook reads it.

The configuration's own table and parsers take a hook's whole time to load. So a hook reads what an
earlier one kept of it, and the defaults from here; nothing slow is imported.
"""

from __future__ import annotations

from snap_self.model.packages import MANAGERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

CONTINUE = "continue"
ABORT = "abort"
LIMIT_S = 60
THROTTLED_LIMIT_S = 300
MAX_SPREAD_S = 3600
MAX_LIMIT_S = 600
MIN_LIMIT_S = 5
REUSE_S = 1800
THRESHOLD = 25
STATE_DIR = "/var/lib/snap-self"


class ManagerSettings:
    """What one hook of a package manager goes by.

    Args:
        enabled: managers whose hooks act.
        on_failure: manager to ``CONTINUE`` or ``ABORT``.
        limit_s: no transaction is held up for longer.
        throttled_limit_s: the same when nobody waits and the cloud refuses calls as too many.
        spread_s: when nobody waits, a delay shorter than that goes before.
        confirm_within_s: a change goes back by itself unless it is confirmed so soon; None for
            never.
        reuse_s: a snapshot at most this old serves again; None for never.
        risky: name patterns beyond the built-in ones.
        always: name patterns for which an earlier snapshot does not serve.
        never: name patterns that are left out of account.
        threshold: so many packages are risky whatever they are; 0 for never.
        release_upgrade: a change of the release is risky.
        state_dir: where the journal lies.
        metadata_named: the configuration names a metadata service, so the machine need not look
            like an ECS instance.
    """

    __slots__ = (
        "always",
        "confirm_within_s",
        "enabled",
        "limit_s",
        "metadata_named",
        "never",
        "on_failure",
        "release_upgrade",
        "reuse_s",
        "risky",
        "spread_s",
        "state_dir",
        "threshold",
        "throttled_limit_s",
    )

    def __init__(
        self,
        *,
        enabled: tuple[str, ...] = MANAGERS,
        on_failure: Mapping[str, str] | None = None,
        limit_s: int = LIMIT_S,
        reuse_s: int | None = REUSE_S,
        risky: tuple[str, ...] = (),
        always: tuple[str, ...] = (),
        never: tuple[str, ...] = (),
        threshold: int = THRESHOLD,
        release_upgrade: bool = True,
        state_dir: str = STATE_DIR,
        metadata_named: bool = False,
        throttled_limit_s: int = THROTTLED_LIMIT_S,
        spread_s: int = 0,
        confirm_within_s: int | None = None,
    ) -> None:
        self.enabled = enabled
        self.on_failure = dict(on_failure or {})
        self.limit_s = limit_s
        self.reuse_s = reuse_s
        self.risky = risky
        self.always = always
        self.never = never
        self.threshold = threshold
        self.release_upgrade = release_upgrade
        self.state_dir = state_dir
        self.metadata_named = metadata_named
        self.throttled_limit_s = throttled_limit_s
        self.spread_s = spread_s
        self.confirm_within_s = confirm_within_s

    def aborts(self, manager: str) -> bool:
        """Tell whether a change without its snapshot is to be stopped.

        One that is to go back by itself always is: what holds that promise would not be there.
        """
        return bool(self.confirm_within_s) or self.on_failure.get(manager, CONTINUE) == ABORT


_LISTS = ("enabled", "risky", "always", "never")
_NUMBERS = ("limit_s", "throttled_limit_s", "spread_s", "threshold")
_SWITCHES = ("release_upgrade", "metadata_named")


def settings_text(settings: ManagerSettings) -> str:
    """Return the settings as lines; no value holds a line's end, which the parsers see to."""
    lines = [f"{name}={item}" for name in _LISTS for item in getattr(settings, name)]
    lines += [f"on_failure={manager}:{word}" for manager, word in settings.on_failure.items()]
    lines += [f"{name}={getattr(settings, name)}" for name in _NUMBERS]
    lines += [f"{name}={int(getattr(settings, name))}" for name in _SWITCHES]
    lines.append(f"reuse_s={'off' if settings.reuse_s is None else settings.reuse_s}")
    lines.append(f"confirm_within_s={settings.confirm_within_s or 'off'}")
    lines.append(f"state_dir={settings.state_dir}")
    return "".join(f"{line}\n" for line in [*lines, "end="])


def parse_settings(text: str) -> ManagerSettings | None:
    """Return what :func:`settings_text` wrote; None if it is not whole."""
    if not text.endswith("\nend=\n"):
        return None
    pairs = [line.partition("=")[::2] for line in text.split("\n")]
    lists = {name: tuple(value for key, value in pairs if key == name) for name in _LISTS}
    words = [value.partition(":")[::2] for key, value in pairs if key == "on_failure"]
    one = dict(pairs)
    try:
        return ManagerSettings(
            enabled=lists["enabled"],
            risky=lists["risky"],
            always=lists["always"],
            never=lists["never"],
            limit_s=int(one["limit_s"]),
            throttled_limit_s=int(one["throttled_limit_s"]),
            spread_s=int(one["spread_s"]),
            threshold=int(one["threshold"]),
            release_upgrade=one["release_upgrade"] == "1",
            metadata_named=one["metadata_named"] == "1",
            on_failure=dict(words),
            reuse_s=_seconds_or_off(one["reuse_s"]),
            confirm_within_s=_seconds_or_off(one["confirm_within_s"]),
            state_dir=one["state_dir"],
        )
    except (KeyError, ValueError):
        return None


def _seconds_or_off(text: str) -> int | None:
    return None if text == "off" else int(text)

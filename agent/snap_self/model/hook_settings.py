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
MAX_LIMIT_S = 600
MIN_LIMIT_S = 5
REUSE_S = 1800
THRESHOLD = 25
STATE_DIR = "/var/lib/snap-self"


class HookSettings:
    """What one hook of a package manager goes by.

    Args:
        enabled: managers whose hooks act.
        on_failure: manager to ``CONTINUE`` or ``ABORT``.
        limit_s: no transaction is held up for longer.
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
        "enabled",
        "limit_s",
        "metadata_named",
        "never",
        "on_failure",
        "release_upgrade",
        "reuse_s",
        "risky",
        "state_dir",
        "threshold",
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

    def aborts(self, manager: str) -> bool:
        """Tell whether a change without its snapshot is to be stopped."""
        return self.on_failure.get(manager, CONTINUE) == ABORT

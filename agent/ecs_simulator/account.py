"""What the account may buy, and how its disks are encrypted; a test may change it."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from ecs_simulator.config import SimulatorConfig


@dataclass(slots=True, kw_only=True)
class Account:
    """The account's state.

    Args:
        kms_keys: keys with their states (``encrypting.KEY_STATES``).
        default_encryption: every new disk is encrypted.
        default_kms_key_id: the key for that; empty for the service key.
        enough_balance: whether anything can be bought at all.
        disk_quota: how many pay-as-you-go disks there may be.
        sold_out: disk categories that no zone sells, as ``cloud_essd``, or that one does not, as
            ``cn-hangzhou-i/cloud_essd``; ``cn-hangzhou-i/*`` sells nothing.
    """

    kms_keys: dict[str, str] = field(default_factory=dict)
    default_encryption: bool = False
    default_kms_key_id: str = ""
    enough_balance: bool = True
    disk_quota: float = inf
    sold_out: tuple[str, ...] = ()

    @classmethod
    def of(cls, config: SimulatorConfig) -> Account:
        """Return the account at the start."""
        return cls(
            kms_keys=dict(config.kms_keys),
            default_encryption=config.default_encryption,
            default_kms_key_id=config.default_kms_key_id,
            sold_out=config.sold_out,
        )

    def sells_nothing(self, zone: str) -> bool:
        """Tell whether a zone is not on sale."""
        return f"{zone}/*" in self.sold_out

    def sells(self, zone: str, category: str) -> bool:
        """Tell whether disks of a category can be bought in a zone."""
        named = {category, f"{zone}/{category}"}
        return not self.sells_nothing(zone) and not named & {*self.sold_out}

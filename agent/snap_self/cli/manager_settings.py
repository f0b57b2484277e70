"""The configuration in full, for a hook that has nothing kept of it."""

from __future__ import annotations

from collections.abc import Mapping

from snap_self.cli.wiring import load_settings
from snap_self.config.settings import Config
from snap_self.errors import ConfigError
from snap_self.model.manager_settings import ManagerSettings


def read_config(env: Mapping[str, str]) -> ManagerSettings | None:
    """Return what it says for hooks; None where it has a fault."""
    try:
        return manager_settings(load_settings(env))
    except ConfigError:
        return None


def manager_settings(config: Config) -> ManagerSettings:
    """Return what the configuration says for hooks."""
    own = config.package_managers
    return ManagerSettings(
        enabled=own.enabled,
        on_failure=own.on_failure,
        limit_s=own.limit_s,
        throttled_limit_s=own.throttled_limit_s,
        spread_s=own.spread_s,
        confirm_within_s=own.confirm_within_s,
        reuse_s=own.reuse_s,
        risky=own.risky,
        always=own.always,
        never=own.never,
        threshold=own.threshold,
        release_upgrade=own.release_upgrade,
        state_dir=str(config.state.dir),
        metadata_named=bool(config.network.metadata_url),
    )

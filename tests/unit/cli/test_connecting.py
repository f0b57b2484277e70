"""What is checked before a connection is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from snap_self.cli.adapters import check_ca_bundle
from snap_self.errors import ConfigError


def test_ca_bundle_when_it_does_not_exist_then_is_a_fault_of_the_configuration(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigError, match=r"network\.ca_bundle '.*/nowhere\.pem' cannot be read"):
        check_ca_bundle(str(tmp_path / "nowhere.pem"))


def test_ca_bundle_when_none_is_set_or_it_is_readable_then_is_accepted(tmp_path: Path) -> None:
    good = tmp_path / "ca.pem"
    good.write_text("")
    check_ca_bundle("")
    check_ca_bundle(str(good))

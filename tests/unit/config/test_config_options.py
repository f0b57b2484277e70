"""Options put over the configuration."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from fakes.configfiles import FakeConfigFiles
from snap_self.config.load import default_config, load_config
from snap_self.config.options import with_options
from snap_self.config.settings import Config
from snap_self.errors import RuleError
from snap_self.model.snapshots import WaitFor

FILE = """
[snapshot]
keep = "7d"
tags = { team = "db", stage = "live" }
[disks]
exclude = ["/scratch"]
"""


@pytest.fixture
def config() -> Config:
    return load_config(FakeConfigFiles({"config.toml": FILE}).sources())


def test_options_not_given_change_nothing(config: Config) -> None:
    assert with_options(config, {"--keep": None, "--tag": (), "--exclude": None}) == config


def test_option_wins_over_the_configuration(config: Config) -> None:
    changed = with_options(config, {"--keep": "forever", "--wait": "none", "--timeout": "5m"})
    assert (changed.snapshot.keep_s, changed.snapshot.wait) == (None, WaitFor.NONE)
    assert changed.snapshot.timeout_s == 300
    assert changed.disks == config.disks


def test_tag_replaces_the_configured_one_of_the_same_key(config: Config) -> None:
    changed = with_options(config, {"--tag": ["Team=web", "ticket=a=b"]})
    assert changed.snapshot.tags == {"stage": "live", "Team": "web", "ticket": "a=b"}


def test_exclude_adds_to_the_configured_ones(config: Config) -> None:
    changed = with_options(config, {"--exclude": ["vdc", "/scratch"]})
    assert changed.disks.exclude == ("/scratch", "vdc")


@pytest.mark.parametrize(
    ("option", "typed", "why"),
    [
        ("--keep", "2 weeks", "--keep '2 weeks' is not a duration"),
        ("--timeout", "0s", "--timeout '0s' is no time at all"),
        ("--reuse", "x", "--reuse 'x' is not a duration"),
        ("--wait", "long", "--wait 'long' is not known"),
        ("--consistency", "", "--consistency '' is not known"),
        ("--on-quiesce-failure", "stop", "--on-quiesce-failure 'stop' is not known"),
        ("--name", "1st", "snapshot name '1st' does not begin with a letter"),
        ("--tag", ["team"], "tag 'team' has no ="),
        ("--tag", ["a=1", "a=2"], "tag key 'a' is there twice"),
        ("--tag", ["aliyun=1"], "tag key 'aliyun' begins with aliyun"),
        ("--tag", [f"k{n}=" for n in range(14)], "16 tags are too many"),
        ("--exclude", [""], "--exclude holds an empty string"),
    ],
)
def test_option_that_breaks_its_rule_is_refused_by_name(
    config: Config, option: str, typed: str | Sequence[str], why: str
) -> None:
    with pytest.raises(RuleError) as caught:
        with_options(config, {option: typed})
    assert caught.value.message.startswith(why)
    assert caught.value.hint


def test_unknown_option_is_a_bug() -> None:
    with pytest.raises(KeyError):
        with_options(default_config(), {"--nonsense": "x"})

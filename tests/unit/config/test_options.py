"""Options of the command line over the configuration's keys."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from fakes.configfiles import FakeConfigFiles
from snap_self.config.load import default_config, load_config
from snap_self.config.options import over_key
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


def test_option_that_is_not_given_leaves_the_configured_value(config: Config) -> None:
    assert over_key(config, "snapshot.keep", None, "--keep") == 7 * 86400
    assert over_key(config, "snapshot.tags", None, "--tag") == {"team": "db", "stage": "live"}
    assert over_key(config, "disks.exclude", None, "--exclude") == ("/scratch",)


def test_option_wins_over_the_configuration(config: Config) -> None:
    assert over_key(config, "snapshot.keep", "forever", "--keep") is None
    assert over_key(config, "snapshot.wait", "none", "--wait") is WaitFor.NONE
    assert over_key(config, "snapshot.timeout", "5m", "--timeout") == 300


def test_tag_replaces_the_configured_one_of_the_same_key(config: Config) -> None:
    tags = over_key(config, "snapshot.tags", ["Team=web", "ticket=a=b"], "--tag")
    assert tags == {"stage": "live", "Team": "web", "ticket": "a=b"}


def test_exclude_adds_to_the_configured_ones(config: Config) -> None:
    excluded = over_key(config, "disks.exclude", ["vdc", "/scratch"], "--exclude")
    assert excluded == ("/scratch", "vdc")


@pytest.mark.parametrize(
    ("key", "option", "typed", "why"),
    [
        ("snapshot.keep", "--keep", "2 weeks", "--keep '2 weeks' is not a duration"),
        ("snapshot.timeout", "--timeout", "0s", "--timeout '0s' is no time at all"),
        ("snapshot.reuse", "--reuse", "x", "--reuse 'x' is not a duration"),
        ("snapshot.wait", "--wait", "long", "--wait 'long' is not known"),
        ("snapshot.consistency", "--consistency", "", "--consistency '' is not known"),
        (
            "snapshot.on_quiesce_failure",
            "--on-quiesce-failure",
            "stop",
            "--on-quiesce-failure 'stop' is not known",
        ),
        ("snapshot.name", "--name", "1st", "snapshot name '1st' does not begin with a letter"),
        ("snapshot.tags", "--tag", ["team"], "tag 'team' has no ="),
        ("snapshot.tags", "--tag", ["a=1", "a=2"], "tag key 'a' is there twice"),
        ("snapshot.tags", "--tag", ["aliyun=1"], "tag key 'aliyun' begins with aliyun"),
        ("snapshot.tags", "--tag", [f"k{n}=" for n in range(14)], "16 tags are too many"),
        ("disks.exclude", "--exclude", [""], "--exclude holds an empty string"),
    ],
)
def test_option_that_breaks_its_rule_is_refused_by_name(
    config: Config, key: str, option: str, typed: str | Sequence[str], why: str
) -> None:
    with pytest.raises(RuleError) as caught:
        over_key(config, key, typed, option)
    assert caught.value.message.startswith(why)
    assert caught.value.hint


def test_unknown_key_is_a_bug() -> None:
    with pytest.raises(KeyError):
        over_key(default_config(), "snapshot.nonsense", "x", "--nonsense")

"""The table of keys, the settings made from it, and the example file say the same."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from fakes.configfiles import FakeConfigFiles
from snap_self.config.keys import BY_ENV, KEYS, SECTIONS
from snap_self.config.load import default_config, load_config
from snap_self.config.settings import Config
from snap_self.model.applications import APPLICATIONS

EXAMPLE = Path(__file__).resolve().parents[3] / "agent/snap_self/data/config.example.toml"
COMMENTED_KEY = re.compile(r"^# ([a-z_]+ = )", re.MULTILINE)


def example() -> str:
    return EXAMPLE.read_text(encoding="utf-8")


def test_every_setting_has_its_key_and_every_key_its_setting() -> None:
    settings = {
        (section, field.name)
        for section, kind in SECTIONS.items()
        for field in dataclasses.fields(kind)
    }
    assert {(key.section, key.attribute) for key in KEYS} == settings
    assert set(default_config().applications.kinds) == set(APPLICATIONS)
    assert [field.name for field in dataclasses.fields(Config)] == list(SECTIONS)


def test_no_two_keys_share_a_variable() -> None:
    assert len(BY_ENV) == sum(len(key.env_names) for key in KEYS)


def test_example_as_shipped_changes_nothing() -> None:
    assert load_config(FakeConfigFiles({"config.toml": example()}).sources()) == default_config()


def test_example_without_its_comment_signs_is_the_defaults() -> None:
    text = COMMENTED_KEY.sub(r"\1", example())
    assert load_config(FakeConfigFiles({"config.toml": text}).sources()) == default_config()


def test_example_lists_every_key_under_its_section() -> None:
    section, listed = "", []
    for line in example().splitlines():
        if header := re.match(r"\[([a-z_]+)\]", line):
            section = header[1]
        elif key := COMMENTED_KEY.match(line):
            listed.append(f"{section}.{key[1].split()[0]}")
    assert listed == [key.dotted for key in KEYS]


def test_example_says_what_each_key_means_and_accepts() -> None:
    lacking = [
        key.dotted
        for key in KEYS
        if f"## {key.doc}\n## Accepted: {key.accepted}.\n" not in example()
        or any(f"## Also {name}.\n" not in example() for name in key.env_names[1:])
    ]
    assert lacking == []


def test_examples_own_examples_are_accepted() -> None:
    text = re.sub(r"(?m)^## Example: ", "", example())
    config = load_config(FakeConfigFiles({"config.toml": text}).sources())
    assert config.snapshot.tags
    assert config.disks.exclude
    assert config.disks.map

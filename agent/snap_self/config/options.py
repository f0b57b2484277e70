"""The main job's options over the configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from snap_self.config.keys import BY_OPTION, Key, merge_tags
from snap_self.config.settings import Config
from snap_self.model.rules import check_tags, parse_tag

Typed = str | Sequence[str] | None


def with_options(config: Config, given: Mapping[str, Typed]) -> Config:
    """Return the configuration with options put over it.

    ``--tag`` replaces single tags of the configuration, ``--exclude`` adds to its list.

    Args:
        given: option (``--keep``) to its text as typed; a sequence for repeatable ones; None or
            empty for one that was not given.

    Raises:
        RuleError: an option's value breaks its rule.
    """
    changed = config
    for option, typed in given.items():
        if typed is None or (not isinstance(typed, str) and not typed):
            continue
        key = BY_OPTION[option]
        settings: Any = getattr(changed, key.section)
        value = _value(key, typed, getattr(settings, key.attribute))
        settings = replace(settings, **{key.attribute: value})
        section: dict[str, Any] = {key.section: settings}
        changed = replace(changed, **section)
    return changed


def _value(key: Key, typed: str | Sequence[str], configured: Any) -> Any:
    if isinstance(typed, str):
        return key.parse(typed, key.option)
    if key.merge is merge_tags:
        tags = check_tags(parse_tag(each) for each in typed)
        return check_tags(merge_tags(configured, tags).items())
    added = key.parse(list(typed), key.option)
    return (*configured, *(each for each in added if each not in configured))

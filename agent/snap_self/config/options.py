"""An option of the command line over its key of the configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from snap_self.config.key import Key, merge_tags
from snap_self.config.keys import BY_DOTTED
from snap_self.config.settings import Config
from snap_self.model.rules import check_tags, parse_tag


def over_key(config: Config, dotted: str, typed: str | Sequence[str] | None, option: str) -> Any:
    """Return the value of a key, as typed where an option for it was given.

    Typed tags replace single tags of the configuration; other lists add to its list.

    Args:
        dotted: the key with its section ("snapshot.keep").
        typed: a sequence for repeatable options; None for one that was not given.
        option: its name, for messages.

    Raises:
        RuleError: what was typed breaks the key's rule.
    """
    key = BY_DOTTED[dotted]
    configured = getattr(getattr(config, key.section), key.attribute)
    return configured if typed is None else _value(key, typed, option, configured)


def _value(key: Key, typed: str | Sequence[str], option: str, configured: Any) -> Any:
    if isinstance(typed, str):
        return key.parse(typed, option)
    if key.merge is merge_tags:
        tags = check_tags(parse_tag(each) for each in typed)
        return check_tags(merge_tags(configured, tags).items())
    added = key.parse(list(typed), option)
    return (*configured, *(each for each in added if each not in configured))

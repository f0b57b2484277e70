"""The example configuration file: every key with its meaning, its values and its default."""

from __future__ import annotations

import json
from collections.abc import Iterator

HEAD = """\
# snap-self's configuration: /etc/snap-self/config.toml, then /etc/snap-self/conf.d/*.toml in the
# order of their names, then the environment, then the command's options. The later one wins, key by
# key; tables of pairs are joined. Only root may be able to change these files.
#
# Every key is listed with its default; take the # before it away to change it. Keys with one value
# also have a variable, SNAP_SELF_<SECTION>_<KEY>: SNAP_SELF_SNAPSHOT_KEEP=30d."""


def example_configuration() -> str:
    """Return config.example.toml."""
    return "\n".join([HEAD, *_keys(), ""])


def _keys() -> Iterator[str]:
    from snap_self.config.keys import KEYS

    section = ""
    for key in KEYS:
        if key.section != section:
            section = key.section
            yield from ("", f"[{section}]")
        yield from ("", f"## {key.doc}", f"## Accepted: {key.accepted}.")
        yield from (f"## Also {name}." for name in key.env_names[1:])
        if key.note:
            yield f"## {key.note}"
        default = "{}" if key.default == {} else json.dumps(key.default)
        yield f"# {key.name} = {default}"
        if key.example:
            yield f"## Example: {key.name} = {key.example}"

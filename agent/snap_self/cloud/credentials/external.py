"""Keys that a program prints, as in mode ``External`` of ``~/.aliyun/config.json``."""

from __future__ import annotations

import shlex

from snap_self.cloud.credentials.fields import parse_object
from snap_self.cloud.credentials.sources import Surroundings, broken
from snap_self.model.snapshots import Credentials
from snap_self.model.trust import Distrusted

TIMEOUT_S = 60.0
FORM_HINT = (
    'It must print {"mode": "AK" or "StsToken", "access_key_id": …, "access_key_secret": …}.'
)


def load(around: Surroundings, command: str, source: str) -> Credentials:
    """Return the keys that a program prints; its output and arguments are never shown.

    Raises:
        CredentialsUnusable: it cannot be run, fails, or prints something else.
    """
    try:
        argv = shlex.split(command)
    except ValueError:
        raise broken(f"{source}: process_command has an unclosed quote") from None
    if not argv:
        raise broken(f"{source}: process_command is empty")
    try:
        status, out, _ = around.commands.run(argv, timeout_s=TIMEOUT_S)
    except Distrusted as error:
        hint = f"Look at what it does, then: {error.found.hint}."
        why = f"{source}: process_command is not run: {error.found.why}"
        raise broken(why, hint=hint) from None
    except OSError as error:
        # TimeoutError is an OSError too.
        why = error.strerror or f"no end within {TIMEOUT_S:g} s"
        raise broken(f"{source}: process_command could not be run: {why}") from None
    except ValueError:
        raise broken(f"{source}: process_command holds a zero byte") from None
    if status != 0:
        raise broken(f"{source}: process_command failed with status {status}")
    return _parsed(out, source)


def _parsed(out: str, source: str) -> Credentials:
    fields = parse_object(out, f"{source}: the output of process_command")
    mode = fields.text("mode").lower()
    if mode not in ("", "ak", "ststoken"):
        raise broken(f"{fields.where} has an unknown mode", hint=FORM_HINT)
    with_token = mode == "ststoken" or bool(fields.text("sts_token"))
    return Credentials(
        access_key_id=fields.key_text("access_key_id"),
        access_key_secret=fields.key_text("access_key_secret"),
        security_token=fields.key_text("sts_token") if with_token else "",
        source=source,
        expires=fields.instant("expiration") if fields.text("expiration") else None,
    )

"""Reads this machine's accounts."""

from __future__ import annotations

import os
import re
from pathlib import Path

from snap_self.model.identity import AccountRules

_UID_MIN = re.compile(r"^\s*UID_MIN\s+(\d+)", re.MULTILINE)


class SystemAccounts:
    """Implement ``ports.Accounts``."""

    def rules(self) -> AccountRules:
        """Return the rules that tell system accounts from people's accounts.

        Source: login.defs(5); sd_booted(3) for how a running systemd is detected.
        """
        try:
            found = _UID_MIN.search(Path("/etc/login.defs").read_text("utf-8", "replace"))
        except OSError:
            found = None
        has_manager = os.path.isdir("/run/systemd/system")  # noqa: PTH112
        if found is None:
            return AccountRules(has_manager=has_manager)
        return AccountRules(first_ordinary=int(found[1]), has_manager=has_manager)

    def uid_of(self, account: str) -> int | None:
        """Return the user id of an account, given by name or number; None if there is none."""
        import pwd

        try:
            return pwd.getpwnam(account).pw_uid
        except KeyError:
            # A container's users rarely have an account on the machine.
            is_number = account.isascii() and account.isdecimal() and len(account) <= 10
            return int(account) if is_number else None

    def name_of(self, uid: int) -> str:
        """Return the name of a user id; empty if it has none."""
        import pwd

        try:
            return pwd.getpwuid(uid).pw_name
        except KeyError:
            return ""

"""The catalog that explains our messages in the system's journal: ``journalctl -x``.

Source: systemd.io/CATALOG, the format of files in /usr/lib/systemd/catalog.
"""

from __future__ import annotations

import textwrap

NAME = "packaging/systemd/snap-self.catalog"
HEAD = "# The messages of snap-self in the journal. Update with: journalctl --update-catalog\n"
WIDTH = 96


def catalog() -> str:
    """Return the catalog's text."""
    from snap_self.watching.journal import MESSAGES

    entries = (
        f"\n-- {message.message_id}\nSubject: {message.subject}\nDefined-By: snap-self\n"
        f"Documentation: man:snap-self(8)\n\n{textwrap.fill(message.text, WIDTH)}\n"
        for message in MESSAGES.values()
    )
    return HEAD + "".join(entries)

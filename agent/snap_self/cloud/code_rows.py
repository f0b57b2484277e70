"""How it is written down what an API code means."""

from __future__ import annotations

from dataclasses import dataclass

from snap_self.errors import ApiFault


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What a code means.

    Args:
        message: says what is wrong; ``{action}`` and ``{disk}`` are filled in, and at its end
            ``{said}``, the cloud's own message behind a colon.
        hint: what to do; ``{action}``, ``{resources}``, ``{policy}``, ``{exclude}`` are filled in.
    """

    error: type[ApiFault]
    message: str
    hint: str


def rows(
    error: type[ApiFault], message: str, hint: str, *, codes: tuple[str, ...]
) -> dict[str, Row]:
    """Return one meaning for several codes."""
    return dict.fromkeys(codes, Row(error=error, message=message, hint=hint))

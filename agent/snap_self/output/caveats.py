"""What was not as it should be while a copy was open, in words and as codes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from snap_self.model.opening import Note

_WORDS: Mapping[Note, str] = {
    Note.MAGIC_STAYS: "the kernel let nobody take the copy's label off its disk: a reboot while "
    "the copy is open may take it for the original",
    Note.NOT_READ_ONLY: "the copy is mounted read-only, but its device could not be set so",
    Note.OLD_CALLS: "the kernel is older than Linux 5.2, so the copy was mounted in a mount table "
    "of its own",
    Note.LINKS_FOLLOWED: "the kernel is older than Linux 5.10, so links in the copy are followed",
}
# What somebody can act on, or may wonder about.
_TOLD = (Note.MAGIC_STAYS, Note.NOT_READ_ONLY)


def caveat_lines(caveats: Sequence[Note], *, all_of: bool) -> Iterator[str]:
    """Yield a line for each that counts.

    Args:
        all_of: each.
    """
    yield from (f"Note: {_WORDS[each]}" for each in caveats if all_of or each in _TOLD)


def caveats_json(caveats: Sequence[Note]) -> list[str]:
    """Return their codes."""
    return [each.value for each in caveats]

"""What a run handles of its manifest without a look into it."""

from __future__ import annotations

from dataclasses import dataclass, field

from snap_self.model.ids import RunId

# Whoever needs only this is not to load the values of a manifest, which takes milliseconds.
SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A part that is not whole in the manifest.

    Args:
        part: the manifest's own field name: ``packages``, ``files``, ….
        why: words for a person.
    """

    part: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestKey:
    """The key of a machine's digests, which never leaves its state directory.

    Args:
        key_id: tells keys from each other, and nothing of the key.
    """

    key: bytes = field(repr=False)
    key_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedManifest:
    """A manifest as it is stored: only who compares it pays for its values.

    Args:
        content: what a file of it holds.
    """

    run_id: RunId
    content: bytes = field(repr=False)
    left_out: tuple[Missing, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every part was read to its end."""
        return not self.left_out

"""Freezes filesystems and quiesces applications so that a snapshot reaches a higher level."""

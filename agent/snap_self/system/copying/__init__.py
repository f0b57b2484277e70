"""Bring files back from an opened copy, by descriptors of directories."""

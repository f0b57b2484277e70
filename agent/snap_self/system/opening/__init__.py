"""A copy of a disk opened beside its original, and closed without a trace."""

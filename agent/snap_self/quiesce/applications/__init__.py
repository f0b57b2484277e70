"""Drivers that bring known applications to rest before the cut."""

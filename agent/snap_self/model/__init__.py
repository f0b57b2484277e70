"""Frozen values that travel between the packages."""

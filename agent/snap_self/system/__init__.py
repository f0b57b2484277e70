"""Thin adapters for everything outside the process: kernel, files, clock, network."""

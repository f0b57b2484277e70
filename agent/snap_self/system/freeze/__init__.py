"""The calls and processes of a freeze."""

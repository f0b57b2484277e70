"""The state directory: journal, locks and files."""

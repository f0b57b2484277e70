"""Where what happened is told: the system's journal, and files for those who watch."""

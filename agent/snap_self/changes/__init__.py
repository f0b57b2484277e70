"""What is about to change on this machine, and whether that is risky."""

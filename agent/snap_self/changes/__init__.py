"""What is about to change on this machine, whether that is risky, and what a failure does to it."""

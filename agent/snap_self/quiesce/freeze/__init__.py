"""The freeze: its processes, their states, and the checks before it."""

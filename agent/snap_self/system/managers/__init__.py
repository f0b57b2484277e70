"""What a package manager's call to the agent reads from the machine and leaves behind on it."""

"""What the agent does: each use case takes its ports as arguments and returns a report."""

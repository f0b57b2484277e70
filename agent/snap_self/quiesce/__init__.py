"""What is done to filesystems and applications so that a snapshot is worth more."""

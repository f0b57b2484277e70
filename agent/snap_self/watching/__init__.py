"""What is told of this machine to whoever watches it, made from what is known here: pure."""

"""Programs of the user's that bring applications to rest, in the protocols people already have."""

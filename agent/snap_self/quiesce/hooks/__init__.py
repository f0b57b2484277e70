"""The user's programs that quiesce applications, in the protocols that people already use."""

"""The user's hooks as files and processes."""

"""What tells others of this machine: processes, files and programs for it."""

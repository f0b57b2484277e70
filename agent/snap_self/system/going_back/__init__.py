"""Data disks freed and used again on the running system."""

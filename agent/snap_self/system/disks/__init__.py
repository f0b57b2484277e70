"""The kernel's text about disks and mounts, and calls on them that may never return."""

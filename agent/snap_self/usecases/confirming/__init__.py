"""A rollback that waits outside for a confirmation: arm it, move it, call it off."""

"""The rules of temporary disks: what a journal record and what is seen ask to be done; pure."""
